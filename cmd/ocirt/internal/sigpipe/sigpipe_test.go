package sigpipe

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// emulator names the program that these tests run under, if they are of another processor.
const emulator = "OCIRT_SIGPIPE_EMULATOR"

// TestOtherProcessor runs these tests on the other processor that has a handler.
func TestOtherProcessor(t *testing.T) {
	if os.Getenv(emulator) != "" {
		return
	}
	need.Feature(t, "processor", runtime.GOARCH == "amd64", "it is the other one")
	qemu := need.Tool(t, "qemu-aarch64-static")
	binary := filepath.Join(t.TempDir(), "sigpipe.test")
	build := exec.Command(need.Tool(t, "go"), "test", "-c", "-o", binary, ".")
	build.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cannot build: %v\n%s", err, out)
	}
	test := exec.Command(qemu, binary, "-test.v", "-test.timeout=5m")
	test.Env = append(os.Environ(), emulator+"="+qemu, need.Promises+"=")
	if out, err := test.CombinedOutput(); err != nil || strings.Count(string(out), "--- PASS") < 5 {
		t.Fatalf("%v\n%s", err, out)
	}
}

func catch(t *testing.T, signals ...unix.Signal) *Pipe {
	t.Helper()
	p, err := Catch(signals...)
	need.Feature(t, "processor", !errors.Is(err, ErrUnsupported), "no handler for it")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func send(t *testing.T, s unix.Signal) {
	t.Helper()
	if err := unix.Kill(unix.Getpid(), s); err != nil {
		t.Fatal(err)
	}
}

// wait takes n signals, from threads that may not have been interrupted yet.
func wait(p *Pipe, n int) (list []unix.Signal) {
	for end := time.Now().Add(10 * time.Second); len(list) < n && time.Now().Before(end); {
		if s, ok := p.Next(); ok {
			list = append(list, s)
		} else {
			time.Sleep(time.Millisecond)
		}
	}
	return list
}

func TestCatch(t *testing.T) {
	p := catch(t, unix.SIGUSR1, unix.SIGUSR2)
	defer p.Close()
	if s, ok := p.Next(); ok {
		t.Errorf("caught %v", s)
	}
	send(t, unix.SIGUSR1)
	first := wait(p, 1)
	send(t, unix.SIGUSR2)
	if got := append(first, wait(p, 1)...); !slices.Equal(got, []unix.Signal{unix.SIGUSR1, unix.SIGUSR2}) {
		t.Errorf("caught %v", got)
	}
}

// Signals hit threads that compute, allocate and wait, and children that are started.
func TestCatchUnderLoad(t *testing.T) {
	p := catch(t, unix.SIGUSR1)
	defer p.Close()
	stop, done := make(chan struct{}), sync.WaitGroup{}
	for range 4 {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_ = append([]byte(nil), make([]byte, 1<<12)...)
				}
			}
		})
	}
	done.Go(func() {
		for range 20 {
			if err := exec.Command("true").Run(); err != nil {
				t.Error(err)
			}
		}
	})
	// One that comes while another of its kind waits is not a second one (signal(7)).
	for i := range 500 {
		send(t, unix.SIGUSR1)
		if got := wait(p, 1); len(got) != 1 {
			t.Fatalf("signal %d was lost", i)
		}
	}
	close(stop)
	done.Wait()
}

// What a signal meant before it means again; and os/signal can take it over.
func TestResetAndHandOver(t *testing.T) {
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, unix.SIGUSR1)
	defer signal.Stop(ch)
	p := catch(t, unix.SIGUSR1, unix.SIGUSR2)
	defer p.Close()
	p.Reset(unix.SIGUSR1)
	send(t, unix.SIGUSR1)
	expect(t, ch, unix.SIGUSR1)
	signal.Notify(ch, unix.SIGUSR2)
	p.Reset(unix.SIGUSR2) // must not take it away again
	send(t, unix.SIGUSR2)
	expect(t, ch, unix.SIGUSR2)
	if s, ok := p.Next(); ok {
		t.Errorf("the pipe has %v", s)
	}
}

func expect(t *testing.T, ch chan os.Signal, want unix.Signal) {
	t.Helper()
	select {
	case got := <-ch:
		if got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Errorf("no %v", want)
	}
}

// A signal ends a process as it did before, once it is given back.
func TestEnds(t *testing.T) {
	if os.Getenv("SIGPIPE_CHILD") != "" {
		p := catch(t, unix.SIGTERM)
		send(t, unix.SIGTERM)
		if got := wait(p, 1); len(got) != 1 {
			os.Exit(3)
		}
		p.Close()
		send(t, unix.SIGTERM)
		time.Sleep(10 * time.Second)
		os.Exit(4)
	}
	args := []string{os.Args[0], "-test.run=^TestEnds$"}
	if qemu := os.Getenv(emulator); qemu != "" {
		args = slices.Insert(args, 0, qemu)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "SIGPIPE_CHILD=1")
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) {
		t.Fatalf("child: %v", err)
	}
	if exit.String() != "signal: terminated" {
		t.Errorf("child: %v", exit)
	}
}
