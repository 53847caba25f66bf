package main

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// tryCommands print "ok" or why the kernel refused, and succeed in any case.
func tryCommands() []command {
	return []command{
		{"try-write", "FILE|DIRECTORY", 1, func(args []string) error { answer(tryWrite(args[0])); return nil }},
		{"try-read", "FILE", 1, func(args []string) error { answer(tryRead(args[0])); return nil }},
		{"try-mount", "TARGET", 1, func(args []string) error {
			err := unix.Mount("tmpfs", args[0], "tmpfs", 0, "")
			if err == nil {
				err = unix.Unmount(args[0], unix.MNT_DETACH)
			}
			answer(err)
			return nil
		}},
		{"try-mknod", "FILE", 1, func(args []string) error {
			answer(unix.Mknod(args[0], unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))))
			return nil
		}},
		{"try-sethostname", "NAME", 1, func(args []string) error { answer(unix.Sethostname([]byte(args[0]))); return nil }},
		{"try-setgroups", "GID...", 0, func(args []string) error {
			var list []int
			for _, a := range args {
				n, err := strconv.Atoi(a)
				if err != nil {
					return err
				}
				list = append(list, n)
			}
			answer(unix.Setgroups(list))
			return nil
		}},
		{"try-chown", "FILE UID GID", 3, func(args []string) error {
			uid, err := strconv.Atoi(args[1])
			if err != nil {
				return err
			}
			gid, err := strconv.Atoi(args[2])
			if err != nil {
				return err
			}
			answer(os.Lchown(args[0], uid, gid))
			return nil
		}},
		{"try-chroot", "DIRECTORY", 1, func(args []string) error { answer(unix.Chroot(args[0])); return nil }},
		{"try-getcwd", "", 0, func([]string) error {
			var buf [unix.PathMax]byte
			_, err := unix.Getcwd(buf[:])
			answer(err)
			return nil
		}},
		{"try-key", "NAME", 1, func(args []string) error {
			_, err := unix.KeyctlSearch(unix.KEY_SPEC_SESSION_KEYRING, "user", args[0], 0)
			answer(err)
			return nil
		}},
		{"try-kill", "PID", 1, func(args []string) error {
			pid, err := strconv.Atoi(args[0])
			if err != nil {
				return err
			}
			answer(unix.Kill(pid, 0))
			return nil
		}},
	}
}

// tryWrite opens an existing file for writing, or makes and removes one in a directory.
func tryWrite(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		probe := filepath.Join(path, ".inside-"+strconv.Itoa(os.Getpid()))
		if err := os.WriteFile(probe, nil, 0o600); err != nil {
			return err
		}
		return os.Remove(probe)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// tryRead reads the first byte of a file, or the first entry of a directory.
func tryRead(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.IsDir() {
		_, err = f.Readdirnames(1)
		return err // EOF, if it is empty
	}
	_, err = f.Read(make([]byte, 1))
	return err
}

// poll tries again every few milliseconds until there is no error or no time.
func poll(patience time.Duration, try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}
