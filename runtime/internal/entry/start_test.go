package entry

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The child's descriptors are arranged by overwriting others, among them perhaps that of
// the image. Whatever numbers the files have here, the program gets each in its place.
func TestFilesInAnyOrder(t *testing.T) {
	dir := t.TempDir()
	open := func(n int) *os.File {
		name := filepath.Join(dir, fmt.Sprint(n))
		if err := os.WriteFile(name, []byte{'a' + byte(n)}, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	const n = 20
	var files []*os.File
	for i := range n {
		files = append(files, open(i))
	}
	for rotation := range n {
		var p Program
		buf := p.Bytes(make([]byte, 16))
		want := ""
		for i := range n {
			// Backwards, so that many have numbers which others are to get.
			from := (2*n - i + rotation) % n
			fd := p.Inherit(files[from])
			p.Call(unix.SYS_PREAD64, fd, buf, 1, 0).Labelf("read %d", from)
			p.Call(unix.SYS_WRITE, 1, buf, 1)
			want += string(rune('a' + from))
		}
		p.Exit(0)
		out, records, status := run(t, &p)
		if out != want || len(records) != 0 || status.ExitStatus() != 0 {
			t.Fatalf("rotation %d: %q, want %q; %v, %#x", rotation, out, want, records, status)
		}
		if len(p.Files()) != n+1 { // and the report socket
			t.Errorf("%d files", len(p.Files()))
		}
	}
}

func TestFirstFile(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	var p Program
	p.FirstFile(5)
	fd := p.Inherit(w)
	if fd != 5 {
		t.Fatalf("descriptor %d, want 5", fd)
	}
	p.Call(unix.SYS_WRITE, fd, p.String("five"), 4)
	p.Exit(0)
	pid := launch(t, &p, []*os.File{os.Stdin, os.Stdout, os.Stderr, os.Stdin, os.Stdin})
	if status := wait(t, pid); status.ExitStatus() != 0 {
		t.Errorf("status %#x", status)
	}
	b := make([]byte, 16)
	if n, _ := r.Read(b); string(b[:n]) != "five" {
		t.Errorf("got %q", b[:n])
	}
	_, err = p.Start([]*os.File{os.Stdin}, nil)
	if err == nil || !strings.Contains(err.Error(), "1 descriptors before the program's own, want 5") {
		t.Errorf("error %v", err)
	}
}
