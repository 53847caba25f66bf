package hooks

import (
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// encodeState writes the state as a hook wants to read it: the keys of the
// specification in its order, on one line, slashes as they are (some hooks search
// for paths with grep).
//
// By hand, because encoding/json spends more time on building its tables for one
// struct than some hooks need to run.
func encodeState(s *specs.State) []byte {
	if s == nil {
		s = &specs.State{}
	}
	b := make([]byte, 0, 256)
	b = append(b, `{"ociVersion":`...)
	b = appendString(b, s.Version)
	b = append(b, `,"id":`...)
	b = appendString(b, s.ID)
	b = append(b, `,"status":`...)
	b = appendString(b, string(s.Status))
	if s.Pid > 0 {
		b = append(b, `,"pid":`...)
		b = strconv.AppendInt(b, int64(s.Pid), 10)
	}
	b = append(b, `,"bundle":`...)
	b = appendString(b, s.Bundle)
	if len(s.Annotations) > 0 {
		b = append(b, `,"annotations":{`...)
		keys := make([]string, 0, len(s.Annotations))
		for k := range s.Annotations {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for i, k := range keys {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendString(b, k)
			b = append(b, ':')
			b = appendString(b, s.Annotations[k])
		}
		b = append(b, '}')
	}
	return append(b, '}')
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, since
// JSON has no other way.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case r == '\n':
			b = append(b, '\\', 'n')
		case r == '\t':
			b = append(b, '\\', 't')
		case r < 0x20 || r == 0x7f:
			b = append(b, '\\', 'u', '0', '0', hex[r>>4], hex[r&15])
		case r == 0x2028 || r == 0x2029: // line ends to some readers
			b = append(b, '\\', 'u', '2', '0', '2', hex[r&15])
		default:
			b = utf8.AppendRune(b, r)
		}
	}
	return append(b, '"')
}
