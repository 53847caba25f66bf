package systemd

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
	"github.com/opencontainers/runtime-spec/specs-go"
)

// others makes systemd write the files of a unit: it reads its configuration again, and
// somebody sets limits that are none of ours.
func others(t *testing.T, unit string, properties ...string) {
	t.Helper()
	reload(t)
	for _, p := range properties {
		if out, err := tool(t, "systemctl", "set-property", "--runtime", unit, p); err != nil {
			t.Fatalf("set-property %s: %v: %s", p, err, out)
		}
	}
	time.Sleep(200 * time.Millisecond)
}

// change updates limits by a file.
func change(t *testing.T, r *lab.Runtime, c *lab.Container, json string) lab.Result {
	t.Helper()
	file := filepath.Join(lab.Dir(t), "update.json")
	if err := os.WriteFile(file, []byte(json), 0o600); err != nil {
		t.Fatal(err)
	}
	return r.Do("update", "--resources", file, c.ID)
}

// disk finds a whole device that is made of no others.
func disk(t *testing.T) specs.LinuxThrottleDevice {
	t.Helper()
	var d specs.LinuxThrottleDevice
	found, _ := filepath.Glob("/sys/block/*/dev")
	for _, path := range found {
		below, _ := os.ReadDir(filepath.Join(filepath.Dir(path), "slaves"))
		text, err := os.ReadFile(path)
		major, minor, ok := strings.Cut(strings.TrimSpace(string(text)), ":")
		if err != nil || !ok || len(below) > 0 {
			continue
		}
		d.Major, _ = strconv.ParseInt(major, 10, 64)
		d.Minor, _ = strconv.ParseInt(minor, 10, 64)
	}
	need.Feature(t, "disk", d.Major != 0, "no block device")
	return d
}

func TestDeviceLimitsSurviveOthers(t *testing.T) {
	r := onBench(t)
	needV2(t)
	d := disk(t)
	d.Rate = 1 << 20
	c := create(t, r, bundle(t))
	_, err := os.Stat("/sys/fs/cgroup" + cgroupOf(t, c.Pid) + "/io.max")
	need.Feature(t, "io", err == nil, "no controller io")
	c.Delete("--force").OK()

	c = create(t, r, bundle(t, limits(specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		Weight: ptr(uint16(500)), ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{d}, ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{d},
	}})))
	c.Start()
	unit, group := "ocirt-"+c.ID+".scope", cgroupOf(t, c.Pid)
	name := strconv.FormatInt(d.Major, 10) + ":" + strconv.FormatInt(d.Minor, 10)
	weights := func() string {
		text, err := os.ReadFile("/sys/fs/cgroup" + group + "/io.bfq.weight")
		if err != nil {
			text, _ = os.ReadFile("/sys/fs/cgroup" + group + "/io.weight")
		}
		return string(text)
	}
	before := weights()
	if before == "" || strings.HasPrefix(before, "default 100\n") {
		t.Errorf("the weight is %q", before)
	}
	others(t, unit, "IOWriteBandwidthMax=/dev/block/"+name+" 3000000", "CPUWeight=50")
	wantFile(t, group, "io.max", name+" rbps=1048576 wbps=3000000 riops=max wiops=1048576")
	if after := weights(); after != before {
		t.Errorf("the weight is %q, and was %q", after, before)
	}
	if got := property(t, unit, "IOReadBandwidthMax"); got != "/dev/block/"+name+" 1048576" {
		t.Errorf("IOReadBandwidthMax is %q", got)
	}

	change(t, r, c, `{"blockIO":{"throttleReadBpsDevice":[{"major":`+strconv.FormatInt(d.Major, 10)+`,"minor":`+strconv.FormatInt(d.Minor, 10)+`,"rate":0}]}}`).OK()
	others(t, unit, "CPUWeight=60")
	if got := property(t, unit, "IOReadBandwidthMax"); got != "" {
		t.Errorf("IOReadBandwidthMax is %q", got)
	}
	wantFile(t, group, "io.max", name+" rbps=max wbps=3000000 riops=max wiops=1048576")
	c.Delete("--force").OK()
}

// OOMPolicy cannot be set of a unit that runs.
func TestOOMGroupSurvivesOthers(t *testing.T) {
	r := onBench(t)
	needV2(t)
	c := create(t, r, bundle(t)).Start()
	unit, group := "ocirt-"+c.ID+".scope", cgroupOf(t, c.Pid)
	update := func(json string) {
		t.Helper()
		change(t, r, c, json).OK()
		time.Sleep(200 * time.Millisecond)
	}
	wantFile(t, group, "memory.oom.group", "0")
	update(`{"unified":{"memory.oom.group":"1"}}`)
	wantFile(t, group, "memory.oom.group", "1")
	update(`{"memory":{"limit":134217728},"cpu":{"shares":512}}`)
	wantFile(t, group, "memory.oom.group", "1")
	wantFile(t, group, "memory.max", "134217728")
	others(t, unit, "MemoryHigh=64M", "CPUWeight=50")
	wantFile(t, group, "memory.oom.group", "1")
	if got := property(t, unit, "OOMPolicy"); got != "kill" {
		t.Errorf("OOMPolicy is %q", got)
	}
	change(t, r, c, `{"unified":{"memory.oom.group":"0"},"cpu":{"cpus":"4000"}}`).Failed("4000")
	others(t, unit)
	wantFile(t, group, "memory.oom.group", "1")
	update(`{"unified":{"memory.oom.group":"0"}}`)
	others(t, unit, "MemoryHigh=65M")
	wantFile(t, group, "memory.oom.group", "0")
	c.Delete("--force").OK()
	for _, dir := range []string{"/run/systemd/system/", os.Getenv("XDG_RUNTIME_DIR") + "/systemd/user/"} {
		if exists(dir + unit + ".d") {
			t.Errorf("%s is left", dir+unit+".d")
		}
	}
	noUnit(t, unit)
}
