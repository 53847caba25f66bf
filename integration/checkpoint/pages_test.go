package checkpoint

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// freePort is a port that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, err)
	return port
}

// criu starts CRIU beside the runtime.
func criu(t *testing.T, args ...string) (wait func() error) {
	t.Helper()
	cmd := exec.Command("criu", args...)
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return func() error {
		select {
		case err := <-ended:
			ended <- err
			return err
		case <-time.After(lab.Patience):
			return os.ErrDeadlineExceeded
		}
	}
}

// Memory can go elsewhere at once.
func TestPageServer(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	images, pages, port := lab.Dir(t), lab.Dir(t), freePort(t)
	status, far, err := os.Pipe()
	must(t, err)
	defer status.Close()
	cmd := exec.Command("criu", "page-server", "-D", pages, "--address", "127.0.0.1", "--port", port, "--status-fd", "3", "-o", "server.log")
	cmd.ExtraFiles = []*os.File{far}
	must(t, cmd.Start())
	far.Close()
	defer func() { _ = cmd.Wait() }()
	_, err = status.Read(make([]byte, 1))
	must(t, err)
	c.checkpoint(images, "--page-server", "127.0.0.1:"+port).OK()
	if names, _ := filepath.Glob(filepath.Join(images, "pages-*.img")); len(names) > 0 {
		t.Errorf("memory is here: %v", names)
	}
	names, err := filepath.Glob(filepath.Join(pages, "page*.img"))
	if must(t, err); len(names) == 0 {
		t.Fatal("no memory has come")
	}
	for _, name := range names {
		must(t, os.Rename(name, filepath.Join(images, filepath.Base(name))))
	}
	restore(t, r, b, c.ID, images).numbers(2)
}

// A container can run on elsewhere while its memory is still fetched from where it was.
func TestLazyPages(t *testing.T) {
	r := bench(t)
	b := counting(t)
	c := launch(t, r, b)
	c.numbers(2)
	images, port := lab.Dir(t), freePort(t)
	status, far, err := os.Pipe()
	must(t, err)
	defer status.Close()
	cmd := r.Command("checkpoint", "--lazy-pages", "--page-server", "127.0.0.1:"+port, "--status-fd", "3", "--image-path", images, c.ID)
	cmd.ExtraFiles = []*os.File{far}
	run := r.Begin(cmd)
	far.Close()
	_ = status.SetReadDeadline(time.Now().Add(lab.Patience))
	ready := make([]byte, 2)
	n, err := status.Read(ready)
	if n != 1 || ready[0] != 0 {
		res := run.End()
		if strings.Contains(res.Stderr, "cannot serve memory when it is asked for") {
			t.Skip("the kernel gives nobody a userfaultfd here")
		}
		t.Fatalf("the status is %q, %v: %v", ready[:n], err, res)
	}
	served := criu(t, "lazy-pages", "-D", images, "--page-server", "--address", "127.0.0.1", "--port", port, "-o", "lazy.log")
	if !lab.Eventually(func() bool { _, err := os.Stat(filepath.Join(images, "lazy-pages.socket")); return err == nil }) {
		t.Fatalf("nobody serves memory: %s", read(t, filepath.Join(images, "lazy.log")))
	}
	before := c.numbers(0)
	id, out := r.ID(), &sink{}
	cmd = r.Command("restore", "--detach", "--bundle", b.Dir, "--image-path", images, "--lazy-pages", id)
	w := out.open(t)
	cmd.Stdout = w
	restoring := r.Begin(cmd)
	w.Close()
	log := filepath.Join(images, "dump.log")
	if !lab.Eventually(func() bool {
		return strings.Count(out.text(), "\n") >= 3 || strings.Contains(read(t, log), "Lazy pages transfer FAILED")
	}) {
		t.Fatal("it does not go on")
	}
	if strings.Contains(read(t, log), "Lazy pages transfer FAILED") {
		must(t, unix.Kill(restoring.Cmd.Process.Pid, unix.SIGKILL))
		run.End()
		need.Feature(t, "lazy-pages", false, "CRIU cannot serve memory here: "+log)
	}
	restoring.End().OK()
	if want := itoa(before[len(before)-1]+1) + "\n"; !strings.HasPrefix(out.text(), want) {
		t.Errorf("%v, and then %q", before, out.text())
	}
	must(t, served())
	run.End().OK()
	reap()
	r.Do("state", c.ID).Failed("does not exist")
	if alive(c.Pid) {
		t.Error("the process is still there")
	}
}
