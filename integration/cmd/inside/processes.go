package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

func processCommands() []command {
	return []command{
		{"sleep", "SECONDS|forever", 1, sleep},
		{"exit", "STATUS", 1, func(args []string) error {
			n, err := strconv.Atoi(args[0])
			if err == nil {
				os.Exit(n)
			}
			return err
		}},
		{"pids", "", 0, printPids},
		{"children", "COUNT", 1, startChildren},
		{"orphans", "COUNT", 1, reapOrphans},
		{"abandon", "COUNT", 1, abandon},
		{"exec", "PROGRAM ARG...", 1, func(args []string) error {
			path, err := exec.LookPath(args[0])
			if err != nil {
				return err
			}
			return unix.Exec(path, args, os.Environ())
		}},
		{"echo", "TEXT", 1, func(args []string) error { fmt.Println(args[0]); return nil }},
		{"complain", "TEXT", 1, func(args []string) error { fmt.Fprintln(os.Stderr, args[0]); return nil }},
		{"copy", "", 0, func([]string) error { _, err := io.Copy(os.Stdout, os.Stdin); return err }},
		{"tty", "[DESCRIPTOR]", 0, printTerminal},
	}
}

func sleep(args []string) error {
	if args[0] == "forever" {
		for {
			time.Sleep(time.Hour)
		}
	}
	d, err := seconds(args[0])
	time.Sleep(d)
	return err
}

// printPids prints the processes that /proc shows, one a line.
func printPids([]string) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			fmt.Println(e.Name())
		}
	}
	return nil
}

// self returns a command that runs this program again. It does not look for it in
// /proc, which need not be there.
func self(args ...string) *exec.Cmd {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0]
	}
	return exec.Command(exe, args...)
}

// startChildren starts processes that sleep forever and prints their pids.
func startChildren(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		cmd := self("sleep", "forever")
		if err := cmd.Start(); err != nil {
			return err
		}
		fmt.Println(cmd.Process.Pid)
	}
	return nil
}

// reapOrphans makes a child that leaves COUNT children behind when it ends, waits for
// all there are, and prints how many of them were the orphans. That is COUNT only in a
// process to which orphans fall: pid 1 or a sub-reaper.
func reapOrphans(args []string) error {
	cmd := self("abandon", args[0])
	if err := cmd.Start(); err != nil {
		return err
	}
	orphans := 0
	for {
		pid, err := unix.Wait4(-1, nil, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.ECHILD):
			fmt.Println(orphans)
			return nil
		case err != nil:
			return err
		case pid != cmd.Process.Pid:
			orphans++
		}
	}
}

// abandon starts children and ends without waiting for them.
func abandon(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	for range n {
		if err := self("sleep", "0.2").Start(); err != nil {
			return err
		}
	}
	os.Exit(0)
	return nil
}

// printTerminal prints columns and rows, or "no terminal".
func printTerminal(args []string) error {
	fd := 0
	if len(args) > 0 {
		var err error
		if fd, err = strconv.Atoi(args[0]); err != nil {
			return err
		}
	}
	cols, rows, err := windowSize(fd)
	if errors.Is(err, unix.ENOTTY) {
		fmt.Println("no terminal")
		return nil
	}
	if err == nil {
		fmt.Println(cols, rows)
	}
	return err
}
