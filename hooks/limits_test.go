package hooks

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestTimeout(t *testing.T) {
	begin := time.Now()
	e := failure(t, shLimit("echo here; trap '' TERM INT HUP; sleep 60; sleep 60", 1), Options{})
	if took := time.Since(begin); took < time.Second || took > 4*time.Second {
		t.Errorf("took %v", took)
	}
	if !e.TimedOut || e.Timeout != time.Second || !errors.Is(e, context.DeadlineExceeded) || e.Stdout != "here\n" {
		t.Errorf("%#v", e)
	}
	says(t, e, `error running createRuntime hook #0: "/bin/sh": hook ran past specified timeout of 1.0s (timed out after 1 s), stdout: here, stderr: `)
}

func TestTimeoutKillsChildren(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	e := failure(t, shLimit("(trap '' TERM HUP INT; sh -c 'echo $$ > "+pid+"; sleep 60; sleep 60') & wait", 1), Options{})
	if !e.TimedOut {
		t.Errorf("%#v", e)
	}
	dead(t, waitFor(t, pid))
}

func TestTimeoutNotReached(t *testing.T) {
	if err := Run(t.Context(), shLimit("sleep 0.1", 30), state(), Options{}); err != nil {
		t.Error(err)
	}
	if err := Run(t.Context(), shLimit("exit 0", int(^uint(0)>>1)), state(), Options{}); err != nil {
		t.Error(err)
	}
}

func TestCancel(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("interrupted by the user")
	time.AfterFunc(5*time.Second, func() { cancel(errors.New("the hook never started")) })
	go func() {
		for {
			if fi, err := os.Stat(dir + "/pid"); err == nil && fi.Size() > 0 {
				break
			}
			time.Sleep(time.Millisecond)
		}
		cancel(why)
	}()
	err := Run(ctx, sh("sh -c 'echo $$ > "+dir+"/pid; sleep 60; sleep 60' & wait"), state(), Options{})
	var e *Error
	if !errors.Is(err, why) || !errors.As(err, &e) || e.TimedOut || e.Signal != syscall.SIGKILL {
		t.Errorf("error %#v", err)
	}
	says(t, err, `error running hook: "/bin/sh": killed: interrupted by the user`)
	dead(t, waitFor(t, dir+"/pid"))
	// With a dead context nothing is started at all.
	err = Run(ctx, sh("touch "+dir+"/started"), state(), Options{})
	says(t, err, "not started: interrupted by the user")
	if _, err := os.Stat(dir + "/started"); err == nil {
		t.Error("started after all")
	}
}

// A child that stays behind with the hook's output open must neither hold us up
// nor be killed: starting a daemon is what some hooks are for.
func TestBackgroundChild(t *testing.T) {
	for name, tail := range map[string]string{"success": "exit 0", "failure": "exit 5"} {
		t.Run(name, func(t *testing.T) {
			pid := filepath.Join(t.TempDir(), "pid")
			begin := time.Now()
			err := Run(t.Context(), sh("sh -c 'echo $$ > "+pid+"; exec sleep 60' & while ! [ -s "+pid+" ]; do :; done; echo said; "+tail), state(), Options{})
			took := time.Since(begin)
			child := waitFor(t, pid)
			if e := syscall.Kill(child, 0); e != nil {
				t.Errorf("the child was killed: %v", e)
			}
			_ = syscall.Kill(child, syscall.SIGKILL)
			dead(t, child)
			if took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			if name == "success" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			says(t, err, "exit status 5, stdout: said, ")
		})
	}
}

// One that even goes on printing must not either.
func TestBackgroundFlood(t *testing.T) {
	pid := filepath.Join(t.TempDir(), "pid")
	begin := time.Now()
	err := Run(t.Context(), sh("sh -c 'echo $$ > "+pid+"; exec yes' & while ! [ -s "+pid+" ]; do :; done; exit 0"), state(), Options{})
	if err != nil || time.Since(begin) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(begin))
	}
	dead(t, waitFor(t, pid)) // of SIGPIPE, as our end is closed
}

func TestOutputInTheError(t *testing.T) {
	e := failure(t, sh(`printf 'out\nput'; printf 'a\033[31mred\nlevel=fatal\r\377\n\n' >&2; exit 1`), Options{})
	want := `error running createRuntime hook #0: "/bin/sh": exit status 1, ` +
		`stdout: out\nput, stderr: a\x1b[31mred\nlevel=fatal\r\xff`
	if e.Error() != want {
		t.Errorf("got  %s\nwant %s", e, want)
	}
	if e.Stdout != "out\nput" || e.Stderr != "a\x1b[31mred\nlevel=fatal\r\xff\n\n" {
		t.Errorf("kept %q and %q", e.Stdout, e.Stderr)
	}
	e = failure(t, sh(`i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 1`), Options{})
	if len(e.Stdout) != captureLimit || !strings.HasSuffix(e.Stdout, "line 19999\n") {
		t.Errorf("kept %d bytes, the last %q", len(e.Stdout), e.Stdout[len(e.Stdout)-20:])
	}
	if n := len(e.Error()); n < messageTail || n > 2*messageTail {
		t.Errorf("message of %d bytes", n)
	}
	says(t, e, `line 19999, stderr: `)
}

func TestGibibyteOfOutput(t *testing.T) {
	if testing.Short() {
		t.Skip("-test.short: it writes a GiB")
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	e := failure(t, sh("dd if=/dev/zero bs=1M count=1024 2>/dev/null; echo end; exit 3"), Options{})
	runtime.ReadMemStats(&after)
	if e.ExitCode != 3 || len(e.Stdout) != captureLimit || !strings.HasSuffix(e.Stdout, "\x00end\n") {
		t.Errorf("exit %d, kept %d bytes", e.ExitCode, len(e.Stdout))
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 {
		t.Errorf("allocated %d bytes", used)
	}
}
