package tour

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// Each mistake in naming a namespace has its own words, and leaves nothing. Create and run
// are different roads.
func TestNamespacePathErrors(t *testing.T) {
	dir := lab.Dir(t)
	file, fifo, socket := filepath.Join(dir, "file"), filepath.Join(dir, "fifo"), filepath.Join(dir, "socket")
	write(t, file, "x")
	if err := unix.Mkfifo(fifo, 0o666); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	const (
		noFile  = `config.json: linux.namespaces[INDEX].path: "PATH" does not exist`
		special = `config.json: linux.namespaces[INDEX].path: is not a namespace file`
		wrong   = `unable to start container process: linux.namespaces[INDEX].path: "PATH" is `
		cannot  = `unable to start container process: linux.namespaces[INDEX].path: cannot open "PATH": `
	)
	for _, c := range []struct {
		name string
		kind specs.LinuxNamespaceType
		path string
		want string
	}{
		{"regular file", "network", file, wrong + "not a namespace file: invalid argument"},
		{"proc file", "network", "/proc/self/status", wrong + "not a namespace file: invalid argument"},
		{"folder", "ipc", dir, special},
		{"fifo", "network", fifo, special},
		{"socket", "uts", socket, special},
		{"device", "uts", "/dev/null", special},
		{"another kind", "network", "/proc/self/ns/uts", wrong + "a uts namespace, not network: invalid argument"},
		{"another kind again", "user", "/proc/self/ns/mnt", wrong + "a mount namespace, not user: invalid argument"},
		{"missing", "network", dir + "/none", noFile},
		{"vanished process", "pid", "/proc/" + itoa(goneProcess(t)) + "/ns/pid", noFile},
		{"below a file", "ipc", file + "/x", cannot + "not a directory"},
		{"link to itself", "ipc", loop(t, dir), cannot + "too many levels of symbolic links"},
	} {
		t.Run(c.name, func(t *testing.T) {
			eachStance(t, func(t *testing.T, s stance) {
				b := s.bundle(t, joinKind(c.kind, c.path), noSys)
				words := []string{}
				if s.runtime.Ours() {
					index := itoa(len(b.Spec.Linux.Namespaces) - 1)
					words = append(words, printed(strings.NewReplacer("INDEX", index, "PATH", c.path).Replace(c.want)))
				}
				s.runtime.CreateFails(b, words...)
				s.runtime.Fails([]string{"run", "--bundle", b.Dir, s.runtime.ID()}, words...)
			})
		})
	}
}

// printed is a message as it stands in a log record.
func printed(text string) string { return strings.ReplaceAll(text, `"`, `\"`) }

// goneProcess is the pid of a process that has ended.
func goneProcess(t *testing.T) int {
	t.Helper()
	p, err := os.StartProcess(lab.Inside(), []string{"inside", "pid"}, &os.ProcAttr{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	return p.Pid
}

func loop(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", path); err != nil {
		t.Fatal(err)
	}
	return path
}

// What can be seen in the file alone is refused before anything is done.
func TestNamespaceConfigErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		edit lab.Edit
		want []string
	}{
		{"relative path", lab.Namespace("network", "run/netns/a"), []string{`linux.namespaces[5].path: must be absolute, found \"run/netns/a\"`}},
		{"twice", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: "pid"})
		}, []string{`linux.namespaces`, `malformed spec file: duplicated ns \"pid\"`, `duplicate \"pid\"`}},
		{"unknown kind", lab.Namespace("bad", ""), []string{`namespace {\"bad\" \"\"} does not exist`}},
		{"host name without uts", lab.Edit(func(s *specs.Spec) {
			lab.Without("uts")(s)
			s.Hostname = "x"
		}), []string{"unable to set hostname without a private UTS namespace"}},
		{"offsets without time", func(s *specs.Spec) {
			s.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1}}
		}, []string{"timeOffsets", "time namespace"}},
		{"maps without user", func(s *specs.Spec) {
			s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100000, Size: 1}}
		}, []string{"uidMappings", "user namespace"}},
		{"user without maps", lab.Namespace("user", ""), []string{"uidMappings"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := asRoot(t)
			b := s.bundle(t, c.edit)
			words := c.want
			if !s.runtime.Ours() {
				words = nil
			}
			s.runtime.CreateFails(b, words...)
		})
	}
}

// A limit of namespaces that is reached is named, with its value. The limits that are
// lowered are those of a user namespace of the test's own.
func TestExhaustedNamespaces(t *testing.T) {
	unshare := need.Tool(t, "unshare")
	for kind, limit := range map[specs.LinuxNamespaceType]string{
		"uts": "uts", "ipc": "ipc", "pid": "pid", "mount": "mnt", "network": "net", "cgroup": "cgroup", "time": "time", "user": "user",
	} {
		t.Run(string(kind), func(t *testing.T) {
			s := asUser(t)
			path := "/proc/sys/user/max_" + limit + "_namespaces"
			// Written by the namespace's root, which the shell is.
			s.runtime.Wrap = []string{unshare, "--user", "--map-root-user", "sh", "-c", `echo 0 >` + path + ` && exec "$@"`, "sh"}
			b := s.bundle(t)
			switch kind {
			case specs.UserNamespace:
				b.Edit(lab.UserNamespace(0, 0, 1))
			case specs.TimeNamespace:
				b.Edit(lab.Without("user"), lab.Namespace(kind, ""), noMaps)
			default:
				b.Edit(lab.Without("user"), noMaps)
			}
			words := []string{"no space left on device"}
			if s.runtime.Ours() {
				words = append(words, path+" is 0")
			}
			s.runtime.CreateFails(b, words...)
		})
	}
}

func noMaps(c *specs.Spec) { c.Linux.UIDMappings, c.Linux.GIDMappings = nil, nil }

func TestOrdinaryUserNeedsUserNamespace(t *testing.T) {
	s := asUser(t)
	b := s.bundle(t, lab.Without("user"), noMaps)
	words := []string{}
	if s.runtime.Ours() {
		words = append(words, "linux.namespaces: a rootless container needs a user namespace")
	}
	s.runtime.CreateFails(b, words...)
}

// Maps that the kernel refuses are named.
func TestRefusedMaps(t *testing.T) {
	for _, c := range []struct {
		name string
		edit lab.Edit
		want string
	}{
		{"foreign id", lab.UserNamespace(0, 0, 1), "cannot map ids with newuidmap"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := asUser(t)
			need.Tool(t, "newuidmap")
			words := []string{}
			if s.runtime.Ours() {
				words = append(words, c.want, "config.json /linux/uidMappings")
			}
			s.runtime.CreateFails(s.bundle(t, c.edit), words...)
		})
	}
}

// The switch that forbids unprivileged user namespaces is named.
func TestForbiddenUserNamespaces(t *testing.T) {
	unshare := need.Tool(t, "unshare")
	s := asUser(t)
	// As root of a chroot a process may make no user namespace: EPERM without a switch.
	s.runtime.Wrap = []string{unshare, "--user", "--map-root-user", "sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh"}
	b := s.bundle(t, lab.UserNamespace(0, 0, 1))
	words := []string{}
	if s.runtime.Ours() {
		words = append(words, "/proc/sys/user/max_user_namespaces is 0", "config.json /linux/namespaces")
	}
	s.runtime.CreateFails(b, words...)
}
