package resources

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// An event is what `events` prints, as its readers decode it.
type event struct {
	Type string `json:"type"`
	ID   string `json:"id"`
	Data *struct {
		CPU struct {
			Usage struct {
				Total        uint64   `json:"total"`
				Percpu       []uint64 `json:"percpu"`
				Kernel, User uint64
			} `json:"usage"`
			Throttling struct{ Periods, ThrottledPeriods, ThrottledTime uint64 } `json:"throttling"`
		} `json:"cpu"`
		CPUSet struct {
			CPUs []int `json:"cpus"`
			Mems []int `json:"mems"`
		} `json:"cpuset"`
		Memory struct {
			Cache uint64 `json:"cache"`
			Usage struct{ Limit, Usage, Max, Failcnt uint64 }
			Swap  struct{ Limit, Usage, Max, Failcnt uint64 }
			Raw   map[string]uint64 `json:"raw"`
		} `json:"memory"`
		Pids struct {
			Current uint64 `json:"current"`
			Limit   uint64 `json:"limit"`
		} `json:"pids"`
		Blkio struct {
			IoServiceBytesRecursive []struct {
				Major, Minor uint64
				Op           string
				Value        uint64
			} `json:"ioServiceBytesRecursive"`
		} `json:"blkio"`
		NetworkInterfaces []struct {
			Name    string
			RxBytes uint64
		} `json:"network_interfaces"`
	} `json:"data"`
}

func parse(t *testing.T, text string) []event {
	t.Helper()
	var list []event
	for line := range strings.Lines(text) {
		var e event
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("%q is not a line of JSON: %v", line, err)
		}
		list = append(list, e)
	}
	return list
}

// One sample has the numbers of the cgroup's files.
func TestStats(t *testing.T) {
	r := onBench(t)
	res := memory(64 * mib)
	res.Pids = &specs.LinuxPids{Limit: ptr[int64](40)}
	res.CPU = &specs.LinuxCPU{Quota: ptr[int64](5000), Period: ptr[uint64](100000), Cpus: "0"}
	c := r.Launch(shell(t, "/bin/busybox sleep 1000 & echo up; while :; do :; done", limits(res)))
	c.Says("up")
	time.Sleep(500 * time.Millisecond)
	out := r.Do("events", "--stats", c.ID).OK()
	if out.Stderr != "" {
		t.Errorf("it says %q", out.Stderr)
	}
	list := parse(t, out.Stdout)
	if len(list) != 1 || list[0].Type != "stats" || list[0].ID != c.ID || list[0].Data == nil {
		t.Fatalf("%s", out.Stdout)
	}
	if !strings.HasPrefix(out.Stdout, `{"type":"stats","id":"`+c.ID+`","data":{"cpu":{"usage":{"total":`) {
		t.Errorf("the keys are not in their order: %s", out.Stdout)
	}
	d := list[0].Data
	if total := int64(d.CPU.Usage.Total / 1000); total < 5_000 || total > used(t, c) {
		t.Errorf("processor time of %d µs, and the kernel's later count is %d", total, used(t, c))
	}
	if d.CPU.Throttling.Periods == 0 || d.CPU.Throttling.ThrottledTime == 0 {
		t.Errorf("throttling is %+v", d.CPU.Throttling)
	}
	if d.Pids.Current != 2 || d.Pids.Limit != 40 {
		t.Errorf("pids are %+v", d.Pids)
	}
	if d.Memory.Usage.Limit != 64*mib || d.Memory.Usage.Usage == 0 || d.Memory.Usage.Usage > 64*mib || len(d.Memory.Raw) < 5 {
		t.Errorf("memory is %+v", d.Memory)
	}
	if len(d.CPUSet.CPUs) != 1 || d.CPUSet.CPUs[0] != 0 {
		t.Errorf("cpuset is %+v", d.CPUSet)
	}
}

// A sample every interval, until the container ends.
func TestEventsEnd(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	c.Says("up")
	e := r.Begin(r.Command("events", "--interval=100ms", c.ID))
	e.Says("\n")
	e.Says("}\n{")
	c.Kill("KILL").OK()
	c.Wait()
	res := e.End().OK()
	for _, ev := range parse(t, res.Stdout) {
		if ev.Type != "stats" || ev.Data == nil {
			t.Errorf("an event of type %s", ev.Type)
		}
	}
	r.Do("events", c.ID).Failed("container with id " + c.ID + " is not running")
	r.Do("events", "--stats", c.ID).Failed("container with id " + c.ID + " is not running")
}

