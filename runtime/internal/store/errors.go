package store

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
)

// Errors that callers test for. Their words are matched by engines.
var (
	// ErrExists is the error of creating a container whose ID is taken.
	ErrExists = errors.New("container with given ID already exists")
	// ErrNotFound is the error of an ID nobody has.
	ErrNotFound = errors.New("container does not exist")
	// ErrInvalidID is the error of an ID that no container may have.
	ErrInvalidID = errors.New("invalid container ID format")
	// ErrEmptyID is the error of an empty ID.
	ErrEmptyID = errors.New("container id cannot be empty")
	// ErrNoRecord is in the CorruptError of a directory without a record: its
	// creation is just beginning (then it is locked), or its creator was killed
	// in that moment, or somebody removed the file.
	ErrNoRecord = errors.New("no record")
	// ErrNewer is in the error of a record written by a newer ocirt, which only
	// delete --force may act upon.
	ErrNewer = errors.New("record of a newer version")
	// ErrForeign is in the error of an entry of the root that is not a
	// container's directory.
	ErrForeign = errors.New("state folder exists but is not a container; remove with delete --force")
	// ErrDiffers is in the error of a record that contradicts its intent.
	ErrDiffers = errors.New("record differs from the intent record")
)

// A CorruptError is a record that cannot be used.
type CorruptError struct {
	Path   string // the file
	Offset int64  // where in the file, in bytes; -1 if that has no meaning
	Err    error
}

func (e *CorruptError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("cannot read %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("cannot read %s: byte %d: %v", e.Path, e.Offset, e.Err)
}

func (e *CorruptError) Unwrap() error { return e.Err }

// rootError is everything that is wrong with the root: the user has to know which
// option to look at.
func rootError(path string, err error) error {
	return fmt.Errorf("cannot use --root %q: %w", path, err)
}

// MaxID is the longest ID, in bytes: the limit of a file name.
const MaxID = 255

// CheckID says whether a container may have this ID: letters, digits and "_+-.",
// at most 255 bytes, and neither "." nor "..".
func CheckID(id string) error {
	if id == "" {
		return ErrEmptyID
	}
	if len(id) > MaxID {
		return fmt.Errorf("%w: longer than %d", ErrInvalidID, MaxID)
	}
	if id == "." || id == ".." {
		return fmt.Errorf("%w: %q", ErrInvalidID, id)
	}
	for _, r := range id {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
		case r == '_', r == '+', r == '-', r == '.':
		default:
			return fmt.Errorf("%w: character %s is not allowed", ErrInvalidID, strconv.QuoteRune(r))
		}
	}
	return nil
}

// isNotExist is short for the one errno that is asked for everywhere.
func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
