package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/leaks"
)

// helperEnv makes this test binary one of the programs in helpers.
const helperEnv = "OCIRT_STORE_TEST_HELPER"

func init() {
	if os.Getenv(helperEnv) != "" {
		runtime.LockOSThread() // the main thread is main's, which "headless" needs
	}
}

func TestMain(m *testing.M) {
	if h := os.Getenv(helperEnv); h != "" {
		helper(h)
		os.Exit(0)
	}
	os.Exit(leaks.Run(m))
}

func helper(what string) {
	switch what {
	case "saver":
		saver(os.Args[1])
	case "holder":
		holder(os.Args[1])
	case "headless":
		headless()
	}
}

// saver creates a container and saves its record for as long as it may.
func saver(root string) {
	r, err := Open(root, OpenOptions{})
	if err != nil {
		panic(err)
	}
	d, err := r.Create("victim", intended("victim"))
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	draft, err := d.Draft(sample("victim"))
	if err == nil {
		err = draft.Save()
	}
	if err != nil {
		panic(err)
	}
	for n := 1; ; n++ {
		rec := sample("victim")
		rec.Config = []byte(`{"n":"` + strings.Repeat("x", n%5000) + `"}`)
		if err := d.Save(rec); err != nil {
			panic(err)
		}
	}
}

// holder holds the lock of a container until it is killed.
func holder(root string) {
	r, err := Open(root, OpenOptions{})
	if err != nil {
		panic(err)
	}
	d, err := r.Open("locked")
	if err != nil {
		panic(err)
	}
	if ok, err := d.TryLock(); !ok {
		panic(err)
	}
	fmt.Println("ready")
	time.Sleep(time.Minute)
	d.Close()
}

// headless ends its main thread and goes on with the others.
func headless() {
	go func() {
		fmt.Println("ready")
		time.Sleep(time.Minute)
		os.Exit(0)
	}()
	time.Sleep(10 * time.Millisecond)
	_, _, _ = unix.RawSyscall(unix.SYS_EXIT, 0, 0, 0)
}

// startHelper starts a helper and waits until it says that it is ready. It is
// killed when the test ends.
func startHelper(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command("/proc/self/exe", args...)
	c.Env = append(os.Environ(), helperEnv+"="+what)
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	if _, err := out.Read(make([]byte, 16)); err != nil {
		t.Fatalf("helper %s did not get ready: %v", what, err)
	}
	return c
}

// inNamespaces runs the calling test again as a process in new namespaces, and
// says whether the caller is that process. Mounts made there die with it.
func inNamespaces(t *testing.T, flags uintptr) bool {
	t.Helper()
	const env = "OCIRT_STORE_TEST_INSIDE"
	if os.Getenv(env) == t.Name() {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			t.Fatalf("cannot make mounts private: %v", err)
		}
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	c.Env = append(os.Environ(), env+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | flags, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	out, err := c.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS: "+t.Name()) {
		t.Fatalf("in new namespaces: %v\n%s", err, out)
	}
	return false
}

func testRoot(t *testing.T) *Root {
	t.Helper()
	r, err := Open(filepath.Join(t.TempDir(), "root"), OpenOptions{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// create makes a container with the record that sample gives.
func create(t *testing.T, r *Root, id string) *Dir {
	t.Helper()
	d, err := r.Create(id, intended(id))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	must(t, d.Save(sample(id)))
	return d
}

// intended is what is known of sample before there is a process.
func intended(id string) *Record {
	rec := sample(id)
	rec.Phase, rec.Pid, rec.StartTime, rec.InitCalls, rec.Cgroup.Made = PhaseCreating, 0, 0, 0, nil
	return rec
}

func open(t *testing.T, r *Root, id string) *Dir {
	t.Helper()
	d, err := r.Open(id)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func sample(id string) *Record {
	return &Record{
		ID: id, Token: "00112233445566778899aabbccddeeff", BootID: "boot", Version: Version,
		OCIVersion: "1.3.0", Created: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC), Phase: PhaseCreated,
		Bundle: "/bundles/ä \"quoted\"\n", Rootfs: "/bundles/a/rootfs", Pid: 4711, StartTime: 1 << 60, InitCalls: 321,
		Cgroup: CgroupRecord{
			Manager: "cgroupfs", Path: "/a/b",
			Paths: map[string]string{"memory": "/sys/fs/cgroup/memory/a/b", "pids": "/sys/fs/cgroup/pids/a/b"},
			Made:  []string{"/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory/a/b"},
			Unit:  `ocirt-a\x2bb.scope`, User: true,
		},
		PidNamespace: true, Rootless: true, NoPivot: true, Owner: 1000, LastError: "x\x00y\u2028\u00e9",
		Resources: []byte(`{"pids":{"limit":-1}}`), IntelRdt: []byte(`{"closID":"a"}`),
		Config: []byte("{\n\t\"ociVersion\": \"1.3.0\", \"n\": [1, -2.5e3, null, \"\\u00e9\"]}"),
	}
}

// gone fails the test if there is anything of that name.
func gone(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is still there (%v)", path, err)
	}
}

func mode(t *testing.T, path string) fs.FileMode {
	t.Helper()
	fi, err := os.Lstat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi.Mode()
}

func itoa(n int) string { return strconv.Itoa(n) }
