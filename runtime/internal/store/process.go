package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"
)

// A ProcessID names one process for ever. A pid alone does not: it is used again,
// and after a reboot pid and start time together may match a stranger.
//
// Start is seen through the reader's time namespace, so the reader must be in the
// one of the writer; both are the host's here.
type ProcessID struct {
	Pid   int
	Start uint64 // field 22 of /proc/PID/stat: clock ticks since boot
	Boot  string // /proc/sys/kernel/random/boot_id
}

// Identify says who pid is now. The caller must know that pid is the process that
// is meant, for example because it is a child that has not been waited for.
func Identify(pid int) (ProcessID, error) {
	st, err := readStat(pid)
	if err != nil {
		return ProcessID{}, fmt.Errorf("cannot identify process %d: %w", pid, err)
	}
	boot, err := BootID()
	if err != nil {
		return ProcessID{}, err
	}
	return ProcessID{Pid: pid, Start: st.start, Boot: boot}, nil
}

// Alive says whether the process lives, and its state letter from /proc/PID/stat,
// 0 if it is gone. A zombie is dead, unless it is only the first thread that has
// ended while others of the process go on.
func (p ProcessID) Alive() (state byte, alive bool, err error) {
	if p.Pid <= 1 || p.Start == 0 {
		return 0, false, nil
	}
	st, err := readStat(p.Pid)
	if errors.Is(err, unix.ESRCH) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("cannot look at process %d: %w", p.Pid, err)
	}
	if st.start != p.Start {
		return 0, false, nil
	}
	boot, err := BootID()
	if err != nil {
		return 0, false, err
	}
	if boot != p.Boot {
		return 0, false, nil
	}
	dead := st.state == 'X' || st.state == 'x' || st.state == 'Z' && st.threads <= 1
	return st.state, !dead, nil
}

// Open opens a pidfd of the process, with which it can be waited for and
// signalled although its number may be used again. The error wraps ESRCH if the
// process has gone. Whoever calls closes it.
func (p ProcessID) Open() (pidfd int, err error) {
	if p.Pid <= 1 || p.Start == 0 {
		return -1, fmt.Errorf("cannot open process %d: %w", p.Pid, unix.ESRCH)
	}
	err = retry(func() (err error) {
		pidfd, err = unix.PidfdOpen(p.Pid, 0)
		return err
	})
	if err != nil {
		return -1, fmt.Errorf("cannot open process %d: %w", p.Pid, err)
	}
	// Only now, with the process held, does a look at its number mean anything.
	st, err := readStat(p.Pid)
	if err == nil && st.start != p.Start {
		err = unix.ESRCH
	}
	var boot string
	if err == nil {
		boot, err = BootID()
	}
	if err == nil && boot != p.Boot {
		err = unix.ESRCH
	}
	if err != nil {
		unix.Close(pidfd)
		return -1, fmt.Errorf("cannot open process %d: %w", p.Pid, err)
	}
	return pidfd, nil
}

// BootID is the kernel's name of this boot.
func BootID() (string, error) { return bootID() }

// bootID reads it once: no process outlives the boot.
var bootID = sync.OnceValues(readBootID)

func readBootID() (string, error) {
	const path = "/proc/sys/kernel/random/boot_id"
	var buf [64]byte
	b, err := readProc(path, buf[:])
	if err != nil {
		return "", fmt.Errorf("cannot read the boot id, %s: %w", path, err)
	}
	return string(bytes.TrimSpace(b)), nil
}

// stat is what we need of /proc/PID/stat.
type stat struct {
	state   byte
	threads int
	start   uint64
}

// readStat reads /proc/PID/stat. The error is ESRCH if there is no such process.
func readStat(pid int) (stat, error) {
	var buf [1024]byte
	b, err := readProc("/proc/"+strconv.Itoa(pid)+"/stat", buf[:])
	if errors.Is(err, unix.ENOENT) {
		// Without procfs every process would look dead.
		if _, e := os.Lstat("/proc/self/stat"); e != nil {
			return stat{}, fmt.Errorf("no usable /proc: %w", e)
		}
		err = unix.ESRCH
	}
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

// parseStat reads the fields behind the command name, which may hold anything, so
// they are counted from its last parenthesis.
func parseStat(b []byte) (stat, error) {
	errForm := errors.New("unexpected form of /proc/PID/stat")
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return stat{}, errForm
	}
	const first, state, threads, start = 3, 3, 20, 22
	fields := bytes.Fields(b[end+1:])
	if len(fields) <= start-first || len(fields[state-first]) != 1 {
		return stat{}, errForm
	}
	st := stat{state: fields[state-first][0]}
	var err1, err2 error
	st.threads, err1 = strconv.Atoi(string(fields[threads-first]))
	st.start, err2 = strconv.ParseUint(string(fields[start-first]), 10, 64)
	if err1 != nil || err2 != nil {
		return stat{}, errForm
	}
	return st, nil
}

// readProc reads a small file of procfs in one go. Not os.ReadFile, which offers
// the file to the poller and reads twice.
func readProc(path string, buf []byte) ([]byte, error) {
	fd, err := retryOpen(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var n int
	err = retry(func() (err error) {
		n, err = unix.Read(fd, buf)
		return err
	})
	if err == nil && n <= 0 {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	return buf[:n], nil
}
