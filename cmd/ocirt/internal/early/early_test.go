package early

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/ahead"
)

func TestBundles(t *testing.T) {
	for line, want := range map[string]string{
		"ocirt create --bundle /b id":                                 "/b",
		"ocirt create --bundle=/b id":                                 "/b",
		"ocirt run -b /b id":                                          "/b",
		"ocirt --root /r --log=/l run --pid-file /p --bundle /b id":   "/b",
		"ocirt --systemd-cgroup --root /r create -b /a --bundle /b x": "/b",
		"ocirt --debug run /b id":                                     "/b .",
		"ocirt run id":                                                "id .",
		"ocirt run -d id":                                             "",
		"ocirt run":                                                   "",
		"ocirt run --bundle":                                          "",
		"ocirt run --bundle /b --preserve-fds 1 id":                   "",
		"ocirt run --preserve-fds=1 --bundle /b id":                   "",
		"ocirt start --bundle /b":                                     "",
		"ocirt exec id run --bundle /b":                               "",
		"ocirt --root run state --bundle /b":                          "",
		"ocirt --root":                                                "",
		"ocirt":                                                       "",
		"":                                                            "",
	} {
		if got := bundles(strings.Fields(line)); !slices.Equal(got, strings.Fields(want)) {
			t.Errorf("%s: %q", line, got)
		}
	}
}

// The monitor of a program that imports this package has been told. This test is such a
// program; if another process was started at the same time, the next one will be.
func TestQuietMonitor(t *testing.T) {
	need.Root(t) // nobody else may ask for another thread's slack, or change it
	tid := os.Getpid() + 1
	if !ahead.HasThread(tid) {
		again := exec.Command("/proc/self/exe", "-test.run=^TestQuietMonitor$")
		if out, err := again.CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	got, err := os.ReadFile("/proc/" + decimal(tid) + "/timerslack_ns")
	if err != nil || strings.TrimSpace(string(got)) != monitorSlack {
		t.Errorf("the slack is %q (%v)", got, err)
	}
}

func TestDecimal(t *testing.T) {
	for _, n := range []int{0, 9, 10, 4194304, 1<<63 - 1} {
		if decimal(n) != strconv.Itoa(n) {
			t.Errorf("%d is %q", n, decimal(n))
		}
	}
}
