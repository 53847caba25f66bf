package spec

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// ConfigName is the name of a bundle's configuration file.
const ConfigName = "config.json"

const tooLarge = "larger than 16 MiB"

// A Bundle is a directory and its configuration.
type Bundle struct {
	Dir   string      // absolute
	Spec  *specs.Spec // never nil
	Raw   []byte      // config.json as read; nil if the configuration was made in memory
	Notes Problems    // unknown keys and the like: warnings only
}

// Load reads dir/config.json. It never blocks, whatever kind of file stands
// there, and reads at most 16 MiB.
//
// All errors are Problems; errors.Is finds fs.ErrNotExist and fs.ErrPermission
// in them. If the file's form is right but some values have the wrong type, the
// bundle is returned beside the error, with those values left out, so that
// Validate can be asked for the rest.
func Load(dir string) (*Bundle, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	raw, err := readRegular(filepath.Join(dir, ConfigName))
	if err != nil {
		return nil, err
	}
	return Parse(dir, raw)
}

// Parse does the same as Load with a config.json that was read before. The
// bundle keeps raw, which must not be changed afterwards. Dir must be absolute.
func Parse(dir string, raw []byte) (*Bundle, error) {
	s, d := decodeSpec("", string(raw))
	b := &Bundle{Dir: dir, Spec: s, Raw: raw, Notes: d.notes}
	if len(d.problems) == 0 {
		return b, nil
	}
	if d.stopped {
		return nil, d.problems
	}
	return b, d.problems
}

// RootPath returns root.path as an absolute, cleaned path: relative ones start
// at the bundle. Empty if the configuration has no root.path.
func (b *Bundle) RootPath() string {
	if b.Spec.Root == nil || b.Spec.Root.Path == "" {
		return ""
	}
	return b.join(b.Spec.Root.Path)
}

func (b *Bundle) join(path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(b.Dir, path)
}

// Marshal gives a configuration as JSON, indented with tabs, with a newline at
// the end.
func Marshal(s *specs.Spec) ([]byte, error) {
	out, err := json.MarshalIndent(s, "", "\t")
	if err != nil {
		return nil, err
	}
	return append(out, '\n'), nil
}

// readRegular reads a file that must be a regular one. A FIFO would block at
// open and a device may do anything, so the kind is looked at before opening,
// and again afterwards, because the file may have been exchanged.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, unreadable(errNotRegular)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|openNonblock, 0)
	if err != nil {
		return nil, unreadable(err)
	}
	defer f.Close()
	if info, err = f.Stat(); err != nil {
		return nil, unreadable(err)
	}
	if !info.Mode().IsRegular() {
		return nil, unreadable(errNotRegular)
	}
	if info.Size() > maxSize {
		return nil, unreadable(errTooLarge)
	}
	// The size is only a hint: the file may grow while it is read.
	raw := make([]byte, info.Size()+1)
	n, err := io.ReadFull(f, raw)
	if err == nil {
		var rest []byte
		rest, err = io.ReadAll(io.LimitReader(f, maxSize+1-int64(n)))
		raw, n = append(raw, rest...), n+len(rest)
	}
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, unreadable(err)
	}
	if n > maxSize {
		return nil, unreadable(errTooLarge)
	}
	return raw[:n:n], nil
}

type plainError string

func (e plainError) Error() string { return string(e) }

const (
	errNotRegular plainError = "not a regular file"
	errTooLarge   plainError = tooLarge
)

// unreadable says why config.json cannot be read, without repeating its path.
func unreadable(err error) Problems {
	p := Problem{Text: err.Error(), cause: err}
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		p.Text = pathError.Err.Error()
	}
	if errors.Is(err, fs.ErrNotExist) {
		p.Contract = "JSON specification file config.json not found"
	}
	return Problems{p}
}
