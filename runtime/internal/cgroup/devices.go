package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// A deviceRule is one line of what the device controller knows.
type deviceRule struct {
	allow        bool
	kind         byte  // 'a' (all), 'b' or 'c'
	major, minor int64 // wildcard for any
	access       string
}

const wildcard = -1

// String returns the rule as the files of v1 have it.
func (r deviceRule) String() string {
	if r.kind == 'a' {
		return "a"
	}
	return string(r.kind) + " " + star(r.major) + ":" + star(r.minor) + " " + r.access
}

func star(n int64) string {
	if n == wildcard {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}

// deviceRules returns the complete list for a container: everything is forbidden, then come
// the rules of config.json, and at last the devices that every container has: it may make
// any node, but open only these.
func deviceRules(given []specs.LinuxDeviceCgroup) ([]deviceRule, error) {
	rules := make([]deviceRule, 1, len(given)+12)
	rules[0] = deviceRule{false, 'a', wildcard, wildcard, "rwm"}
	for i, d := range given {
		r, err := deviceRuleOf(d)
		if err != nil {
			return nil, fmt.Errorf("linux.resources.devices[%d]%w", i, err)
		}
		rules = append(rules, r)
	}
	allow := func(kind byte, major, minor int64, access string) {
		rules = append(rules, deviceRule{true, kind, major, minor, access})
	}
	allow('c', wildcard, wildcard, "m")
	allow('b', wildcard, wildcard, "m")
	allow('c', 1, 3, "rwm")          // null
	allow('c', 1, 5, "rwm")          // zero
	allow('c', 1, 7, "rwm")          // full
	allow('c', 1, 8, "rwm")          // random
	allow('c', 1, 9, "rwm")          // urandom
	allow('c', 5, 0, "rwm")          // tty
	allow('c', 5, 2, "rwm")          // ptmx
	allow('c', 136, wildcard, "rwm") // pts
	allow('c', 10, 200, "rwm")       // tun
	return rules, nil
}

func deviceRuleOf(d specs.LinuxDeviceCgroup) (deviceRule, error) {
	r := deviceRule{d.Allow, 'a', wildcard, wildcard, d.Access}
	switch d.Type {
	case "", "a":
		return r, nil // everything, whatever numbers are given
	case "b", "c":
		r.kind = d.Type[0]
	default:
		return r, fmt.Errorf(".type: unknown %q", d.Type)
	}
	if d.Access == "" {
		return r, fmt.Errorf(".access: cannot be empty")
	}
	if i := strings.IndexFunc(d.Access, func(c rune) bool { return !strings.ContainsRune("rwm", c) }); i >= 0 {
		return r, fmt.Errorf(".access: unknown letter %q", d.Access[i:])
	}
	if d.Major != nil && *d.Major >= 0 {
		r.major = *d.Major
	}
	if d.Minor != nil && *d.Minor >= 0 {
		r.minor = *d.Minor
	}
	return r, nil
}

// fold drops what a later rule about everything has made void.
func fold(rules []deviceRule) []deviceRule {
	for i := len(rules) - 1; i > 0; i-- {
		if rules[i].kind == 'a' {
			return rules[i:]
		}
	}
	return rules
}

// setDevices gives the group its device rules.
func (g *Group) setDevices(given []specs.LinuxDeviceCgroup) error {
	rules, err := deviceRules(given)
	if err != nil {
		return err
	}
	dir, v2, ok := g.Dir("devices")
	if !ok {
		return nil // without a group nothing can be enforced; rootless containers have none
	}
	rules = fold(rules)
	if v2 {
		if !g.pureV2() {
			return nil
		}
		return filterDevices(dir, rules)
	}
	if err := expressible(rules); err != nil {
		return err
	}
	return writeDevices(dir, rules)
}

// writeDevices writes the rules in order, with each of the two files opened once.
func writeDevices(dir string, rules []deviceRule) error {
	files := map[bool]string{true: dir + "/devices.allow", false: dir + "/devices.deny"}
	fds := make(map[bool]int, 2)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for allow, file := range files {
		fd, err := openAt(unix.AT_FDCWD, file, unix.O_WRONLY)
		if err != nil {
			return pathError("open", file, err)
		}
		fds[allow] = fd
	}
	for _, r := range rules {
		err := again(func() error {
			_, err := unix.Write(fds[r.allow], []byte(r.String()))
			return err
		})
		if err != nil {
			return fmt.Errorf("linux.resources.devices: cannot write %q to %s: %w", r, files[r.allow], err)
		}
	}
	return nil
}

// expressible refuses a rule that v1 would silently ignore: while everything is forbidden,
// it takes back only what was allowed with the same numbers, not a part of a wildcard.
func expressible(rules []deviceRule) error {
	if rules[0].allow {
		return nil
	}
	for i, deny := range rules[1:] {
		if deny.allow {
			continue
		}
		for _, r := range rules[1 : i+1] {
			same := r.major == deny.major && r.minor == deny.minor
			if r.allow && r.kind == deny.kind && !same && overlap(r.major, deny.major) &&
				overlap(r.minor, deny.minor) && strings.ContainsAny(r.access, deny.access) {
				return fmt.Errorf("linux.resources.devices: cgroup v1 cannot deny %q after allowing %q", deny, r)
			}
		}
	}
	return nil
}

func overlap(a, b int64) bool { return a == b || a == wildcard || b == wildcard }
