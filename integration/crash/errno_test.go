package crash

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// errnos are the failures that a call is made to have.
func errnos() []syscall.Errno {
	return []syscall.Errno{
		unix.EINTR, unix.EAGAIN, unix.ENOMEM, unix.EMFILE, unix.EPERM, unix.EACCES,
		unix.ENOENT, unix.ENOSPC, unix.EBUSY, unix.EROFS, unix.EIO, unix.ENOSYS,
	}
}

// mayFail leaves out what the Go runtime makes for itself, and cannot do without, and what
// cannot fail.
func mayFail(call int64) bool {
	return !slices.Contains([]int64{
		unix.SYS_MMAP, unix.SYS_MUNMAP, unix.SYS_MADVISE, unix.SYS_MPROTECT, unix.SYS_FUTEX, unix.SYS_CLONE,
		archPrctl, unix.SYS_RT_SIGACTION, unix.SYS_RT_SIGPROCMASK, unix.SYS_RT_SIGRETURN, unix.SYS_SIGALTSTACK,
		unix.SYS_SCHED_YIELD, unix.SYS_SCHED_GETAFFINITY, unix.SYS_NANOSLEEP, unix.SYS_EXIT, unix.SYS_EXIT_GROUP,
		unix.SYS_GETPID, unix.SYS_GETTID, unix.SYS_GETEUID, unix.SYS_GETEGID, unix.SYS_GETUID, unix.SYS_GETGID,
		unix.SYS_TGKILL, unix.SYS_BRK, unix.SYS_EPOLL_PWAIT, unix.SYS_EPOLL_CREATE1, unix.SYS_EVENTFD2,
		unix.SYS_EPOLL_CTL, unix.SYS_RESTART_SYSCALL, unix.SYS_UMASK, unix.SYS_GETRANDOM, unix.SYS_MINCORE,
	}, call)
}

// failEverywhere lets each call of the roles fail with each errno.
func failEverywhere(t *testing.T, o operation, most int) {
	need.Root(t)
	need.Feature(t, "amd64", canFail, "calls are made to fail on amd64 only")
	a := newArena(t, o.edits...)
	whole := a.hit(o, blow{})
	if wrong := a.settle(); len(wrong) > 0 {
		t.Fatalf("without a failure: %q\n%s", wrong, a.said())
	}
	for _, role := range o.roles {
		struck, failed, clean, wrong := 0, 0, 0, 0
		for _, errno := range errnos() {
			for _, at := range points(whole.calls[role], most) {
				b := blow{role: role, at: at, errno: errno}
				res := a.hit(o, b)
				said := a.said()
				problems := a.judge(b, res)
				problems = append(problems, a.settle()...)
				if !res.struck {
					continue
				}
				struck++
				if res.status.ExitStatus() != 0 {
					failed++
				}
				if len(problems) == 0 {
					clean++
					continue
				}
				t.Errorf("%v (call %d, %v): %s\nthe command said: %s", b, res.call, res.status, strings.Join(problems, "\n  "), said)
				a.sweep()
				if wrong++; wrong >= maxWrong {
					return
				}
			}
		}
		fmt.Fprintf(t.Output(), "%s: %d points of %d, %d of them errors, %d clean\n", role, struck, whole.calls[role]*len(errnos()), failed, clean)
	}
}

// judge says what is wrong with how the command ended: it has to succeed, or to say why
// not and leave nothing.
func (a *arena) judge(b blow, res traced) []string {
	said := a.said()
	var wrong []string
	switch {
	case res.hung && strings.Contains(said, "syscall.forkExec"):
		return nil // os/exec's pipe to its child, whose failure it takes for the child's
	case res.hung:
		wrong = append(wrong, "the command hangs")
	case strings.Contains(said, "fatal error: cannot open standard fds"):
		return nil // the Go runtime's own first calls
	case strings.Contains(said, "goroutine ") || strings.Contains(said, "panic"):
		wrong = append(wrong, "the command panics")
	case res.status.ExitStatus() == 0:
		if s := a.r.Do("state", a.id); s.Code != 0 {
			wrong = append(wrong, "success without a container: "+s.String())
		}
		return wrong
	case res.status.ExitStatus() != 1 || strings.TrimSpace(said) == "":
		wrong = append(wrong, fmt.Sprintf("neither success nor an error with a message: %#x", int(res.status)))
	}
	left := a.left()
	if len(left) == 1 && left[0] == "state "+a.id && b.errno == unix.ENOENT && res.call == unix.SYS_OPENAT2 {
		return nil // a directory that vanishes just after it was made is somebody else's
	}
	if len(left) > 0 {
		wrong = append(wrong, fmt.Sprintf("the error left (%s)", strings.Join(left, "; ")))
	}
	return wrong
}

// perErrno is how many calls are made to fail with each errno if not all are.
const perErrno = 4

func TestErrnoCreate(t *testing.T) {
	failEverywhere(t, operation{args: []string{"create"}, roles: []string{command, initer}}, perErrno)
}

func TestErrnoCreateUserNamespace(t *testing.T) {
	failEverywhere(t, operation{
		args: []string{"create"}, roles: []string{command, initer, builder},
		edits: []lab.Edit{lab.UserNamespace(0, 100000, 65536), lab.Namespace(specs.TimeNamespace, "")},
	}, perErrno)
}
