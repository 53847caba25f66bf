package spec

import (
	"errors"
	"fmt"
	"strconv"
)

// maxID is the longest container id, in bytes: ids are file names.
const maxID = 255

// CheckID says what is wrong with a container id. The errors begin with the
// words that callers of OCI runtimes match.
func CheckID(id string) error {
	const format = "invalid container ID format: "
	switch {
	case id == "":
		return errors.New("container id cannot be empty")
	case len(id) > maxID:
		return fmt.Errorf(format+"invalid container id %s: longer than %d bytes", quote(id), maxID)
	case id == "." || id == "..":
		return fmt.Errorf(format+"invalid container id %s", quote(id))
	}
	for _, r := range id {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		case r == '_' || r == '+' || r == '-' || r == '.':
		default:
			return fmt.Errorf(format+"invalid container id %s: character %s is not allowed"+
				" (letters, digits and _ + - . are)", quote(id), strconv.QuoteRune(r))
		}
	}
	return nil
}
