package linux

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// What is dropped is most of what came from the program's file, and the program goes on.
func TestDropProgram(t *testing.T) {
	before := fileMemory(t)
	DropProgram()
	dropped := fileMemory(t)
	if dropped > before*3/4 {
		t.Errorf("%d KiB of the program's file are in memory, before %d", dropped, before)
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
