package linux

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
)

// What is dropped is most of what came from the program's file, and the program goes on; what
// is populated is more than it uses.
func TestProgramPages(t *testing.T) {
	before := fileMemory(t)
	DropProgram()
	dropped := fileMemory(t)
	if dropped > before*3/4 {
		t.Errorf("%d KiB of the program's file are in memory, before %d", dropped, before)
	}
	PopulateProgram()
	need.Feature(t, "populate", unix.Madvise(make([]byte, 2*os.Getpagesize()), unix.MADV_POPULATE_READ) != unix.EINVAL, "Linux before 5.14")
	if after := fileMemory(t); after < dropped*5/4 {
		t.Errorf("%d KiB of the program's file are in memory, after %d", after, dropped)
	}
}

func fileMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
