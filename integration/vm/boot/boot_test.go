package boot

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

func TestMain(m *testing.M) { lab.Main(m) }

// inMachine skips on any other machine.
func inMachine(t *testing.T) {
	t.Helper()
	need.Feature(t, "vm", os.Getenv("LAB_UP") != "", "this is not the virtual machine for the tests")
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func TestCgroup2(t *testing.T) {
	inMachine(t)
	own := read(t, "/proc/self/cgroup")
	if strings.Contains(own, "\n") || !strings.HasPrefix(own, "0::/") {
		t.Errorf("want version 2 alone, got %q", own)
	}
	controllers := strings.Fields(read(t, "/sys/fs/cgroup"+strings.TrimPrefix(own, "0::")+"/cgroup.controllers"))
	want := []string{"cpu", "memory", "pids"}
	if os.Geteuid() == 0 {
		controllers = strings.Fields(read(t, "/sys/fs/cgroup/cgroup.controllers"))
		want = append(want, "cpuset", "io", "hugetlb")
	}
	have := " " + strings.Join(controllers, " ") + " "
	for _, c := range want {
		if !strings.Contains(have, " "+c+" ") {
			t.Errorf("no controller %s among%s", c, have)
		}
	}
}

func TestSystemd(t *testing.T) {
	inMachine(t)
	args := []string{"is-system-running"}
	if os.Geteuid() != 0 {
		args = append(args, "--user")
	}
	state := ""
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		out, _ := exec.Command("systemctl", args...).CombinedOutput() // starting is a failure, too
		if state = strings.TrimSpace(string(out)); state != "starting" && state != "initializing" {
			break
		}
	}
	if state != "running" {
		failed, _ := exec.Command("systemctl", append(args[1:], "--failed", "--no-legend")...).CombinedOutput()
		t.Errorf("systemd is %q: %s", state, failed)
	}
}

func TestAppArmor(t *testing.T) {
	inMachine(t)
	if on := read(t, "/sys/module/apparmor/parameters/enabled"); on != "Y" {
		t.Errorf("AppArmor: enabled is %q", on)
	}
}

// The program under test runs at all: what fails after this is not the machine's fault.
func TestFirstContainer(t *testing.T) {
	inMachine(t)
	r, edits := lab.New(t), []lab.Edit{lab.Check("echo", "hello")}
	if uid := os.Geteuid(); uid != 0 {
		edits = append(edits, lab.UserNamespace(0, uint32(uid), 1))
	}
	if got := r.Run(lab.NewBundle(t, edits...)).OK().Stdout; got != "hello\n" {
		t.Errorf("the container said %q", got)
	}
}
