package clients

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/need"
)

// A podman is the engine with a store, an image and a runtime's state directory of its own.
type podman struct {
	t       *testing.T
	dir     string
	program string
	runtime string
	flags   []string
	env     []string
	groups  []string // that podman has made before, for others
}

const image = "localhost/busybox"

// patience is for the slowest command on a busy machine.
const patience = 90 * time.Second

// newPodman makes the store and loads the image. It skips the test where podman cannot run
// a container with the runtime of the distribution either.
func newPodman(t *testing.T) *podman {
	t.Helper()
	need.Root(t)
	p := &podman{t: t, program: need.Tool(t, "podman"), runtime: os.Getenv("OCIRT")}
	need.Tool(t, "conmon")
	busybox := need.Tool(t, "busybox")
	if p.runtime == "" {
		p.runtime = "../../bin/ocirt"
	}
	var err error
	p.runtime, err = filepath.Abs(p.runtime)
	must(t, err)
	p.dir, err = os.MkdirTemp("", "ocirt-clients-") //nolint:usetesting // mounts below it go first
	must(t, err)
	must(t, os.Chmod(p.dir, 0o755))
	p.groups = conmonGroups(t)
	t.Cleanup(p.cleanUp)
	conf := p.dir + "/containers.conf"
	must(t, os.WriteFile(conf, []byte(`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
events_logger = "file"
`), 0o644))
	storage := p.dir + "/storage.conf"
	must(t, os.WriteFile(storage, fmt.Appendf(nil, "[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", p.dir+"/graph", p.dir+"/run"), 0o644))
	p.env = append(os.Environ(), "CONTAINERS_CONF="+conf, "CONTAINERS_STORAGE_CONF="+storage, "HOME="+p.dir)
	p.flags = []string{
		"--cgroup-manager", "cgroupfs", "--tmpdir", p.dir + "/tmp", "--runtime", p.dir + "/ocirt",
	}
	// podman gives its --runtime-flag to create, and not to delete.
	must(t, os.WriteFile(p.dir+"/ocirt", fmt.Appendf(nil, "#!/bin/sh\nexec %s --root %s/state \"$@\"\n", p.runtime, p.dir), 0o755))
	must(t, os.WriteFile(p.dir+"/image.tar", rootfs(t, busybox), 0o644))
	p.ok("import", "-c", `ENV=["PATH=/bin"]`, "-c", `CMD=["sh"]`, p.dir+"/image.tar", image)
	return p
}

// cleanUp removes all containers, and the store.
func (p *podman) cleanUp() {
	if len(p.flags) > 0 {
		p.do("", "rm", "--all", "--force", "--time", "0")
		p.do("", "pod", "rm", "--all", "--force", "--time", "0")
	}
	if entries, _ := os.ReadDir(p.dir + "/state"); len(entries) > 0 {
		p.t.Errorf("left behind in the state directory: %v", entries)
	}
	p.removeGroups()
	out, _ := exec.Command("umount", p.dir+"/graph").CombinedOutput()
	if err := os.RemoveAll(p.dir); err != nil {
		p.t.Errorf("%v (%s)", err, bytes.TrimSpace(out))
	}
}

// conmonGroups are the cgroups that podman makes for its monitors and never removes, inner
// ones first.
func conmonGroups(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/libpod_parent/conmon", "/sys/fs/cgroup/libpod_parent/conmon", "/sys/fs/cgroup/*/libpod_parent", "/sys/fs/cgroup/libpod_parent"} {
		found, err := filepath.Glob(pattern)
		must(t, err)
		all = append(all, found...)
	}
	return all
}

// removeGroups removes those that were not there before. The last monitors may be on their
// way out still.
func (p *podman) removeGroups() {
	for _, dir := range conmonGroups(p.t) {
		if slices.Contains(p.groups, dir) {
			continue
		}
		err := os.Remove(dir)
		for deadline := time.Now().Add(patience); errors.Is(err, syscall.EBUSY) && time.Now().Before(deadline); err = os.Remove(dir) {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			p.t.Errorf("left behind by podman: %v", err)
		}
	}
}

// rootfs is a root file system of nothing but busybox, as a tar.
func rootfs(t *testing.T, busybox string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	add := func(h tar.Header, data []byte) {
		h.Size = int64(len(data))
		must(t, w.WriteHeader(&h))
		_, err := w.Write(data)
		must(t, err)
	}
	for name, mode := range map[string]int64{"bin/": 0o755, "etc/": 0o755, "tmp/": 0o1777, "proc/": 0o755, "sys/": 0o755, "dev/": 0o755, "var/": 0o755, "run/": 0o755} {
		add(tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}, nil)
	}
	data, err := os.ReadFile(busybox)
	must(t, err)
	add(tar.Header{Name: "bin/busybox", Typeflag: tar.TypeReg, Mode: 0o755}, data)
	applets, err := exec.Command(busybox, "--list").Output()
	must(t, err)
	for name := range strings.FieldsSeq(string(applets)) {
		if name != "busybox" {
			add(tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	add(tar.Header{Name: "etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:0:root:/:/bin/sh\nu:x:1000:1000::/:/bin/sh\n"))
	add(tar.Header{Name: "etc/group", Typeflag: tar.TypeReg, Mode: 0o644}, []byte("root:x:0:\nu:x:1000:\nextra:x:2000:u\n"))
	must(t, w.Close())
	return b.Bytes()
}

// do runs podman and returns what it prints, and its exit status.
func (p *podman) do(stdin string, args ...string) (out string, status int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.program, append(append([]string{}, p.flags...), args...)...)
	cmd.Env, cmd.Dir = p.env, p.dir
	cmd.Stdin = strings.NewReader(stdin)
	// A file: what podman leaves behind holds a pipe open.
	f, err := os.CreateTemp(p.dir, "out")
	must(p.t, err)
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	data, readErr := os.ReadFile(f.Name())
	must(p.t, readErr)
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		p.t.Fatalf("podman %q does not end:\n%s", args, data)
	case errors.As(err, &exit):
		return string(data), exit.ExitCode()
	case err != nil:
		p.t.Fatal(err)
	}
	return string(data), 0
}

// ok runs podman and fails the test if it fails.
func (p *podman) ok(args ...string) string {
	p.t.Helper()
	out, status := p.do("", args...)
	if status != 0 {
		p.t.Fatalf("podman %q: status %d\n%s", args, status, out)
	}
	return out
}

// run runs a container in the foreground.
func (p *podman) run(args ...string) (out string, status int) {
	p.t.Helper()
	return p.do("", append([]string{"run", "--rm", "--network", "none"}, args...)...)
}

// on is the same engine in a sub-test.
func (p *podman) on(t *testing.T) *podman {
	q := *p
	q.t = t
	return &q
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(done func() bool) bool {
	for deadline := time.Now().Add(patience); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}
