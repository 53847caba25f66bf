package cgroup

import (
	"fmt"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
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
			return nil, &LimitError{fmt.Sprintf("devices[%d].%s", i, err.field), err}
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

// A fieldError is what is wrong with a field of a rule.
type fieldError struct{ field, text string }

func (e *fieldError) Error() string { return e.text }

func deviceRuleOf(d specs.LinuxDeviceCgroup) (deviceRule, *fieldError) {
	r := deviceRule{d.Allow, 'a', wildcard, wildcard, d.Access}
	switch d.Type {
	case "", "a":
		return r, nil // everything, whatever numbers are given
	case "b", "c":
		r.kind = d.Type[0]
	default:
		return r, &fieldError{"type", fmt.Sprintf("unknown %q", d.Type)}
	}
	if d.Access == "" {
		return r, &fieldError{"access", "cannot be empty"}
	}
	if i := strings.IndexFunc(d.Access, func(c rune) bool { return !strings.ContainsRune("rwm", c) }); i >= 0 {
		return r, &fieldError{"access", fmt.Sprintf("unknown letter %q", d.Access[i:])}
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

// setDevices gives a new group its device rules.
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
		if !g.pureV2() || allowsAll(rules) && g.isNew() {
			return nil
		}
		_, err := filterDevices(dir, rules)
		return err
	}
	if rules, err = inV1(rules); err != nil {
		return err
	}
	if err := writeDevices(dir, rules); !powerless(err) {
		return err
	}
	return nil
}

// A deviceChange is a change of device rules that has been thought through and can be made.
type deviceChange struct {
	do, takeBack func() error
	done         bool
}

func (c *deviceChange) apply() error {
	if c == nil {
		return nil
	}
	c.done = true
	return c.do()
}

func (c *deviceChange) undo() error {
	if c == nil || !c.done {
		return nil
	}
	return c.takeBack()
}

// changeDevices prepares an update of the device rules. It is nil if there is nothing to do.
func (g *Group) changeDevices(old, change *specs.LinuxResources) (*deviceChange, error) {
	if len(change.Devices) == 0 {
		return nil, nil
	}
	rules, err := deviceRules(change.Devices)
	if err != nil {
		return nil, err
	}
	dir, v2, ok := g.Dir("devices")
	if !ok || v2 && !g.pureV2() {
		return nil, nil // as in setDevices
	}
	rules = fold(rules)
	if v2 {
		return changeFilter(dir, rules), nil
	}
	if rules, err = inV1(rules); err != nil {
		return nil, err
	}
	var before []specs.LinuxDeviceCgroup
	if old != nil {
		before = old.Devices
	}
	return changeList(dir, before, rules)
}
