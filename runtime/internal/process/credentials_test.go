package process

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/entry"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// printStatus prints /proc/self/status of init itself, as it is just before execve, where
// the sets are those that were asked for and not yet what execve makes of them.
type printStatus struct{}

func (printStatus) String() string { return "print status" }

func (printStatus) Lower(i *step.Init) error {
	buf := i.Bytes(make([]byte, 4096))
	fd := i.Call(unix.SYS_OPENAT, unix.AT_FDCWD, i.String("/proc/self/status"), unix.O_RDONLY|unix.O_CLOEXEC, 0).Keep()
	n := i.Call(unix.SYS_READ, fd, buf, 4096).Keep()
	i.Call(unix.SYS_WRITE, 1, buf, n)
	i.Call(unix.SYS_WRITE, 1, i.String("===\n"), 4)
	return nil
}

var orderWithStatus = slices.Insert(slices.Clone(order), len(order)-1,
	func(_ *step.Input, emit step.Emit) error { emit("test", printStatus{}); return nil })

func names(c Caps) (list []string) {
	for n, name := range spec.CapabilityNames() {
		if c.has(n) {
			list = append(list, name)
		}
	}
	return list
}

func hex(c Caps) string { return fmt.Sprintf("%016x", uint64(c)) }

// TestCredentials compares what the kernel says with a model, for many combinations.
func TestCredentials(t *testing.T) {
	need.Root(t)
	own := boundingOfKernel()
	r := rand.New(rand.NewPCG(1, 2))
	some := func() Caps {
		return [...]Caps{0, own, Caps(r.Uint64()), Caps(r.Uint64() & r.Uint64()), 1 << unix.CAP_NET_RAW}[r.IntN(5)] & own
	}
	ids := []uint32{0, 1, 1000, 65534, 4294967294}
	for n := range 200 {
		in := input()
		u := &in.Process.User
		u.UID, u.GID = ids[r.IntN(len(ids))], ids[r.IntN(len(ids))]
		for range r.IntN(4) {
			u.AdditionalGids = append(u.AdditionalGids, ids[r.IntN(len(ids))])
		}
		in.Process.NoNewPrivileges = r.IntN(2) == 0
		want := sets{bounding: some(), permitted: some(), inheritable: some()}
		want.effective = want.permitted & some()
		ambient := some()
		want.ambient = ambient & want.permitted & want.inheritable
		in.Process.Capabilities = &specs.LinuxCapabilities{
			Bounding: names(want.bounding), Permitted: names(want.permitted), Effective: names(want.effective),
			Inheritable: names(want.inheritable), Ambient: names(ambient),
		}
		name := fmt.Sprintf("case %d: %+v, %+v", n, *u, want)
		res := run(t, in, start{funcs: orderWithStatus})
		if res.Failed != "" {
			t.Errorf("%s: %s: %v", name, res.Failed, res.Errno)
			continue
		}
		before, after, _ := strings.Cut(res.Out, "===\n")
		checkCredentials(t, name+" before execve", before, u, want)
		checkCredentials(t, name+" after execve", after, u, afterExec(want, u.UID, in.Process.NoNewPrivileges))
	}
}

// afterExec is what execve makes of the sets for a file without capabilities
// (capabilities(7), "Transformation of capabilities during execve"). With no_new_privs
// root, too, keeps no more than it had.
func afterExec(s sets, uid uint32, noNew bool) sets {
	had := s.permitted
	s.permitted, s.effective = s.ambient, s.ambient
	if uid == 0 {
		gets := s.inheritable | s.bounding
		if noNew {
			gets &= had
		}
		s.permitted |= gets
		s.effective = s.permitted
	}
	return s
}

func checkCredentials(t *testing.T, name, status string, u *specs.User, want sets) {
	t.Helper()
	groups := slices.Clone(u.AdditionalGids)
	slices.Sort(groups) // the kernel sorts
	four := func(id uint32) string { return strings.TrimSpace(strings.Repeat(fmt.Sprintf("%d ", id), 4)) }
	for _, c := range []struct{ field, want string }{
		{"Uid", four(u.UID)},
		{"Gid", four(u.GID)},
		{"Groups", strings.Trim(fmt.Sprint(groups), "[]")},
		{"CapBnd", hex(want.bounding)},
		{"CapPrm", hex(want.permitted)},
		{"CapEff", hex(want.effective)},
		{"CapInh", hex(want.inheritable)},
		{"CapAmb", hex(want.ambient)},
	} {
		if got := (result{Out: status}).field(c.field); got != c.want {
			t.Errorf("%s: %s is %q, want %q", name, c.field, got, c.want)
		}
	}
}

// In a user namespace of its own init has all capabilities, also those that ocirt lacks.
func TestCredentialsInUserNamespace(t *testing.T) {
	need.Root(t)
	need.UserNamespaces(t)
	in := input()
	in.Bundle.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace}}
	all := known(in)
	in.Process.Capabilities = &specs.LinuxCapabilities{Bounding: names(all), Permitted: names(all), Effective: names(all)}
	in.Process.User = specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7}}
	attr := &syscall.SysProcAttr{
		Cloneflags:                 syscall.CLONE_NEWUSER,
		UidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 10}},
		GidMappings:                []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 10}},
		GidMappingsEnableSetgroups: true,
		Credential:                 &syscall.Credential{Uid: 0, Gid: 0},
	}
	res := run(t, in, start{attr: attr, funcs: orderWithStatus}).ok(t)
	before, _, _ := strings.Cut(res.Out, "===\n")
	want := sets{bounding: all, permitted: all, effective: all}
	// The kernel translates ids into the reader's namespace, and the reader is inside.
	checkCredentials(t, "in a user namespace", before, &in.Process.User, want)

	in.Process.User = specs.User{UID: 5000}
	res = run(t, in, start{attr: attr})
	if res.Failed != "set user to 5000" || res.Errno != unix.EINVAL ||
		!strings.Contains(res.Step.(SetUser).Explain(res.Errno), "is not mapped") {
		t.Errorf("unmapped user: %q, %v", res.Failed, res.Errno)
	}
}

