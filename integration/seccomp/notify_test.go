package seccomp

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// notify is a profile that tells the agent of calls.
func (a *agent) notify(names ...string) *specs.LinuxSeccomp {
	p := allowBut(rule(specs.ActNotify, names...))
	p.ListenerPath, p.ListenerMetadata = a.Path, "tenant=7"
	return p
}

// ofAnother makes /tmp of the bundle a folder in which the container may make nothing.
func ofAnother(t testing.TB, b *lab.Bundle) {
	t.Helper()
	must(t, os.Chmod(filepath.Join(b.Rootfs, "tmp"), 0o755))
	must(t, os.Chown(filepath.Join(b.Rootfs, "tmp"), 4711, 4711))
}

func shell(line string) lab.Edit { return lab.Args("/bin/sh", "-c", line) }

// An agent makes folders for a container that may not, for its first process and for one
// that joins.
func TestAgentMakesDirectories(t *testing.T) {
	need.Root(t)
	for _, nnp := range []bool{false, true} {
		t.Run(fmt.Sprintf("noNewPrivileges=%v", nnp), func(t *testing.T) {
			r, a := lab.New(t), newAgent(t, makeDirectory)
			b := lab.NewBundle(t, confined(nnp), profile(a.notify("mkdir", "mkdirat"))).Busybox()
			ofAnother(t, b)
			b.Edit(shell("/bin/busybox mkdir /tmp/one && echo made; while :; do /bin/busybox sleep 1; done"), func(s *specs.Spec) {
				s.Annotations = map[string]string{"who": "me"}
			})
			c := r.Create(b)
			if !nnp {
				a.State(0)
			} else if a.Count() != 0 {
				t.Errorf("after create the agent has %d listeners", a.Count())
			}
			c.Start()
			c.Says("made")
			folder(t, filepath.Join(b.Rootfs, "tmp/one"))

			status := specs.StateCreating
			if nnp {
				status = specs.StateCreated // the filter is loaded as late as possible
			}
			want := specs.ContainerProcessState{
				Version: specs.Version, Fds: []string{"seccompFd"}, Pid: c.Pid, Metadata: "tenant=7",
				State: specs.State{
					Version: specs.Version, ID: c.ID, Status: status, Pid: c.Pid, Bundle: b.Dir,
					Annotations: map[string]string{"who": "me"},
				},
			}
			if got := a.State(0); !reflect.DeepEqual(got, want) {
				t.Errorf("the agent was sent\n%+v, want\n%+v", got, want)
			}

			r.Do("exec", c.ID, "/bin/busybox", "mkdir", "/tmp/two").OK()
			folder(t, filepath.Join(b.Rootfs, "tmp/two"))
			got := a.State(1)
			if got.Pid == c.Pid || got.Pid <= 1 || got.State.Pid != c.Pid || got.State.Status != specs.StateRunning {
				t.Errorf("for exec the agent was sent %+v", got)
			}
			if a.Count() != 2 {
				t.Errorf("the agent was sent %d states", a.Count())
			}
			c.Delete("--force").OK()
		})
	}
}

func folder(t *testing.T, path string) {
	t.Helper()
	if st, err := os.Stat(path); err != nil || !st.IsDir() || st.Mode().Perm() != 0o750 {
		t.Errorf("%s: %v, %v", path, st, err)
	}
}

// Whatever the profile tells the agent of, the agent has its listener before.
func TestNotifyOfEverything(t *testing.T) {
	need.Root(t)
	names := []string{
		"sendmsg", "read", "close", "sendto", "recvfrom", "recvmsg", "execve", "fcntl", "close_range", "prctl",
		"setresuid", "setresgid", "setgroups", "capset", "umask", "accept4", "prlimit64", "exit_group", "openat", "mmap",
	}
	for _, nnp := range []bool{false, true} {
		t.Run(fmt.Sprintf("noNewPrivileges=%v", nnp), func(t *testing.T) {
			r, a := lab.New(t), newAgent(t, nil)
			hook := specs.Hook{Path: "/bin/busybox", Args: []string{"busybox", "touch", "/tmp/hooked"}}
			b := lab.NewBundle(t, confined(nnp), profile(a.notify(names...)), func(s *specs.Spec) {
				s.Hooks = &specs.Hooks{StartContainer: []specs.Hook{hook}}
			}).Busybox()
			b.Edit(shell("echo up; while :; do /bin/busybox sleep 1; done"))
			c := r.Launch(b)
			c.Says("up")
			r.Do("exec", c.ID, "/bin/busybox", "true").OK()
			if a.Told(unix.SYS_EXECVE) < 3 {
				t.Errorf("the agent was told of execve %d times", a.Told(unix.SYS_EXECVE))
			}
			if a.Count() != 3 { // container, hook and exec
				t.Errorf("the agent was sent %d states", a.Count())
			}
			if _, err := os.Stat(filepath.Join(b.Rootfs, "tmp/hooked")); err != nil {
				t.Error(err)
			}
			c.Delete("--force").OK()
		})
	}
}

