package systemd

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// inside marks a test binary that runs under a systemd of the tests' own.
const inside = "OCIRT_SYSTEMD_INSIDE"

// TestOnCgroup1 runs the other tests under cgroup v1, which the systemd of most hosts knows
// no more. Where the host has v1 and a systemd of Debian 12's time is installed, but not
// running, it is the first process of a container that the runtime under test makes, with the
// host's files.
func TestOnCgroup1(t *testing.T) {
	need.Root(t)
	const program = "/lib/systemd/systemd"
	need.Feature(t, "cgroup1", exists("/sys/fs/cgroup/memory/tasks") && os.Getenv(inside) == "", "no hierarchies of cgroup v1")
	need.Feature(t, "old-systemd", exists(program) && versionOf(t) < 258 && !exists("/run/systemd/private"), "no systemd that knows cgroup v1 is there to be started")
	r := lab.New(t)
	t.Setenv(lab.Flags, "")
	b := hostBundle(t, program)
	id := r.ID()
	cmd := r.Command("run", "--detach", "--bundle", b.Dir, id)
	// Not at the top of the version 2 hierarchy, which would then be systemd's.
	if group := ownGroup(t); group != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	}
	r.Finish(cmd).OK()
	t.Cleanup(func() { r.Do("delete", "--force", id).OK() })
	if !lab.Eventually(func() bool { return r.Do("exec", id, "/bin/systemctl", "is-active", "ocirt-test.target").Code == 0 }) {
		t.Fatal("systemd does not start")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	tests := lab.Dir(t) // in /tmp, which is the host's
	here := filepath.Join(tests, "systemd")
	if out, err := exec.Command("cp", self, here).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	runs := func(t *testing.T, folder, program string, least string, env ...string) {
		t.Helper()
		folder, err := filepath.Abs(folder)
		if err != nil {
			t.Fatal(err)
		}
		args := []string{"exec", "--cwd", folder}
		for _, e := range append(env, inside+"=1", "OCIRT="+r.Path, lab.Programs+"="+filepath.Dir(lab.Inside()), "PATH="+os.Getenv("PATH")) {
			args = append(args, "--env", e)
		}
		cmd := r.Command(append(args, id, program, "-test.v", "-test.timeout=8m")...)
		out, err := cmd.CombinedOutput()
		if t.Logf("%s", out); err != nil || !strings.Contains(string(out), "--- PASS: "+least) {
			t.Errorf("%v", err)
		}
	}
	t.Run("systemd", func(t *testing.T) { runs(t, ".", here, "TestLimitsSurviveOthersOnCgroup1") })
	t.Run("resources", func(t *testing.T) {
		need.Feature(t, "all-cgroup1", os.Getenv("OCIRT_CGROUP1") == "all", "set OCIRT_CGROUP1=all on an idle machine: it takes a minute")
		program := filepath.Join(tests, "resources")
		out, err := exec.Command(need.Tool(t, "go"), "test", "-c", "-o", program, "../resources").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		runs(t, "../resources", program, "TestUpdateKeepsTheRest", lab.Flags+"=--systemd-cgroup")
	})
}