// A user namespace made without privileges forbids setgroups; an empty list is then no
// error, any other is.
func TestSetgroupsDenied(t *testing.T) {
	need.UserNamespaces(t)
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	in := input()
	in.Bundle.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.UserNamespace}}
	run(t, in, start{attr: attr}).ok(t)
	in.Process.User.AdditionalGids = []uint32{0}
	if res := run(t, in, start{attr: attr}); res.Failed != "set additional groups" || res.Errno != unix.EPERM {
		t.Errorf("got %q, %v", res.Failed, res.Errno)
	}
}

// What is ambient in the caller is not in the container, unless it is asked for.
func TestAmbientOfCaller(t *testing.T) {
	need.Root(t)
	in := input()
	all := names(available(in))
	in.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: all, Permitted: all, Effective: all, Inheritable: all, Ambient: []string{"CAP_KILL"},
	}
	// Root's, because a change of user would clear it anyway.
	can := uint64(available(in))
	dirty := []func(*entry.Program){func(p *entry.Program) {
		b := make([]byte, 0, 24)
		for _, half := range []uint32{uint32(can), uint32(can >> 32)} {
			for range 3 {
				b = binary.NativeEndian.AppendUint32(b, half)
			}
		}
		p.Call(unix.SYS_CAPSET, p.Words(unix.LINUX_CAPABILITY_VERSION_3), p.Bytes(b))
		p.Call(unix.SYS_PRCTL, unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_RAW, 0, 0)
	}}
	if got := run(t, in, start{first: dirty}).ok(t).field("CapAmb"); got != hex(1<<unix.CAP_KILL) {
		t.Errorf("ambient set is %s", got)
	}
}

func TestKeepGroups(t *testing.T) {
	need.Root(t)
	in := input()
	in.Bundle.Spec.Annotations = map[string]string{keepGroups: "1"}
	first := []func(*entry.Program){func(p *entry.Program) {
		p.Call(unix.SYS_SETGROUPS, 1, p.Words(77))
	}}
	if got := run(t, in, start{first: first}).ok(t).field("Groups"); got != "77" {
		t.Errorf("groups are %q", got)
	}
	in.Bundle.Spec.Annotations = nil
	if got := run(t, in, start{first: first}).ok(t).field("Groups"); got != "" {
		t.Errorf("groups are %q, want none of the caller's", got)
	}
}

func TestReservedIDs(t *testing.T) {
	for _, u := range []specs.User{{UID: noID}, {GID: noID}} {
		in := input()
		in.Process.User = u
		if err := User(in, func(string, step.Step) {}); err == nil {
			t.Errorf("%+v is accepted", u)
		}
	}
}

func TestUnavailable(t *testing.T) {
	in := input()
	in.Facts.Caps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_NET_RAW
	in.Process.Capabilities = &specs.LinuxCapabilities{
		Bounding: []string{"CAP_NOPE", "CAP_CHOWN", "CAP_SYS_ADMIN"}, Permitted: []string{"CAP_NOPE", "CAP_CHOWN"},
		Ambient: []string{"CAP_CHOWN", "CAP_NET_RAW"},
	}
	if got := fmt.Sprint(Unavailable(in)); got != "[CAP_NOPE CAP_SYS_ADMIN]" {
		t.Errorf("unavailable: %s", got)
	}
	if got := fmt.Sprint(Unraised(in)); got != "[CAP_CHOWN CAP_NET_RAW]" {
		t.Errorf("unraised: %s", got)
	}
	if s := setsOf(in); s.bounding != 1<<unix.CAP_CHOWN {
		t.Errorf("bounding set is %x", s.bounding)
	}
}

// No user of the container's may look at init, whatever fs.suid_dumpable says.
func TestStaysUnreadable(t *testing.T) {
	need.Root(t)
	in := input()
	in.Process.User.UID = 1000
	dump := func(_ *step.Input, emit step.Emit) error { emit("test", exitWithDumpable{}); return nil }
	res := run(t, in, start{funcs: []compileFunc{Capabilities, User, dump}})
	if res.Failed != "" || res.Status.ExitStatus() != 0 {
		t.Errorf("%s: %v, dumpable is %d", res.Failed, res.Errno, res.Status.ExitStatus())
	}
	// The sysctl is the host's, and mostly 0 already: that it does not count shows in the calls.
	p := &entry.Program{}
	if err := (SetUser{UID: 1000}).Lower(&step.Init{Program: p, Input: in}); err != nil {
		t.Fatal(err)
	}
	calls := p.Calls()
	if c := calls[len(calls)-1]; c.Trap != unix.SYS_PRCTL || c.Args[0] != unix.PR_SET_DUMPABLE || c.Args[1] != 0 || c.MayFail() {
		t.Errorf("the last call is %+v", c)
	}
}

type exitWithDumpable struct{}

func (exitWithDumpable) String() string { return "exit with the value" }

func (exitWithDumpable) Lower(i *step.Init) error {
	n := i.Call(unix.SYS_PRCTL, unix.PR_GET_DUMPABLE, 0, 0, 0, 0).Keep()
	i.Call(unix.SYS_EXIT_GROUP, n)
	return nil
}