// A profile need not allow the calls by which the listener is handed over.
func TestNotifyNeedsNoCalls(t *testing.T) {
	need.Root(t)
	for _, action := range []specs.LinuxSeccompAction{specs.ActErrno, specs.ActKillProcess} {
		r, a := lab.New(t), newAgent(t, makeDirectory)
		p := a.notify("mkdir", "mkdirat")
		p.Syscalls = append(p.Syscalls, rule(action, "sendmsg", "read", "close", "sendto", "write", "recvmsg", "recvfrom"))
		b := lab.NewBundle(t, confined(true), profile(p)).Busybox()
		ofAnother(t, b)
		b.Edit(lab.Args("/bin/busybox", "mkdir", "/tmp/one"))
		r.Do("run", "--bundle", b.Dir, r.ID()).OK()
		folder(t, filepath.Join(b.Rootfs, "tmp/one"))
	}
}

// A container that nobody listens to is not made; if the agent goes between create and
// start, start can be tried again.
func TestAgentIsNotThere(t *testing.T) {
	need.Root(t)
	for _, nnp := range []bool{false, true} {
		r, a := lab.New(t), newAgent(t, nil)
		b := lab.NewBundle(t, confined(nnp), profile(a.notify("mkdir"))).Busybox()
		b.Edit(shell("echo up; while :; do /bin/busybox sleep 1; done"))
		a.close()
		begin := time.Now()
		r.CreateFails(b, "failed to connect with seccomp agent", "linux.seccomp.listenerPath", a.Path)
		if d := time.Since(begin); d > 2*time.Second {
			t.Errorf("it took %v", d)
		}
		for _, path := range []string{filepath.Join(b.Rootfs, "inside"), b.Rootfs, "/dev/null"} {
			b.Spec.Linux.Seccomp.ListenerPath = path
			b.Edit()
			r.CreateFails(b, "failed to connect with seccomp agent", path)
		}
		b.Spec.Linux.Seccomp.ListenerPath = a.Path
		b.Edit()
		a.open()
		c := r.Create(b)
		if !nnp {
			c.Delete("--force").OK()
			continue // the filter has been loaded, and start needs nobody
		}
		a.close()
		r.Do("start", c.ID).Failed("failed to connect with seccomp agent")
		if s := c.State(); s.Status != specs.StateCreated {
			t.Fatalf("the container is %s", s.Status)
		}
		a.open()
		c.Start().Says("up")
		c.Delete("--force").OK()
	}
}

// A link could be turned to the socket of somebody else, so it is not followed.
func TestAgentIsALink(t *testing.T) {
	need.Root(t)
	r, dir := lab.New(t), lab.Dir(t)
	l, err := net.Listen("unix", filepath.Join(dir, "agent"))
	must(t, err)
	defer l.Close()
	must(t, os.Symlink("agent", filepath.Join(dir, "link")))
	p := allowBut(rule(specs.ActNotify, "mkdir"))
	p.ListenerPath = filepath.Join(dir, "link")
	r.CreateFails(lab.NewBundle(t, confined(true), profile(p)), "failed to connect with seccomp agent", "link")
}

// A path may be longer than the address of a socket.
func TestAgentFarAway(t *testing.T) {
	need.Root(t)
	r, a := lab.New(t), newAgent(t, nil)
	dir := filepath.Join(filepath.Dir(a.Path), strings.Repeat("d", 200))
	must(t, os.Mkdir(dir, 0o755))
	p := a.notify("mkdir")
	p.ListenerPath = filepath.Join(dir, "agent.sock")
	must(t, os.Rename(a.Path, p.ListenerPath))
	p.ListenerMetadata = strings.Repeat("m", 1<<19)
	b := lab.NewBundle(t, confined(true), profile(p), lab.Check("exit", "0"))
	r.Do("run", "--bundle", b.Dir, r.ID()).OK()
	if got := a.State(0).Metadata; got != p.ListenerMetadata {
		t.Errorf("%d bytes of metadata", len(got))
	}
}

// A listener without SCMP_ACT_NOTIFY is ignored, whatever is there.
func TestListenerWithoutNotify(t *testing.T) {
	r := lab.New(t)
	p := allowBut(rule(specs.ActErrno, "mkdir"))
	p.ListenerPath = "/nowhere/agent.sock"
	b := lab.NewBundle(t, confined(true), profile(p), lab.Check("exit", "0"))
	if os.Geteuid() != 0 {
		b.Edit(lab.UserNamespace(0, uint32(os.Geteuid()), 1))
	}
	r.Do("run", "--bundle", b.Dir, r.ID()).OK()
}

// An ordinary user's container has agents, too.
func TestAgentOfAnOrdinaryUser(t *testing.T) {
	need.UserNamespaces(t)
	const user = 12345
	for _, nnp := range []bool{false, true} {
		r := lab.NewAs(t, user)
		a := newAgent(t, func(*notification) response { return response{Error: -int32(unix.EDOM)} })
		b := lab.NewBundle(t, confined(nnp), profile(a.notify("mkdir", "mkdirat"))).Busybox()
		b.Edit(lab.UserNamespace(0, uint32(r.User), 1), lab.Without(specs.NetworkNamespace), lab.Args("/bin/busybox", "mkdir", "/tmp/one"), func(s *specs.Spec) {
			s.Mounts = s.Mounts[:2] // proc and /dev
		})
		b.Chown(r.User, r.User)
		res := r.Do("run", "--bundle", b.Dir, r.ID())
		if a.ToldOfAny() == 0 || !strings.Contains(res.Stderr, "Numerical argument out of domain") {
			t.Errorf("noNewPrivileges=%v: %v", nnp, res)
		}
	}
}
