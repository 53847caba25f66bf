package store

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// encodeRecord writes a record, one field to a line. What could not be read back
// is refused here, because a record that cannot be read is a container that cannot
// be deleted in the ordinary way.
func encodeRecord(r *Record, full bool) ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	if y := r.Created.UTC().Year(); y < 1 || y > 9999 {
		return nil, fmt.Errorf("created: year %d", y)
	}
	w := &writer{b: make([]byte, 0, 1024+len(r.Config))}
	w.b = append(w.b, '{')
	w.uint("version", uint64(r.Version))
	w.string("id", r.ID)
	w.string("token", r.Token)
	w.string("boot_id", r.BootID)
	w.string("phase", r.Phase)
	w.key("created")
	w.b = append(w.b, '"')
	w.b = r.Created.UTC().AppendFormat(w.b, time.RFC3339Nano)
	w.b = append(w.b, '"')
	w.some("oci_version", r.OCIVersion)
	w.some("bundle", r.Bundle)
	w.some("rootfs", r.Rootfs)
	if r.Pid != 0 {
		w.uint("init_process_pid", uint64(r.Pid))
		w.uint("init_process_start", r.StartTime)
		w.uint("init_calls", uint64(r.InitCalls))
	}
	w.cgroup(&r.Cgroup)
	w.list("resctrl", r.Resctrl)
	w.list("external_descriptors", r.Descriptors)
	w.flag("pid_namespace", r.PidNamespace)
	w.flag("rootless", r.Rootless)
	w.flag("no_pivot", r.NoPivot)
	w.flag("no_new_keyring", r.NoNewKeyring)
	w.uint("owner", uint64(r.Owner))
	w.some("last_error", strings.ToValidUTF8(r.LastError, "\uFFFD"))
	if full {
		if err := w.json("resources", r.Resources); err != nil {
			return nil, err
		}
		if err := w.json("intel_rdt", r.IntelRdt); err != nil {
			return nil, err
		}
		if err := w.json("oci_config", r.Config); err != nil {
			return nil, err
		}
	}
	w.b = append(w.b, "\n}\n"...)
	if len(w.b) > maxRecord {
		return nil, fmt.Errorf("%d bytes, more than %d", len(w.b), maxRecord)
	}
	if w.bad != "" {
		return nil, fmt.Errorf("%q is not valid UTF-8", w.bad)
	}
	return w.b, nil
}

// A writer appends members to an object.
type writer struct {
	b     []byte
	bad   string // a string that cannot be written
	inner bool   // in an object in the object: no new lines
}

func (w *writer) key(key string) {
	if last := w.b[len(w.b)-1]; last != '{' {
		w.b = append(w.b, ',')
	}
	if !w.inner {
		w.b = append(w.b, "\n  "...)
	}
	w.quote(key)
	w.b = append(w.b, ':')
}

func (w *writer) uint(key string, n uint64) {
	w.key(key)
	w.b = strconv.AppendUint(w.b, n, 10)
}

func (w *writer) string(key, value string) {
	w.key(key)
	w.quote(value)
}

// some writes a string unless it is empty.
func (w *writer) some(key, value string) {
	if value != "" {
		w.string(key, value)
	}
}

// flag writes a bool unless it is false.
func (w *writer) flag(key string, value bool) {
	if value {
		w.key(key)
		w.b = append(w.b, "true"...)
	}
}

func (w *writer) cgroup(c *CgroupRecord) {
	w.key("cgroup")
	w.inner = true
	w.b = append(w.b, '{')
	w.some("manager", c.Manager)
	w.some("path", c.Path)
	w.list("made", c.Made)
	w.some("unit", c.Unit)
	w.flag("user", c.User)
	w.b = append(w.b, '}')
	w.inner = false
	if c.Paths == nil {
		return
	}
	w.key("cgroup_paths")
	w.inner = true
	w.b = append(w.b, '{')
	names := make([]string, 0, len(c.Paths))
	for name := range c.Paths {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		w.string(name, c.Paths[name])
	}
	w.b = append(w.b, '}')
	w.inner = false
}

// list writes strings, unless there are none.
func (w *writer) list(key string, values []string) {
	if len(values) == 0 {
		return
	}
	w.key(key)
	for i, s := range values {
		w.b = append(w.b, "[,"[min(i, 1)])
		w.quote(s)
	}
	w.b = append(w.b, ']')
}

// json writes a value that is JSON already, unless there is none.
func (w *writer) json(key string, value []byte) error {
	if len(value) == 0 {
		return nil
	}
	p := &parser{data: value, depth: 1, field: key}
	p.skip()
	if p.end(); p.err != nil {
		return p.err
	}
	w.key(key)
	w.b = append(w.b, value...)
	return nil
}

// quote appends a string. There is no way to write one that is not UTF-8.
func (w *writer) quote(s string) {
	const hex = "0123456789abcdef"
	w.b = append(w.b, '"')
	if !utf8.ValidString(s) {
		w.bad = s
	}
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.b = append(w.b, '\\', byte(r))
		case r < 0x20 || r == 0x7f:
			w.b = append(w.b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		default:
			w.b = utf8.AppendRune(w.b, r)
		}
	}
	w.b = append(w.b, '"')
}
