package rdt

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// A tree is a mounted resctrl file system, by its folder.
type tree string

const (
	usual = "/sys/fs/resctrl"
	magic = 0x7655821 // RDTGROUP_SUPER_MAGIC
)

// errNone is what a host says that has no resctrl.
var errNone = errors.New("no resctrl file system is mounted")

// mounted finds the resctrl file system of this host.
func mounted() (tree, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(usual, &st); err == nil && int64(st.Type) == magic {
		return usual, nil
	}
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if dir, ok := resctrlMount(lines.Text()); ok {
			return tree(dir), nil
		}
	}
	if err := lines.Err(); err != nil {
		return "", err
	}
	return "", errNone
}

// resctrlMount reads a line of mountinfo (proc_pid_mountinfo(5)), and returns where it
// says that the whole of a resctrl file system is mounted.
func resctrlMount(line string) (dir string, ok bool) {
	before, after, ok := strings.Cut(line, " - ")
	kind, _, _ := strings.Cut(after, " ")
	fields := strings.Fields(before)
	if !ok || kind != "resctrl" || len(fields) < 5 || fields[3] != "/" {
		return "", false
	}
	dir = fields[4]
	for i := 0; i+3 < len(dir); i++ { // \040 is a blank
		if n, err := strconv.ParseUint(dir[i+1:i+4], 8, 8); dir[i] == '\\' && err == nil {
			dir = dir[:i] + string(rune(n)) + dir[i+4:]
		}
	}
	return dir, true
}

func (t tree) path(parts ...string) string {
	return filepath.Join(append([]string{string(t)}, parts...)...)
}

// has reports whether the processor can share out a resource, by the names that it has in
// info: "L3" is also there in two parts, for code and data.
func (t tree) has(names ...string) bool {
	for _, n := range names {
		if _, err := os.Stat(t.path("info", n)); err == nil {
			return true
		}
	}
	return false
}

// mkdir makes a group, and reports whether it was missing.
func (t tree) mkdir(dir string) (made bool, err error) {
	err = os.Mkdir(dir, 0o755)
	switch {
	case errors.Is(err, fs.ErrExist):
		return false, nil
	case errors.Is(err, unix.ENOSPC):
		return false, fmt.Errorf("%w: the processor has no group left", err)
	case err != nil:
		return false, t.explain(err)
	}
	return true, nil
}

// write writes a line to a file of a group: each write is a request of its own.
func (t tree) write(file, line string) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteString(line); err != nil {
		return t.explain(err)
	}
	return nil
}

// explain adds what the kernel said about the last request.
func (t tree) explain(err error) error {
	b, readErr := os.ReadFile(t.path("info", "last_cmd_status"))
	status := strings.TrimSpace(string(b))
	if readErr != nil || status == "" || status == "ok" {
		return err
	}
	return fmt.Errorf("%w: %s", err, status)
}

// addPid moves a process to a group. One that has ended meanwhile is no error.
func (t tree) addPid(dir string, pid int) error {
	err := t.write(filepath.Join(dir, "tasks"), strconv.Itoa(pid)+"\n")
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
