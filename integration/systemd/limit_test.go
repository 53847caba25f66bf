package systemd

import (
	"os"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func itoa(n int) string { return strconv.Itoa(n) }

func ptr[T any](v T) *T { return &v }

// Limits are the unit's and the files', and stay when systemd writes its own idea of the
// files, after updates, too.
func TestLimitsSurviveAReload(t *testing.T) {
	r := onBench(t)
	needV2(t)
	c := create(t, r, bundle(t, limits(specs.LinuxResources{
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20)), Swap: ptr(int64(64 << 20))},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(50))},
		CPU:     &specs.LinuxCPU{Quota: ptr(int64(33333)), Period: ptr(uint64(100000)), Shares: ptr(uint64(512)), Cpus: "0"},
		Unified: map[string]string{"memory.high": "50331648"},
	})))
	c.Start()
	unit, group := "ocirt-"+c.ID+".scope", cgroupOf(t, c.Pid)
	check := func(when string, properties, files map[string]string) {
		t.Helper()
		for name, want := range properties {
			if got := property(t, unit, name); got != want {
				t.Errorf("%s: %s is %q, not %q", when, name, got, want)
			}
		}
		for file, want := range files {
			wantFile(t, group, file, want)
		}
	}
	properties := map[string]string{
		"MemoryMax": "67108864", "MemoryLow": "33554432", "MemoryHigh": "50331648", "MemorySwapMax": "0", "TasksMax": "50",
		"CPUQuotaPerSecUSec": "340ms", "CPUQuotaPeriodUSec": "100ms", "CPUWeight": "59", "AllowedCPUs": "0",
	}
	files := map[string]string{
		"memory.max": "67108864", "memory.low": "33554432", "memory.high": "50331648", "memory.swap.max": "0", "pids.max": "50",
		"cpu.max": "34000 100000", "cpu.weight": "59", "cpuset.cpus": "0",
	}
	check("create", properties, files)

	r.Do("update", "--memory", "128M", "--memory-swap", "256M", "--pids-limit", "20", c.ID).OK()
	properties["MemoryMax"], properties["MemorySwapMax"], properties["TasksMax"] = "134217728", "134217728", "20"
	files["memory.max"], files["memory.swap.max"], files["pids.max"] = "134217728", "134217728", "20"
	check("update", properties, files)

	r.Do("update", "--cpu-quota", "50000", c.ID).OK()
	properties["CPUQuotaPerSecUSec"], files["cpu.max"] = "500ms", "50000 100000"
	reload(t)
	check("another update", properties, files)

	// One that fails changes nothing.
	r.Do("update", "--pids-limit", "7", "--cpuset-cpus", "4000", c.ID).Failed("4000")
	check("failed update", properties, files)
	c.Delete("--force").OK()
	noUnit(t, unit)
}

// openable finds devices that root may open without any capability.
func openable(t *testing.T, n int) (found []specs.LinuxDevice) {
	t.Helper()
	for _, path := range []string{"/dev/fuse", "/dev/loop-control", "/dev/vcs", "/dev/vcsa", "/dev/tty1", "/dev/rtc0"} {
		f, err := os.OpenFile(path, os.O_RDONLY, 0)
		if err != nil {
			continue
		}
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		f.Close()
		if err == nil && len(found) < n {
			found = append(found, specs.LinuxDevice{
				Path: path, Type: "c", Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev)), FileMode: ptr(os.FileMode(0o666)),
			})
		}
	}
	need.Feature(t, "devices", len(found) == n, "too few devices that can be opened")
	return found
}

func TestDeviceRulesSurviveAReload(t *testing.T) {
	need.Root(t)
	r := onBench(t)
	devices := openable(t, 2)
	good, bad := devices[0], devices[1]
	b := bundle(t, limits(specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{
		{Access: "rwm"}, {Allow: true, Type: "c", Major: &good.Major, Minor: &good.Minor, Access: "r"},
	}}), func(s *specs.Spec) { s.Linux.Devices = devices }).Busybox()
	c := create(t, r, b).Start()
	unit := "ocirt-" + c.ID + ".scope"
	opens := func(path string) bool {
		t.Helper()
		return r.Do("exec", c.ID, "/bin/sh", "-c", "exec 3<"+path).Code == 0
	}
	check := func(when string) {
		t.Helper()
		if !opens(good.Path) || !opens("/dev/null") || opens(bad.Path) {
			t.Errorf("%s: %s %v, null %v, %s %v", when, good.Path, opens(good.Path), opens("/dev/null"), bad.Path, opens(bad.Path))
		}
	}
	check("created")
	reload(t)
	check("reloaded")
	if got := property(t, unit, "DevicePolicy"); got != "strict" {
		t.Errorf("DevicePolicy is %q", got)
	}
	c.Delete("--force").OK()
}

// A user without a controller is told which, and where it stops.
func TestMissingController(t *testing.T) {
	if os.Geteuid() == 0 {
		need.Feature(t, "user", false, "root has all controllers")
	}
	r := onBench(t)
	t.Setenv(lab.Flags, "--systemd-cgroup")
	sizes, _ := os.ReadDir("/sys/kernel/mm/hugepages")
	need.Feature(t, "hugepages", len(sizes) > 0, "no sizes of huge pages")
	r.CreateFails(bundle(t, limits(specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 0}}})),
		"linux.resources.hugepageLimits[0]", "hugetlb", "is not available in cgroup /sys/fs/cgroup/user.slice", "does not pass it on")
}

func TestDisabled(t *testing.T) {
	r := onBench(t)
	own := cgroupOf(t, os.Getpid())
	t.Setenv(lab.Flags, "--cgroup-manager disabled")
	c := r.Create(bundle(t, lab.Without(specs.CgroupNamespace)))
	t.Setenv(lab.Flags, "")
	if got := cgroupOf(t, c.Pid); got != own {
		t.Errorf("it is in %q, and its creator in %q", got, own)
	}
	c.Start()
	r.Do("kill", "--all", c.ID, "KILL").OK()
	c.Wait()
	c.Delete().OK()
	t.Setenv(lab.Flags, "--cgroup-manager disabled")
	r.CreateFails(bundle(t, limits(specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}})),
		"linux.resources: cannot limit memory", "--cgroup-manager disabled")
}