// To be told to end is the usual end of a watch.
func TestEventsSignal(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	for _, sig := range []unix.Signal{unix.SIGTERM, unix.SIGINT} {
		e := r.Begin(r.Command("events", "--interval=10ms", c.ID))
		e.Says("\n")
		must(t, e.Cmd.Process.Signal(sig))
		if res := e.End(); res.Code != 0 || res.Stderr != "" {
			t.Errorf("after signal %d: %v", sig, res)
		}
	}
	status(t, c, "running")
}

// A watcher that nobody listens to any more ends.
func TestEventsClosedPipe(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	reader, writer, err := os.Pipe()
	must(t, err)
	cmd := r.Command("events", "--interval=10ms", c.ID)
	cmd.Stdout = writer
	must(t, cmd.Start())
	writer.Close()
	buf := make([]byte, 1)
	_, err = reader.Read(buf)
	must(t, err)
	reader.Close()
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(lab.Patience):
		_ = cmd.Process.Kill()
		t.Error("it goes on for ever")
	}
}

// Want of memory is told of at once, and exactly like this.
func TestEventsOOM(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, "read go; "+take("64M")+"; echo big $?; "+forever, limits(memory(16*mib)), withFIFO))
	e := r.Begin(r.Command("events", "--interval=1h", c.ID))
	time.Sleep(300 * time.Millisecond) // it has to be there before
	open(t, c)
	c.Says("big 137")
	e.Says(`{"type":"oom","id":"` + c.ID + `"}` + "\n")
	c.Kill("KILL").OK()
	c.Wait()
	if res := e.End().OK(); strings.Count(res.Stdout, "\n") != strings.Count(res.Stdout, `{"type":"oom","id":"`+c.ID+`"}`+"\n") {
		t.Errorf("there was more: %s", res.Stdout)
	}
}

// It is told of also when it is the end of the container.
func TestEventsLastOOM(t *testing.T) {
	r := onBench(t)
	need.Feature(t, "cgroupfs", !systemd(), "systemd removes the cgroup with its last process, and the counters with it")
	c := r.Launch(shell(t, "read go; exec "+take("64M"), limits(memory(16*mib)), withFIFO))
	e := r.Begin(r.Command("events", "--interval=1h", c.ID))
	time.Sleep(300 * time.Millisecond)
	open(t, c)
	if code := c.Wait(); code != 137 {
		t.Errorf("it ended with %d", code)
	}
	if res := e.End().OK(); res.Stdout != `{"type":"oom","id":"`+c.ID+`"}`+"\n" {
		t.Errorf("events are %q", res.Stdout)
	}
}

// withFIFO lets the container's shell read its standard input from the test.
func withFIFO(s *specs.Spec) {
	s.Process.Args[2] = strings.Replace(s.Process.Args[2], "read go; ", "/bin/busybox mkfifo /tmp/go; echo up; read go </tmp/go; ", 1)
}

// open lets it go on.
func open(t *testing.T, c *lab.Container) {
	t.Helper()
	c.Says("up")
	must(t, os.WriteFile("/proc/"+itoa(c.Pid)+"/root/tmp/go", []byte("go\n"), 0o600))
}

func TestEventsArguments(t *testing.T) {
	r := onBench(t)
	c := r.Launch(shell(t, forever))
	for _, bad := range []string{"0", "0s", "-1s"} {
		r.Do("events", "--interval="+bad, c.ID).Failed("--interval: must be positive")
	}
	r.Do("events", "--interval=x", c.ID).Failed("invalid value")
	r.Do("events", "nosuch-"+c.ID).Failed("container does not exist")
}

// The interfaces of the container's own network are counted, and not those of the host.
func TestStatsOfNetwork(t *testing.T) {
	r := onBench(t)
	for _, own := range []bool{true, false} {
		edit := lab.Edit(func(*specs.Spec) {})
		if !own {
			edit = lab.Without(specs.NetworkNamespace)
		}
		c := r.Launch(shell(t, forever, edit))
		list := parse(t, r.Do("events", "--stats", c.ID).OK().Stdout)
		for _, n := range list[0].Data.NetworkInterfaces {
			if !own || n.Name == "lo" {
				t.Errorf("own network %v: interface %+v", own, n)
			}
		}
	}
}
