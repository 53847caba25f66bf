package netdev

import (
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// A pair of network namespaces: the test's thread is in one, which it takes for the host's,
// and a process in the other.
type pair struct {
	t   *testing.T
	pid int
}

// newPair makes both. Nothing of it reaches the machine's own devices.
func newPair(t *testing.T) *pair {
	t.Helper()
	need.Root(t)
	need.Feature(t, "ip", has("ip") && has("nsenter"), "no ip or no nsenter")
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &pair{t, cmd.Process.Pid}
}

func has(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

// ip runs ip on the thread's side.
func (p *pair) ip(args ...string) string {
	p.t.Helper()
	return p.run("ip", args...)
}

// inner runs ip on the process' side.
func (p *pair) inner(args ...string) string {
	p.t.Helper()
	return p.run("nsenter", append([]string{"-t", itoa(p.pid), "-n", "ip"}, args...)...)
}

func (p *pair) run(name string, args ...string) string {
	p.t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		p.t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
	return string(out)
}

func itoa(n int) string {
	var b []byte
	for ; n > 0; n /= 10 {
		b = append([]byte{byte('0' + n%10)}, b...)
	}
	return string(b)
}

// device makes a device of a kind that needs no hardware, with a hardware address to know
// it by.
func (p *pair) device(name, mac string) {
	p.t.Helper()
	for _, kind := range []string{"dummy", "ifb"} {
		if exec.Command("ip", "link", "add", name, "address", mac, "type", kind).Run() == nil {
			return
		}
	}
	need.Feature(p.t, "dummy", false, "no dummy devices")
}

func (p *pair) addresses(list string) []string {
	var found []string
	words := strings.Fields(list)
	for i, w := range words {
		if (w == "inet" || w == "inet6") && i+1 < len(words) {
			found = append(found, words[i+1])
		}
	}
	slices.Sort(found)
	return found
}

func move(p *pair, host, name string) (*step.Host, error) {
	h := &step.Host{Pid: p.pid}
	err := MoveDevice{host, name}.Do(h)
	p.t.Cleanup(func() {
		for _, l := range h.Loans {
			l.Keep()
		}
	})
	return h, err
}

const mac = "02:00:00:aa:bb:01"

func TestMove(t *testing.T) {
	p := newPair(t)
	p.device("dev7", mac)
	p.ip("address", "add", "10.7.0.1/24", "broadcast", "10.7.0.255", "dev", "dev7")
	p.ip("address", "add", "10.7.0.2/24", "dev", "dev7")                                           // a secondary one
	p.ip("address", "add", "10.9.0.1", "peer", "10.9.0.2/32", "dev", "dev7")                       // of a line
	p.ip("address", "add", "10.8.0.1/24", "dev", "dev7", "scope", "link")                          // not global
	p.ip("address", "add", "10.6.0.2/24", "dev", "dev7", "valid_lft", "900", "preferred_lft", "9") // not permanent
	p.ip("-6", "address", "add", "2001:db8:7::1/64", "dev", "dev7", "nodad")
	p.ip("link", "set", "dev7", "mtu", "1400", "up")

	h, err := move(p, "dev7", "eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range h.Loans {
		l.Keep()
	}
	if out, err := exec.Command("ip", "link", "show", "dev7").CombinedOutput(); err == nil {
		t.Errorf("the device is still on the host: %s", out)
	}
	link := p.inner("link", "show", "eth0")
	for _, want := range []string{mac, "mtu 1400", ",UP"} {
		if !strings.Contains(link, want) {
			t.Errorf("inside it is %s: no %q", link, want)
		}
	}
	want := []string{"10.7.0.1/24", "10.7.0.2/24", "10.9.0.1", "2001:db8:7::1/64"}
	all := p.inner("address", "show", "dev", "eth0", "scope", "global")
	if got := p.addresses(all); !slices.Equal(got, want) {
		t.Errorf("addresses are %v, want %v: %s", got, want, all)
	}
	for _, want := range []string{"peer 10.9.0.2/32", "brd 10.7.0.255"} {
		if !strings.Contains(all, want) {
			t.Errorf("no %q in %s", want, all)
		}
	}
	if strings.Contains(all, "tentative") || strings.Contains(all, "dadfailed") {
		t.Errorf("an address is not usable: %s", all)
	}
}

// Where two devices meet the traffic flows.
func TestMovedDeviceWorks(t *testing.T) {
	p := newPair(t)
	p.ip("link", "add", "outer", "type", "veth", "peer", "name", "inner")
	p.ip("address", "add", "10.7.0.1/24", "dev", "outer")
	p.ip("address", "add", "10.7.0.2/24", "dev", "inner")
	p.ip("link", "set", "outer", "up")
	if _, err := move(p, "inner", "eth0"); err != nil {
		t.Fatal(err)
	}
	if carrier := p.ip("link", "show", "outer"); !strings.Contains(carrier, "LOWER_UP") {
		t.Errorf("the other end has no carrier: %s", carrier)
	}
}

func TestTemplate(t *testing.T) {
	p := newPair(t)
	p.device("dev7", mac)
	p.device("dev8", "02:00:00:aa:bb:02")
	p.inner("link", "add", "net0", "type", "veth", "peer", "name", "dev8") // both names are taken inside
	for _, host := range []string{"dev7", "dev8"} {
		if _, err := move(p, host, "net%d"); err != nil {
			t.Fatal(err)
		}
	}
	seen := 0
	for line := range strings.Lines(p.inner("-o", "link", "show", "up")) {
		if strings.Contains(line, ": net") && (strings.Contains(line, mac) || strings.Contains(line, "02:00:00:aa:bb:02")) {
			seen++
		}
	}
	if seen != 2 {
		t.Errorf("%d devices are there under a number, and up: %s", seen, p.inner("-o", "link", "show"))
	}
}

func TestRefused(t *testing.T) {
	p := newPair(t)
	p.device("dev7", mac)
	p.ip("address", "add", "10.7.0.1/24", "dev", "dev7")
	p.ip("link", "set", "dev7", "up")
	p.inner("link", "add", "eth0", "type", "veth", "peer", "name", "eth1")
	look := func() string {
		// The kernel drops the word by itself after a second.
		return strings.ReplaceAll(p.ip("-o", "address", "show"), " tentative", "") + p.inner("-o", "link", "show")
	}
	before := look()
	for _, c := range []struct{ host, name, want string }{
		{"dev9", "dev9", `there is no network device "dev9" on the host`},
		{"dev7", "eth0", `the container has a network device "eth0" already`},
		{"dev7", "lo", `the container has a network device "lo" already`},
		{"lo", "lo7", "a device of its kind cannot leave its network namespace: invalid argument"},
	} {
		h, err := move(p, c.host, c.name)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s as %s: %v, want %s", c.host, c.name, err, c.want)
		}
		if len(h.Loans) > 0 {
			t.Errorf("%s as %s: %d loans", c.host, c.name, len(h.Loans))
		}
	}
	if after := look(); after != before {
		t.Errorf("something changed: %s\nbefore: %s", after, before)
	}
}

// A failed create leaves the host as it was.
func TestReturn(t *testing.T) {
	p := newPair(t)
	p.device("dev7", mac)
	p.ip("address", "add", "10.7.0.1/24", "dev", "dev7")
	p.ip("-6", "address", "add", "2001:db8:7::1/64", "dev", "dev7", "nodad")
	p.ip("link", "set", "dev7", "up")
	p.device("dev8", "02:00:00:aa:bb:02")
	before := p.addresses(p.ip("address", "show", "scope", "global"))
	var loans []step.Loan
	for host, name := range map[string]string{"dev7": "eth7", "dev8": "dev8"} {
		h, err := move(p, host, name)
		if err != nil {
			t.Fatal(err)
		}
		loans = append(loans, h.Loans...)
	}
	// The container's first process may be gone by then.
	_ = unix.Kill(p.pid, unix.SIGKILL)
	for _, l := range loans {
		if err := l.Return(); err != nil {
			t.Error(err)
		}
		l.Keep()
	}
	if got := p.addresses(p.ip("address", "show", "scope", "global")); !slices.Equal(got, before) {
		t.Errorf("addresses are %v, want %v", got, before)
	}
	for name, up := range map[string]bool{"dev7": true, "dev8": false} {
		if link := p.ip("link", "show", name); strings.Contains(link, ",UP") != up {
			t.Errorf("%s is %s, want up: %v", name, link, up)
		}
	}
}

// More devices than one datagram holds.
func TestManyDevices(t *testing.T) {
	p := newPair(t)
	for i := range 60 {
		n := itoa(i + 100)
		p.inner("link", "add", "a"+n, "type", "veth", "peer", "name", "b"+n)
	}
	c, err := dialIn(open(t, p.pid))
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	list, err := c.links()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 121 {
		t.Errorf("%d devices, want lo and 120", len(list))
	}
}

func TestCompile(t *testing.T) {
	in := &step.Input{Bundle: &spec.Bundle{Spec: &specs.Spec{Linux: &specs.Linux{NetDevices: map[string]specs.LinuxNetDevice{
		"b": {}, "a": {Name: "eth0"},
	}}}}}
	var got []string
	if err := Devices(in, func(from string, s step.Step) { got = append(got, from+" "+s.String()) }); err != nil {
		t.Fatal(err)
	}
	want := []string{"/linux/netDevices/a move network device a in as eth0", "/linux/netDevices/b move network device b in"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	in.Join = &step.Join{}
	if err := Devices(in, func(string, step.Step) { t.Error("exec moves a device") }); err != nil {
		t.Fatal(err)
	}
}

// What a hostile or broken peer could send must not be read beyond its end.
func TestMalformed(t *testing.T) {
	c := &conn{seq: 1}
	for _, b := range [][]byte{
		{1},
		{3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0},
		{200, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0},
		{16, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0},
	} {
		changed := false
		if done, err := c.answer(b, nil, &changed); err == nil && done {
			t.Errorf("%v was taken for an end", b)
		}
	}
	for _, b := range [][]byte{{3, 0, 0, 0}, {9, 0, 0, 0, 1}, {0, 0, 0, 0}} {
		if _, err := parseAttrs(b); err == nil {
			t.Errorf("%v was taken", b)
		}
	}
	if _, err := parseLink(make([]byte, 15)); err == nil {
		t.Error("a short link was taken")
	}
}

func open(t *testing.T, pid int) *os.File {
	t.Helper()
	f, err := os.Open("/proc/" + itoa(pid) + "/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
