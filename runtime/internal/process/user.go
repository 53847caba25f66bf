package process

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// keepGroups is crun's annotation that leaves the supplementary groups of the caller in
// place: for rootless containers that work in a directory shared by a group.
const keepGroups = "run.oci.keep_original_groups"

// maxGroups is NGROUPS_MAX of the kernel.
const maxGroups = 65536

const noID = 1<<32 - 1 // (uid_t)-1: "leave alone", never an id

// SetUser makes the process another user's: supplementary groups, group, user. Permitted
// capabilities outlive it; effective ones do not, unless the user is 0.
type SetUser struct {
	UID, GID   uint32
	Groups     []uint32
	KeepGroups bool // leave the supplementary groups alone

	// MayKeep allows the kernel to refuse an empty list of groups, as it does in a
	// user namespace whose maker had no privileges (user_namespaces(7), setgroups).
	MayKeep bool
}

// User compiles process.user and the capability sets that need it to be set:
// process.capabilities.{effective,permitted,inheritable,ambient}.
func User(in *step.Input, emit step.Emit) error {
	p := in.Process
	if p == nil {
		return nil
	}
	if p.User.UID == noID || p.User.GID == noID {
		return errors.New("cannot set user: id 4294967295 is reserved")
	}
	if len(p.User.AdditionalGids) > maxGroups {
		return fmt.Errorf("cannot set %d additional groups: the limit is %d", len(p.User.AdditionalGids), maxGroups)
	}
	emit("/process/user", SetUser{
		UID: p.User.UID, GID: p.User.GID, Groups: p.User.AdditionalGids,
		KeepGroups: in.Bundle.Spec.Annotations[keepGroups] == "1",
		MayKeep:    in.UserNS() || in.Facts.InUserNS || in.Facts.EUID != 0,
	})
	s := setsOf(in)
	emit("/process/capabilities", SetCapabilities{
		Effective: s.effective, Permitted: s.permitted, Inheritable: s.inheritable, Ambient: s.ambient,
		Of: known(in),
	})
	return nil
}

func (s SetUser) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "set user to %d:%d", s.UID, s.GID)
	switch n := len(s.Groups); {
	case s.KeepGroups:
		b.WriteString(", keeping the groups of the caller")
	case n > 8:
		fmt.Fprintf(&b, " with %d more groups", n)
	case n > 0:
		for i, g := range s.Groups {
			b.WriteString([]string{" and groups ", ", "}[min(i, 1)])
			b.WriteString(strconv.FormatUint(uint64(g), 10))
		}
	}
	return b.String()
}

// Lower writes the calls: groups while there is still CAP_SETGID, the user last.
func (s SetUser) Lower(i *step.Init) error {
	if !s.KeepGroups {
		list := make([]byte, 0, 4*len(s.Groups))
		for _, g := range s.Groups {
			list = binary.NativeEndian.AppendUint32(list, g)
		}
		c := i.Call(unix.SYS_SETGROUPS, len(s.Groups), i.Bytes(list)).Label("set additional groups")
		if s.MayKeep && len(s.Groups) == 0 {
			c.May(unix.EPERM)
		}
	}
	i.Call(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 1, 0, 0, 0).Label("keep capabilities")
	i.Call(unix.SYS_SETRESGID, s.GID, s.GID, s.GID).Labelf("set group to %d", s.GID)
	i.Call(unix.SYS_SETRESUID, s.UID, s.UID, s.UID).Labelf("set user to %d", s.UID)
	i.Call(unix.SYS_PRCTL, unix.PR_SET_KEEPCAPS, 0, 0, 0, 0).Label("keep capabilities no more")
	// A change of user sets the attribute to fs.suid_dumpable, which may be 1.
	i.Call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0, 0, 0, 0).Label("stay unreadable for others")
	return nil
}

// Explain adds to the errno of a call of Lower.
func (s SetUser) Explain(errno syscall.Errno) string {
	switch errno {
	case unix.EINVAL:
		return "a user or group is not mapped in the container's user namespace"
	case unix.EPERM:
		return "additional groups may not be set in a user namespace made without privileges"
	}
	return ""
}
