package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The tables are those of the data file.
func TestGenerated(t *testing.T) {
	want, err := generate("syscalls.txt")
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../zz_tables.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("zz_tables.go is not what go generate makes of syscalls.txt")
	}
}

// The data file says what its source says, and the source is the version in use: when the
// module moves, calls may be new.
func TestSource(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := strings.TrimSpace(string(out))
	text, err := os.ReadFile("syscalls.txt")
	if err != nil {
		t.Fatal(err)
	}
	if source := "golang.org/x/" + filepath.Base(dir) + ","; !strings.Contains(string(text), source) {
		t.Errorf("syscalls.txt was not made from %s; see update.go", source)
	}
	calls, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	tables, err := goTables(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(tables) != len(columns)-len(headerNames) {
		t.Errorf("%d columns come from the module, %d from headers, of %d", len(tables), len(headerNames), len(columns))
	}
	for i, column := range columns {
		table, ok := tables[column]
		if !ok {
			continue
		}
		have := 0
		for _, c := range calls {
			n, ok := table[c.name]
			if !ok {
				n = -1
			} else {
				have++
			}
			if c.numbers[i] != n {
				t.Errorf("%s: %s is %d, in the source %d", column, c.name, c.numbers[i], n)
			}
		}
		if have != len(table) {
			t.Errorf("%s has %d calls, the source %d", column, have, len(table))
		}
	}
}

// Calls since Linux 5.1 have one number everywhere, so a slip in a column shows. What is
// taken from headers is not checked otherwise.
func TestCommonNumbers(t *testing.T) {
	text, err := os.ReadFile("syscalls.txt")
	if err != nil {
		t.Fatal(err)
	}
	calls, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, c := range calls {
		common := -1
		for i, n := range c.numbers {
			if n < 424 || n > 511 || columns[i] == "x32" && n >= 512 {
				continue
			}
			if common < 0 {
				common = n
			}
			if n != common {
				t.Errorf("%s is %d on %s, and %d on others", c.name, n, columns[i], common)
			}
			checked++
		}
	}
	if checked < 30*len(columns) {
		t.Errorf("only %d numbers were looked at", checked)
	}
}
