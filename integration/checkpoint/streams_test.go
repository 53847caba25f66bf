package checkpoint

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/ocirt/ocirt/integration/internal/lab"
)

// Pipes that the container was created with are replaced by those of restore.
func TestPipes(t *testing.T) {
	r := bench(t)
	b := lab.NewBundle(t, lab.Args("/bin/sh", "-c", `while read x; do echo "got $x"; echo "err $x" >&2; done`)).Busybox()
	id := r.ID()
	first := piped(t, r, "run", "--detach", "--bundle", b.Dir, id)
	first.asks(t, "one")
	images := lab.Dir(t)
	r.Do("checkpoint", "--image-path", images, id).OK()
	reap()
	second := piped(t, r, "restore", "--detach", "--bundle", b.Dir, "--image-path", images, id)
	second.asks(t, "two")
	if text := read(t, filepath.Join(images, "descriptors.json")); strings.Count(text, "pipe:[") != 3 {
		t.Errorf("descriptors.json holds %s", text)
	}
}

// A pipes is a command's standard streams.
type pipes struct {
	in       *os.File
	out, err *bufio.Reader
}

func piped(t *testing.T, r *lab.Runtime, args ...string) *pipes {
	t.Helper()
	cmd := r.Command(args...)
	var near, far []*os.File
	for i := range 3 {
		a, b, err := os.Pipe()
		must(t, err)
		if i == 0 {
			a, b = b, a
		}
		near, far = append(near, a), append(far, b)
		t.Cleanup(func() { a.Close() })
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = far[0], far[1], far[2]
	if res := r.Finish(cmd); res.Code != 0 {
		_ = near[2].SetReadDeadline(time.Now())
		text, _ := bufio.NewReader(near[2]).ReadString(0)
		t.Fatalf("%v%s", res, text)
	}
	for _, f := range far {
		f.Close()
	}
	return &pipes{near[0], bufio.NewReader(near[1]), bufio.NewReader(near[2])}
}

func (p *pipes) asks(t *testing.T, word string) {
	t.Helper()
	_, err := p.in.WriteString(word + "\n")
	must(t, err)
	if line, err := p.out.ReadString('\n'); line != "got "+word+"\n" {
		t.Fatalf("it answers %q, %v", line, err)
	}
	if line, err := p.err.ReadString('\n'); line != "err "+word+"\n" {
		t.Fatalf("it complains %q, %v", line, err)
	}
}

func terminal(s *specs.Spec) { s.Process.Terminal = true }

// A terminal comes back as another one, whose master goes to the new console socket.
func TestTerminal(t *testing.T) {
	r := bench(t)
	b := lab.NewBundle(t, terminal, lab.Args("/bin/sh", "-i")).Busybox()
	id := r.ID()
	socket, receive := lab.ConsoleSocket(t, 0)
	r.Do("run", "--detach", "--bundle", b.Dir, "--console-socket", socket, id).OK()
	term := receive()
	term.Type("x=re; y=membered\n")
	term.Type("echo $x$y\n")
	term.Says("remembered")
	images := lab.Dir(t)
	r.Do("checkpoint", "--image-path", images, id).OK()
	reap()
	r.Do("restore", "--detach", "--bundle", b.Dir, "--image-path", images, id).
		Failed("cannot allocate tty if ocirt will detach without setting console socket")
	socket, receive = lab.ConsoleSocket(t, 0)
	r.Do("restore", "--detach", "--bundle", b.Dir, "--image-path", images, "--console-socket", socket, id).OK()
	again := receive()
	again.Resize(91, 31)
	again.Type("echo $y$x; busybox stty size; busybox tty\n")
	again.Says("memberedre")
	again.Says("31 91")
	again.Says("/dev/pts/0")
	again.Type("exit 3\n")
	if !lab.Eventually(func() bool { reap(); return r.PidOf(id) == 0 }) {
		t.Error("it does not end")
	}
}

// In the foreground the terminal is that of the caller of restore.
func TestForegroundTerminal(t *testing.T) {
	r := bench(t)
	b := lab.NewBundle(t, terminal, lab.Args("/bin/sh", "-i")).Busybox()
	id := r.ID()
	socket, receive := lab.ConsoleSocket(t, 0)
	r.Do("run", "--detach", "--bundle", b.Dir, "--console-socket", socket, id).OK()
	term := receive()
	term.Type("x=re; y=membered; echo $x$y\n")
	term.Says("remembered\r\n")
	images := lab.Dir(t)
	r.Do("checkpoint", "--image-path", images, id).OK()
	reap()
	own, slave := lab.NewTerminal(t)
	defer slave.Close()
	own.Resize(92, 32)
	cmd := r.Command("restore", "--bundle", b.Dir, "--image-path", images, id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	run := r.Begin(cmd)
	if !lab.Eventually(func() bool {
		own.Type("echo $y$x; busybox stty size\n")
		time.Sleep(50 * time.Millisecond)
		return strings.Contains(own.Text(), "memberedre\r\n32 92")
	}) {
		t.Errorf("it says %q", own.Text())
	}
	own.Type("exit 3\n")
	if res := run.End(); res.Code != 3 {
		t.Errorf("want status 3: %v, %q", res, own.Text())
	}
}

// Without pipes: the null device of the host, which is not in the container's mounts.
func TestNull(t *testing.T) {
	r := bench(t)
	b := counting(t)
	id := r.ID()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	must(t, err)
	defer null.Close()
	cmd := r.Command("run", "--detach", "--bundle", b.Dir, id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	r.Finish(cmd).OK()
	n := filepath.Join(b.Rootfs, "tmp/n")
	count := func() int { return strings.Count(read(t, n), "\n") }
	if !lab.Eventually(func() bool { data, err := os.ReadFile(n); return err == nil && len(data) > 4 }) {
		t.Fatal("it does not count")
	}
	images := lab.Dir(t)
	r.Do("checkpoint", "--image-path", images, id).OK()
	reap()
	before := count()
	cmd = r.Command("restore", "--detach", "--bundle", b.Dir, "--image-path", images, id)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = null, null, null
	r.Finish(cmd).OK()
	if !lab.Eventually(func() bool { return count() > before }) {
		t.Error("it does not go on")
	}
}
