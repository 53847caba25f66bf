package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processInfo is what the process was started with.
type processInfo struct {
	Pid     int      `json:"pid"`
	Ppid    int      `json:"ppid"`
	Session int      `json:"session"`
	Args    []string `json:"args"`
	Env     []string `json:"env"`
	Cwd     string   `json:"cwd"`
}

func readProcess() (*processInfo, error) {
	sid, err := unix.Getsid(0)
	if err != nil {
		return nil, err
	}
	p := &processInfo{Pid: os.Getpid(), Ppid: os.Getppid(), Session: sid, Args: os.Args, Env: os.Environ()}
	// Not os.Getwd, which believes $PWD.
	var buf [unix.PathMax]byte
	n, err := unix.Getcwd(buf[:])
	if err == nil && n > 0 {
		p.Cwd = string(buf[:n-1])
	}
	return p, err
}

// identity is who the process is and what it may do. Masks are lists of signal numbers
// or capability numbers.
type identity struct {
	UIDs       []int            `json:"uids"` // real, effective, saved, file system
	GIDs       []int            `json:"gids"`
	Groups     []int            `json:"groups"`
	Umask      string           `json:"umask"` // octal
	NoNewPrivs bool             `json:"noNewPrivs"`
	Seccomp    int              `json:"seccomp"` // 0 none, 1 strict, 2 filter
	Filters    int              `json:"seccompFilters"`
	Caps       map[string][]int `json:"capabilities"` // bounding, effective, permitted, inheritable, ambient
	Signals    map[string][]int `json:"signals"`      // blocked, ignored, caught: see the package comment
	Threads    int              `json:"threads"`
}

func readIdentity() (*identity, error) {
	status, err := readStatus()
	if err != nil {
		return nil, err
	}
	id := &identity{
		UIDs: numbers(status["Uid"]), GIDs: numbers(status["Gid"]), Groups: numbers(status["Groups"]),
		Umask: status["Umask"], NoNewPrivs: status["NoNewPrivs"] == "1",
		Caps: map[string][]int{}, Signals: map[string][]int{},
	}
	id.Seccomp, _ = strconv.Atoi(status["Seccomp"])
	id.Filters, _ = strconv.Atoi(status["Seccomp_filters"])
	id.Threads, _ = strconv.Atoi(status["Threads"])
	for name, key := range map[string]string{
		"bounding": "CapBnd", "effective": "CapEff", "permitted": "CapPrm", "inheritable": "CapInh", "ambient": "CapAmb",
	} {
		if id.Caps[name], err = bits(status[key], 0); err != nil {
			return nil, err
		}
	}
	for name, key := range map[string]string{"blocked": "SigBlk", "ignored": "SigIgn", "caught": "SigCgt"} {
		if id.Signals[name], err = bits(status[key], 1); err != nil {
			return nil, err
		}
	}
	return id, nil
}

// readStatus reads the lines of /proc/self/status.
func readStatus() (map[string]string, error) {
	lines, err := readLines("/proc/self/status")
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, l := range lines {
		key, value, _ := strings.Cut(l, ":")
		m[key] = strings.TrimSpace(value)
	}
	return m, nil
}

func numbers(text string) []int {
	list := []int{}
	for f := range strings.FieldsSeq(text) {
		if n, err := strconv.Atoi(f); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// bits lists the bits of a hexadecimal mask, counted from first.
func bits(mask string, first int) ([]int, error) {
	v, err := strconv.ParseUint(mask, 16, 64)
	if err != nil {
		return nil, fmt.Errorf("cannot read mask %q: %w", mask, err)
	}
	list := []int{}
	for i := range 64 {
		if v&(1<<i) != 0 {
			list = append(list, i+first)
		}
	}
	return list, nil
}

// openFiles names the descriptors the process was started with, and the runtime's own.
func openFiles() (map[string]string, error) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	m := map[string]string{}
	for _, n := range names {
		if n == strconv.Itoa(int(dir.Fd())) {
			continue
		}
		to, err := os.Readlink("/proc/self/fd/" + n)
		// Go's poller is nobody's leak.
		if err == nil && to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			m[n] = to
		}
	}
	return m, nil
}

func sessionKeyring() (string, error) {
	return unix.KeyctlString(unix.KEYCTL_DESCRIBE, unix.KEY_SPEC_SESSION_KEYRING)
}
