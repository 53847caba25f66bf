package bare

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What is here before package os is initialized is what that has then.
func TestAgreesWithOS(t *testing.T) {
	if !slices.Equal(Args(), os.Args) {
		t.Errorf("arguments %q, want %q", Args(), os.Args)
	}
	if Pid() != os.Getpid() {
		t.Errorf("pid %d, want %d", Pid(), os.Getpid())
	}
	for name, want := range map[string]bool{"PATH": os.Getenv("PATH") != "", "PAT": false, "": false, "OCIRT_NO_SUCH": false} {
		if HasEnv(name) != want {
			t.Errorf("HasEnv(%q) is %v", name, !want)
		}
	}
}

func TestThreads(t *testing.T) {
	main, other := 0, 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		if tid := unix.Gettid(); OnMainThread() != (tid == os.Getpid()) {
			main = tid
		} else {
			other = tid
		}
	}()
	<-done
	if main != 0 || !HasThread(other) || !HasThread(os.Getpid()) || HasThread(1) || HasThread(1<<22) {
		t.Error(main, other)
	}
}

// One who sleeps on a word that is not zero does not; another one is woken.
func TestSleep(t *testing.T) {
	awake := uint32(1)
	Sleep(&awake)
	var word uint32
	done := make(chan struct{})
	go func() {
		Sleep(&word)
		close(done)
	}()
	for {
		Wake(&word)
		select {
		case <-done:
			return
		default:
		}
	}
}

// Only a regular file is read, and only one that is not too long.
func TestReadFile(t *testing.T) {
	const limit = 100
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{"config": "{}", "full": strings.Repeat("x", limit), "long": strings.Repeat("x", limit+1), "empty": ""} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(in("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, link := range []string{"config", "fifo"} {
		if err := os.Symlink(link, in("to "+link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]int{"config": 2, "to config": 2, "full": limit} {
		if text, ok := ReadFile(in(name), limit); !ok || len(text) != want {
			t.Errorf("%s: %q, %v", name, text, ok)
		}
	}
	for _, name := range []string{"long", "empty", "fifo", "to fifo", ".", "missing", "config/x", "con\x00fig"} {
		if text, ok := ReadFile(in(name), limit); ok {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestWriteFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	WriteFile(name, "x")
	if _, err := os.Stat(name); err == nil {
		t.Error("the file was made")
	}
	if err := os.WriteFile(name, []byte("abc"), 0o600); err != nil {
		t.Fatal(err)
	}
	WriteFile(name, "xy")
	if got, err := os.ReadFile(name); err != nil || string(got) != "xyc" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestLeave(t *testing.T) {
	if errno := Leave(1 << 40); errno != uintptr(unix.EINVAL) {
		t.Errorf("a flag that does not exist gives %d", errno)
	}
}
