package resources

import (
	"fmt"
	"os"
	"os/exec"
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

// disk makes a block device of a few MiB, which goes with the test.
func disk(t *testing.T) (path string, major, minor int64) {
	t.Helper()
	file := filepath.Join(lab.Dir(t), "disk")
	must(t, os.WriteFile(file, make([]byte, 8*mib), 0o600))
	out, err := exec.Command(need.Tool(t, "losetup"), "--find", "--show", file).CombinedOutput()
	need.Feature(t, "loop", err == nil, fmt.Sprintf("cannot make a loop device: %v: %s", err, out))
	path = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", path).CombinedOutput(); err != nil {
			t.Errorf("cannot detach %s: %v: %s", path, err, out)
		}
	})
	var st unix.Stat_t
	must(t, unix.Stat(path, &st))
	return path, int64(unix.Major(uint64(st.Rdev))), int64(unix.Minor(uint64(st.Rdev)))
}

// A device gives no more than it may, and more when it may more.
func TestThrottle(t *testing.T) {
	r := asRoot(t)
	_, major, minor := disk(t)
	const rate = 512 << 10
	var limit specs.LinuxThrottleDevice
	limit.Major, limit.Minor, limit.Rate = major, minor, rate
	res := rules(specs.LinuxDeviceCgroup{Allow: false, Access: "rwm"},
		specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: &major, Minor: &minor, Access: "rw"})
	res.BlockIO = &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{limit}}
	node := func(s *specs.Spec) {
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/disk", Type: "b", Major: major, Minor: minor}}
	}
	line := `echo up; while :; do /bin/busybox dd if=/dev/disk of=/dev/null bs=64k count=16 iflag=direct 2>/dev/null && echo read; done`
	b := shell(t, line, limits(res), node)
	c := r.Launch(b)
	c.Says("up")
	g := groupOf(t, c, map[bool]string{true: "io", false: "blkio"}[pureV2()])
	key := strconv.FormatInt(major, 10) + ":" + strconv.FormatInt(minor, 10)
	g.want("blkio.throttle.read_bps_device", "io.max", key+" 524288", key+" rbps=524288 wbps=max riops=max wiops=max")
	c.Line(2)
	begin := time.Now()
	c.Line(3)
	if d := time.Since(begin); d < 1200*time.Millisecond {
		t.Errorf("1 MiB at 512 KiB a second took %v", d)
	}
	update(r, c, fmt.Sprintf(`{"blockIO":{"throttleReadBpsDevice":[{"major":%d,"minor":%d,"rate":1073741824}]}}`, major, minor)).OK()
	c.Line(4)
	begin = time.Now()
	c.Line(24)
	if d := time.Since(begin); d > 20*time.Second { // and not 40
		t.Errorf("20 MiB at 1 GiB a second took %v", d)
	}
}

// A huge page more than the limit allows is refused.
func TestHugepages(t *testing.T) {
	r := asRoot(t)
	data, err := os.ReadFile("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
	need.Feature(t, "hugepages", err == nil && strings.TrimSpace(string(data)) != "0", "no huge pages of 2 MiB are set aside")
	res := &specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 2 * mib}}}
	line := "cd /huge; /bin/busybox fallocate -l 2097152 one && echo one; /bin/busybox fallocate -l 2097152 two 2>/dev/null || echo refused; " +
		"read go; /bin/busybox fallocate -l 2097152 two && echo two; " + forever
	c := r.Launch(shell(t, line, limits(res), withFIFO, lab.Mount("/huge", "hugetlbfs", "hugetlbfs", "pagesize=2M")))
	c.Says("up")
	if want := "one\nrefused\nup\n"; c.Stdout() != want {
		t.Errorf("under a limit of one page it says %q", c.Stdout())
	}
	g := groupOf(t, c, "hugetlb")
	g.want("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max", "2097152", "2097152")
	r.Do("update", c.ID, "--resources", writeJSON(t, `{"hugepageLimits":[{"pageSize":"2MB","limit":4194304}]}`)).OK()
	g.want("hugetlb.2MB.limit_in_bytes", "hugetlb.2MB.max", "4194304", "4194304")
	open(t, c)
	c.Says("two")
}

func writeJSON(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(lab.Dir(t), "resources.json")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	return file
}