// versionOf is the version of the systemd that is installed.
func versionOf(t *testing.T) int {
	t.Helper()
	out, err := exec.Command(need.Tool(t, "systemctl"), "--version").Output()
	fields := strings.Fields(string(out))
	if err != nil || len(fields) < 2 {
		t.Fatalf("systemctl --version: %v: %q", err, out)
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// ownGroup is a new group of the version 2 hierarchy of a hybrid host.
func ownGroup(t *testing.T) *os.File {
	t.Helper()
	if !exists("/sys/fs/cgroup/unified/cgroup.procs") {
		return nil
	}
	dir := "/sys/fs/cgroup/unified/ocirt-test-" + itoa(os.Getpid())
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	f, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// hostBundle is a container with the host's files, over which it may write, all rights, and
// nothing to do but this program.
func hostBundle(t *testing.T, program string) *lab.Bundle {
	t.Helper()
	b := lab.NewBundle(t, lab.Args(program, "--unit=ocirt-test.target", "--log-target=console"), func(s *specs.Spec) {
		s.Process.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "container=ocirt"}
		s.Process.Capabilities = everyCapability(t)
		s.Mounts = []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs"},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"rw"}},
			{Destination: "/dev", Type: "bind", Source: "/dev", Options: []string{"rbind", "rslave"}},
			{Destination: "/tmp", Type: "bind", Source: "/tmp", Options: []string{"rbind", "rslave"}},
			{Destination: "/run", Type: "tmpfs", Source: "tmpfs", Options: []string{"mode=755"}},
		}
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, []string{"/proc/sys"} // the host's switches
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}
	})
	over := lab.Dir(t)
	mount := func(kind, to, data string) {
		if err := unix.Mount(kind, to, kind, 0, data); err != nil {
			t.Fatalf("cannot mount %s: %v", kind, err)
		}
		t.Cleanup(func() {
			if err := unix.Unmount(to, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	}
	mount("tmpfs", over, "")
	units := filepath.Join(over, "upper/etc/systemd/system")
	for _, dir := range []string{filepath.Join(over, "work"), units} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(units, "ocirt-test.target"), []byte("[Unit]\nDefaultDependencies=no\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mount("overlay", b.Rootfs, "lowerdir=/,upperdir="+over+"/upper,workdir="+over+"/work")
	return b
}

// everyCapability is all that this process has.
func everyCapability(t *testing.T) *specs.LinuxCapabilities {
	t.Helper()
	out, err := exec.Command(need.Tool(t, "setpriv"), "--dump").Output()
	_, list, ok := strings.Cut(string(out), "Capability bounding set: ")
	if err != nil || !ok {
		t.Fatalf("setpriv: %v: %s", err, out)
	}
	list, _, _ = strings.Cut(list, "\n")
	var all []string
	for name := range strings.SplitSeq(list, ",") {
		all = append(all, "CAP_"+strings.ToUpper(name))
	}
	return &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all, Inheritable: all, Ambient: all}
}

// What systemd knows of limits on cgroup v1.
func TestLimitsSurviveOthersOnCgroup1(t *testing.T) {
	need.Root(t)
	need.Feature(t, "cgroup1", exists("/sys/fs/cgroup/memory/tasks"), "no hierarchies of cgroup v1")
	r := onBench(t)
	d := disk(t)
	d.Rate = 1 << 20
	c := create(t, r, bundle(t, limits(specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(64 << 20))},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(50))},
		CPU:     &specs.LinuxCPU{Quota: ptr(int64(33333)), Period: ptr(uint64(100000)), Shares: ptr(uint64(512)), Cpus: "0"},
		BlockIO: &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{d}},
	}))).Start()
	unit, group := "ocirt-"+c.ID+".scope", cgroupOf(t, c.Pid)
	disk := strconv.FormatInt(d.Major, 10) + ":" + strconv.FormatInt(d.Minor, 10)
	files := map[string]string{
		"memory/memory.limit_in_bytes": "67108864", "pids/pids.max": "50", "cpu/cpu.cfs_quota_us": "34000", "cpu/cpu.shares": "512",
		"cpuset/cpuset.cpus": "0", "blkio/blkio.throttle.read_bps_device": disk + " 1048576",
	}
	check := func(when string) {
		t.Helper()
		for file, want := range files {
			controller, name := filepath.Split(file)
			text, err := os.ReadFile(filepath.Join("/sys/fs/cgroup", controller, group, name))
			if got := string(bytes.TrimSpace(text)); err != nil || got != want {
				t.Errorf("%s: %s is %q (%v), not %s", when, file, got, err, want)
			}
		}
	}
	check("created")
	others(t, unit, "CPUWeight=50", "TasksMax=51")
	files["pids/pids.max"] = "51"
	files["cpu/cpu.shares"] = "512"
	check("others")
	r.Do("update", "--memory", "32M", "--pids-limit", "20", c.ID).OK()
	files["memory/memory.limit_in_bytes"], files["pids/pids.max"] = "33554432", "20"
	check("updated")
	others(t, unit)
	check("reloaded")
	for name, want := range map[string]string{
		"MemoryLimit": "33554432", "TasksMax": "20", "CPUQuotaPerSecUSec": "340ms", "CPUShares": "512", "BlockIOReadBandwidth": "/dev/block/" + disk + " 1048576",
	} {
		if got := property(t, unit, name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	c.Delete("--force").OK()
	noUnit(t, unit)
}
