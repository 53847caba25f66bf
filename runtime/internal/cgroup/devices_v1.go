package cgroup

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

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
			return &LimitError{"devices", fmt.Errorf("cannot write %q to %s: %w", r, files[r.allow], err)}
		}
	}
	return nil
}

// inV1 makes rules such that v1 understands them as they are meant. It has a default, and
// exceptions from it that are struck out only by the same numbers: while everything is
// forbidden, a part of a wildcard cannot be taken back from what was allowed, and the other
// way round. Often the other default helps; if not, the rules are refused.
func inV1(rules []deviceRule) ([]deviceRule, error) {
	why := expressible(rules)
	if why == nil || !rules[0].allow {
		return rules, why
	}
	other := []deviceRule{
		{false, 'a', wildcard, wildcard, "rwm"},
		{true, 'c', wildcard, wildcard, "rwm"},
		{true, 'b', wildcard, wildcard, "rwm"},
	}
	other = append(other, rules[1:]...)
	if expressible(other) != nil {
		return nil, why
	}
	return other, nil
}

// expressible refuses rules that v1 would silently not carry out.
func expressible(rules []deviceRule) error {
	normal, words := rules[0].allow, [2]string{"deny", "allowing"}
	if normal {
		words = [2]string{"allow", "denying"}
	}
	for i, back := range rules[1:] {
		// That nodes may be made is said of all devices at once, at the end: where it was
		// forbidden for one it stays so.
		if back.allow != normal || back.access == "m" && back.major == wildcard {
			continue
		}
		for _, r := range rules[1 : i+1] {
			same := r.major == back.major && r.minor == back.minor
			if r.allow != normal && r.kind == back.kind && !same && overlap(r.major, back.major) &&
				overlap(r.minor, back.minor) && strings.ContainsAny(r.access, back.access) {
				return &LimitError{"devices", fmt.Errorf("cgroup v1 cannot %s %q after %s %q", words[0], back, words[1], r)}
			}
		}
	}
	return nil
}

func overlap(a, b int64) bool { return a == b || a == wildcard || b == wildcard }

// A deviceList is what a v1 group makes of its rules: a default and what differs from it.
type deviceList struct {
	allow  bool
	except map[deviceNumber]int32 // kinds of access
}

type deviceNumber struct {
	kind         byte
	major, minor int64
}

// listOf does with rules what the kernel does.
func listOf(rules []deviceRule) deviceList {
	l := deviceList{rules[0].allow, map[deviceNumber]int32{}}
	for _, r := range rules[1:] {
		n := deviceNumber{r.kind, r.major, r.minor}
		if r.allow != l.allow {
			l.except[n] |= accessBits(r.access)
		} else if l.except[n] &^= accessBits(r.access); l.except[n] == 0 {
			delete(l.except, n)
		}
	}
	return l
}

// readList reads the list of a group. If everything is allowed, the kernel does not tell the
// exceptions; they are what was asked for.
func readList(dir string, asked []specs.LinuxDeviceCgroup) (deviceList, error) {
	text, err := readIn(dir, "devices.list")
	if err != nil {
		return deviceList{}, &LimitError{"devices", pathError("read", dir+"/devices.list", err)}
	}
	if strings.HasPrefix(text, "a ") {
		rules, err := deviceRules(asked)
		if err == nil {
			if rules, err = inV1(fold(rules)); err == nil && rules[0].allow {
				return listOf(rules), nil
			}
		}
		return deviceList{allow: true}, nil
	}
	l := deviceList{except: map[deviceNumber]int32{}}
	for line := range strings.Lines(text) { // "c 1:3 rwm"
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		major, minor, _ := strings.Cut(f[1], ":")
		l.except[deviceNumber{f[0][0], unstar(major), unstar(minor)}] |= accessBits(f[2])
	}
	return l, nil
}

func unstar(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return wildcard
	}
	return n
}

// changeList prepares to replace the list of a v1 group by writing only what differs: to
// begin anew would take away all devices for a moment, and cannot be done at all to a group
// with others below it.
func changeList(dir string, asked []specs.LinuxDeviceCgroup, rules []deviceRule) (*deviceChange, error) {
	have, err := readList(dir, asked)
	if err != nil {
		return nil, err
	}
	want := listOf(rules)
	return &deviceChange{
		do: func() error {
			if err := writeDevices(dir, have.to(want)); !powerless(err) {
				return err
			}
			return nil
		},
		takeBack: func() error { return writeDevices(dir, want.to(have)) },
	}, nil
}

// to returns the rules that make one list another.
func (l deviceList) to(want deviceList) (rules []deviceRule) {
	if l.allow != want.allow {
		rules = append(rules, deviceRule{want.allow, 'a', wildcard, wildcard, "rwm"})
		l = deviceList{allow: want.allow}
	}
	for _, give := range [...]bool{true, false} { // what is to be had is given before anything is taken
		from, to, allow := l.except, want.except, !want.allow
		if !give {
			from, to, allow = to, from, want.allow
		}
		for _, n := range slices.SortedFunc(maps.Keys(to), deviceNumber.compare) {
			if bits := to[n] &^ from[n]; bits != 0 {
				rules = append(rules, deviceRule{allow, n.kind, n.major, n.minor, accessText(bits)})
			}
		}
	}
	return rules
}

func (n deviceNumber) compare(o deviceNumber) int {
	return slices.Compare([]int64{int64(n.kind), n.major, n.minor}, []int64{int64(o.kind), o.major, o.minor})
}

func accessText(bits int32) string {
	text := ""
	for _, c := range "rwm" {
		if accessBits(string(c))&bits != 0 {
			text += string(c)
		}
	}
	return text
}
