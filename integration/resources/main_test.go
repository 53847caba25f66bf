package resources

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMain(m *testing.M) { lab.Main(m) }

// asRoot puts the runtime on the bench for root.
func asRoot(t *testing.T) *lab.Runtime {
	t.Helper()
	need.Root(t)
	return lab.New(t)
}

// onBench puts it there for whoever may set limits: root, or a user who may make cgroups.
func onBench(t *testing.T) *lab.Runtime {
	t.Helper()
	switch {
	case !ordinary():
		return asRoot(t)
	case systemd():
		need.Systemd(t)
	default:
		err := unix.Access(filepath.Join(v2Root(), ownGroup(t)), unix.W_OK)
		need.Feature(t, "delegation", pureV2() && err == nil, fmt.Sprintf("this user may not make cgroups in %q: %v", ownGroup(t), err))
	}
	need.UserNamespaces(t)
	return lab.New(t)
}

// ownGroup is the v2 group of the tests.
func ownGroup(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/cgroup")
	must(t, err)
	_, path, _ := strings.Cut(string(text), "0::")
	path, _, _ = strings.Cut(path, "\n")
	return path
}

// rounds is how often a test does its work, fewer with -short.
func rounds(n int) int {
	if testing.Short() {
		return min(n, 3)
	}
	return n
}

// ordinary reports whether the tests run as an ordinary user.
func ordinary() bool { return os.Geteuid() != 0 }

// shell is a bundle whose program is a shell with this line, in a few hundred KiB.
func shell(t *testing.T, line string, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	return bundle(t, append([]lab.Edit{lab.Args("/bin/sh", "-c", line), limits(&specs.LinuxResources{})}, edits...)...).Busybox()
}

// bundle makes one that whoever runs the tests can run.
func bundle(t *testing.T, edits ...lab.Edit) *lab.Bundle {
	t.Helper()
	if ordinary() {
		edits = append([]lab.Edit{lab.UserNamespace(0, uint32(os.Geteuid()), 1)}, edits...)
	}
	return lab.NewBundle(t, edits...)
}

// forever is the line of a shell that says "up" and waits for its end.
const forever = "echo up; while :; do /bin/busybox sleep 1000; done"

// limits sets linux.resources.
func limits(r *specs.LinuxResources) lab.Edit {
	return func(s *specs.Spec) { s.Linux.Resources = r }
}

func ptr[T any](v T) *T { return &v }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A group is a container's cgroup for one controller.
type group struct {
	t   *testing.T
	dir string
	v2  bool
}

// groupOf finds it as the kernel tells it of the container's first process.
func groupOf(t *testing.T, c *lab.Container, controller string) group {
	t.Helper()
	data, err := os.ReadFile("/proc/" + itoa(c.Pid) + "/cgroup")
	must(t, err)
	g := group{t: t}
	for line := range strings.Lines(string(data)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		switch {
		case fields[1] == "" && g.dir == "":
			g.v2, g.dir = true, filepath.Join(v2Root(), fields[2])
		case hasWord(fields[1], controller):
			g.v2, g.dir = false, filepath.Join("/sys/fs/cgroup", fields[1], fields[2])
		}
	}
	_, err = os.Stat(filepath.Join(g.dir, "cgroup.procs"))
	need.Feature(t, controller, err == nil && g.has(controller), fmt.Sprintf("no controller %s in %q: %v", controller, g.dir, err))
	return g
}

// has tells whether a v2 group has the controller; a v1 hierarchy exists only with it.
func (g group) has(controller string) bool {
	if !g.v2 || controller == "freezer" || controller == "devices" {
		return true
	}
	data, err := os.ReadFile(filepath.Join(g.dir, "cgroup.controllers"))
	return err == nil && hasWord(strings.ReplaceAll(string(data), " ", ","), controller)
}

func hasWord(list, word string) bool {
	for w := range strings.SplitSeq(strings.TrimSpace(list), ",") {
		if w == word {
			return true
		}
	}
	return false
}

// v2Root is where the v2 hierarchy is mounted: beside v1 ones, or alone.
func v2Root() string {
	if pureV2() {
		return "/sys/fs/cgroup"
	}
	return "/sys/fs/cgroup/unified"
}

func pureV2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// file names a file of the group: v1's name, or v2's.
func (g group) file(v1, v2 string) string {
	if g.v2 {
		return v2
	}
	return v1
}

// read returns what a file of the group holds.
func (g group) read(v1, v2 string) string {
	g.t.Helper()
	data, err := os.ReadFile(filepath.Join(g.dir, g.file(v1, v2)))
	must(g.t, err)
	return strings.TrimSpace(string(data))
}

// want checks what a file of the group holds.
func (g group) want(v1, v2, value1, value2 string) {
	g.t.Helper()
	want := value1
	if g.v2 {
		want = value2
	}
	if got := g.read(v1, v2); got != want {
		g.t.Errorf("%s holds %q, want %q", g.file(v1, v2), got, want)
	}
}

// field returns a number of a file with "key value" lines.
func (g group) field(v1, v2, key1, key2 string) int64 {
	g.t.Helper()
	key := key1
	if g.v2 {
		key = key2
	}
	for line := range strings.Lines(g.read(v1, v2)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == key {
			n, err := strconv.ParseInt(v, 10, 64)
			must(g.t, err)
			return n
		}
	}
	g.t.Fatalf("%s has no line %q:\n%s", g.file(v1, v2), key, g.read(v1, v2))
	return 0
}

// missing reports whether the group has no such file, which older kernels may lack.
func (g group) missing(v1, v2 string) bool {
	_, err := os.Stat(filepath.Join(g.dir, g.file(v1, v2)))
	return err != nil
}

func itoa(n int) string { return strconv.Itoa(n) }

// status waits until the container has this status.
func status(t *testing.T, c *lab.Container, want specs.ContainerState) {
	t.Helper()
	var got specs.ContainerState
	if !lab.Eventually(func() bool { got = c.State().Status; return got == want }) {
		t.Fatalf("container is %s, want %s", got, want)
	}
}

// growth measures how much larger something is after some time.
func growth(d time.Duration, measure func() int64) int64 {
	before := measure()
	time.Sleep(d)
	return measure() - before
}

// systemd reports whether systemd makes the cgroups of these tests.
func systemd() bool { return strings.Contains(os.Getenv(lab.Flags), "systemd") }

func mkfifo(path string) error { return unix.Mkfifo(path, 0o600) }
