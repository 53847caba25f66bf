package spec

import (
	"strconv"
	"strings"
)

// A Problem is one thing that is wrong, or questionable, in a configuration,
// and the place where it stands.
type Problem struct {
	Pointer string // JSON pointer (RFC 6901): "/process/user/uid"; "" is the whole document
	Path    string // the same for people: "process.user.uid"
	Text    string // what is wrong and what was expected: `"x" is not absolute`

	// Contract holds the words that callers of OCI runtimes are known to
	// match. An error message must begin with them. Often empty.
	Contract string

	Warning bool   // true: to be told, but not a reason to refuse
	File    string // the file's name if it is not config.json

	cause error // what made the file unreadable, for errors.Is
}

// String gives the problem as one line without the file's name:
// `process.user.uid: 4294967296 is out of range (0 to 4294967294)`.
func (p Problem) String() string {
	if p.Path == "" {
		return p.Text
	}
	return p.Path + ": " + p.Text
}

func (p Problem) line() string {
	file := p.File
	if file == "" {
		file = ConfigName
	}
	return file + ": " + p.String()
}

// Problems is a list of problems in file order. As an error it speaks of those
// that are not warnings.
type Problems []Problem

// shown is how many problems an error message lists before it only counts.
const shown = 20

// Error gives the words that callers match, if the first error has such words,
// and then one line for each error, at most 20.
func (ps Problems) Error() string {
	errs := ps.Errors()
	if len(errs) == 0 {
		return "no problems"
	}
	var b strings.Builder
	if errs[0].Contract != "" {
		b.WriteString(errs[0].Contract + ": ")
	}
	for i, p := range errs {
		if i == shown {
			b.WriteString("\n" + strconv.Itoa(len(errs)-shown) + " more")
			break
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(p.line())
	}
	return b.String()
}

// Unwrap gives the causes of problems that have one, such as fs.ErrNotExist
// for a missing file.
func (ps Problems) Unwrap() []error {
	var out []error
	for _, p := range ps {
		if p.cause != nil {
			out = append(out, p.cause)
		}
	}
	return out
}

// Err returns the problems as an error, or nil if there are none but warnings.
// Use it instead of assigning Problems to an error: an empty list is not nil.
func (ps Problems) Err() error {
	if len(ps.Errors()) == 0 {
		return nil
	}
	return ps
}

// Errors returns the problems that are not warnings.
func (ps Problems) Errors() Problems { return ps.only(false) }

// Warnings returns the problems that are warnings.
func (ps Problems) Warnings() Problems { return ps.only(true) }

func (ps Problems) only(warning bool) Problems {
	n := 0
	for _, p := range ps {
		if p.Warning == warning {
			n++
		}
	}
	if n == 0 || n == len(ps) {
		if n == 0 {
			return nil
		}
		return ps
	}
	out := make(Problems, 0, n)
	for _, p := range ps {
		if p.Warning == warning {
			out = append(out, p)
		}
	}
	return out
}

// JSON gives the problems as an array of objects with the members file,
// pointer, path, message, severity ("error" or "warning") and, where there are
// such words, contract. No problems give an empty array.
func (ps Problems) JSON() ([]byte, error) {
	b := []byte("[")
	for i, p := range ps {
		if i > 0 {
			b = append(b, ',')
		}
		file, severity := p.File, "error"
		if file == "" {
			file = ConfigName
		}
		if p.Warning {
			severity = "warning"
		}
		b = append(b, "\n\t{"...)
		b = appendMember(b, "file", file)
		b = appendMember(append(b, ", "...), "pointer", p.Pointer)
		b = appendMember(append(b, ", "...), "path", p.Path)
		b = appendMember(append(b, ", "...), "message", p.Text)
		b = appendMember(append(b, ", "...), "severity", severity)
		if p.Contract != "" {
			b = appendMember(append(b, ", "...), "contract", p.Contract)
		}
		b = append(b, '}')
	}
	if len(ps) > 0 {
		b = append(b, '\n')
	}
	return append(b, "]\n"...), nil
}
