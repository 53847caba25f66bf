package rdt

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// linesOf are the lines to write, in the order that the specification wants: the cache,
// the bandwidth, the rest. In older configurations the first may say something of the
// bandwidth, too; it does not count if the second is there.
func linesOf(c *specs.LinuxIntelRdt) []string {
	var lines []string
	for line := range strings.SplitSeq(c.L3CacheSchema, "\n") {
		line = strings.TrimSpace(line)
		if line != "" && (c.MemBwSchema == "" || !strings.HasPrefix(line, "MB:")) {
			lines = append(lines, line)
		}
	}
	if c.MemBwSchema != "" {
		lines = append(lines, c.MemBwSchema)
	}
	return append(lines, c.Schemata...)
}

// A schema is what a line allots: by resource, the values of its domains as text without
// leading zeros.
type schema map[string]map[string]string

// parse adds a line of the form "L3:0=7f0;1=1f" to a schema.
func (s schema) parse(line string) error {
	name, list, ok := strings.Cut(strings.TrimSpace(line), ":")
	if !ok {
		return fmt.Errorf("bad line %q: no resource", line)
	}
	name = strings.TrimSpace(name)
	if s[name] == nil {
		s[name] = map[string]string{}
	}
	for domain := range strings.SplitSeq(list, ";") {
		id, value, ok := strings.Cut(domain, "=")
		if !ok {
			return fmt.Errorf("bad line %q: %q is no domain and value", line, domain)
		}
		value = strings.ToLower(strings.TrimSpace(value))
		if trimmed := strings.TrimLeft(value, "0"); trimmed != "" {
			value = trimmed
		} else if value != "" {
			value = "0"
		}
		s[name][strings.TrimSpace(id)] = value
	}
	return nil
}

// differs says in what a group differs from the lines that were asked for; empty if in
// nothing. What was not asked for may be anything.
func (t tree) differs(dir string, lines []string) (string, error) {
	b, err := os.ReadFile(filepath.Join(dir, "schemata"))
	if err != nil {
		return "", err
	}
	have, want := schema{}, schema{}
	for line := range strings.Lines(string(b)) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		if err := have.parse(line); err != nil {
			return "", err
		}
	}
	for _, line := range lines {
		if err := want.parse(line); err != nil {
			return "", err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		for _, id := range slices.Sorted(maps.Keys(want[name])) {
			if have[name][id] != want[name][id] {
				return fmt.Sprintf("%s of domain %s is %s, not %s", name, id, strconv.Quote(have[name][id]), strconv.Quote(want[name][id])), nil
			}
		}
	}
	return "", nil
}

// available reports an error if a resource is asked for by name that the processor does
// not share out.
func (t tree) available(c *specs.LinuxIntelRdt) error {
	if c.L3CacheSchema != "" && !t.has("L3", "L3CODE", "L3DATA") {
		return errNoL3
	}
	if c.MemBwSchema != "" && !t.has("MB", "SMBA") {
		return errNoMB
	}
	return nil
}
