package process

import (
	"runtime"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// identity is who the process will be, as far as files are concerned.
type identity struct {
	UID, GID  uint32
	Groups    []uint32
	Effective Caps
	Foreign   bool // in a user namespace that the caller of do is not in
}

func identityOf(in *step.Input) identity {
	u := in.Process.User
	return identity{u.UID, u.GID, u.AdditionalGids, setsOf(in).effective, in.Join != nil && in.UserNS()}
}

// do calls f with the identity of the container's process as far as files are concerned:
// the kernel itself then decides what it may do, with access control lists, remote file
// systems and security modules, none of which could be computed from a file's mode. It
// changes only the calling thread. If that thread may not change (a rootless builder with
// one mapped id, say), f is called as it is.
func (id identity) do(f func() error) error {
	if id.Foreign {
		return f()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := credentials()
	if err != nil {
		return err
	}
	taken := old.change(id)
	old.protect()
	err = f()
	e := old.restore(taken)
	old.protect()
	if e != nil {
		// Nothing may run on this thread any more; it ends with its goroutine.
		runtime.LockOSThread()
		return e
	}
	return err
}

// saved is what restore needs.
type saved struct {
	uid, gid int
	groups   []int
	head     unix.CapUserHeader
	caps     [2]unix.CapUserData
	dumpable int
}

// These calls of package unix, unlike those of package syscall, change the calling thread
// alone.

func credentials() (*saved, error) {
	s := &saved{head: unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}}
	if err := unix.Capget(&s.head, &s.caps[0]); err != nil {
		return nil, err
	}
	// They fail by returning the old id; -1 is never one, so this only asks.
	s.uid, _ = unix.SetfsuidRetUid(-1)
	s.gid, _ = unix.SetfsgidRetGid(-1)
	var err error
	if s.groups, err = unix.Getgroups(); err != nil {
		return nil, err
	}
	s.dumpable, err = unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	return s, err
}

// protect sets again whether others may look at this program: each change of identity
// sets it to the sysctl fs.suid_dumpable, for all its threads.
func (s *saved) protect() {
	value := 0 // also for 2, which cannot be set, and keeps others out as well
	if s.dumpable == 1 {
		value = 1
	}
	_ = unix.Prctl(unix.PR_SET_DUMPABLE, uintptr(value), 0, 0, 0)
}

// change takes an identity, and reports whether the groups were changed.
func (s *saved) change(id identity) (groups bool) {
	want := make([]int, 0, len(id.Groups))
	for _, g := range id.Groups {
		want = append(want, int(g))
	}
	if !slices.Equal(s.groups, want) {
		groups = unix.Setgroups(want) == nil
	}
	_, _ = unix.SetfsgidRetGid(int(id.GID))
	_, _ = unix.SetfsuidRetUid(int(id.UID))
	caps := s.caps
	caps[0].Effective = caps[0].Permitted & uint32(id.Effective)
	caps[1].Effective = caps[1].Permitted & uint32(id.Effective>>32)
	// Lowering cannot fail; and if it did, too much would be allowed here, and refused
	// by execve.
	_ = unix.Capset(&s.head, &caps[0])
	return groups
}

// restore takes the thread's own identity again.
func (s *saved) restore(groups bool) error {
	if err := unix.Capset(&s.head, &s.caps[0]); err != nil {
		return err
	}
	_, _ = unix.SetfsuidRetUid(s.uid)
	_, _ = unix.SetfsgidRetGid(s.gid)
	uid, _ := unix.SetfsuidRetUid(-1)
	gid, _ := unix.SetfsgidRetGid(-1)
	if uid != s.uid || gid != s.gid {
		return unix.EPERM
	}
	if groups {
		if err := unix.Setgroups(s.groups); err != nil {
			return err
		}
	}
	return unix.Capset(&s.head, &s.caps[0]) // the change of uid changed it
}
