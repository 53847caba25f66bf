package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

func fileCommands() []command {
	return []command{
		{"read", "FILE", 1, func(args []string) error { return printFile(args[0]) }},
		{"write", "FILE TEXT", 2, func(args []string) error { return os.WriteFile(args[0], []byte(args[1]+"\n"), 0o644) }},
		{"touch", "FILE", 1, func(args []string) error {
			f, err := os.OpenFile(args[0], os.O_CREATE|os.O_WRONLY, 0o666)
			if err != nil {
				return err
			}
			return f.Close()
		}},
		{"mkdir", "DIRECTORY", 1, func(args []string) error { return os.Mkdir(args[0], 0o777) }},
		{"remove", "FILE", 1, func(args []string) error { return os.Remove(args[0]) }},
		{"list", "DIRECTORY", 1, func(args []string) error {
			entries, err := os.ReadDir(args[0])
			for _, e := range entries {
				fmt.Println(e.Name())
			}
			return err
		}},
		{"link", "FILE", 1, func(args []string) error { return printLink(args[0]) }},
		{"stat", "FILE", 1, printStat},
		{"wait-for", "FILE SECONDS", 2, waitFor},
		{"mount", "SOURCE TARGET TYPE [DATA]", 3, func(args []string) error {
			data := ""
			if len(args) > 3 {
				data = args[3]
			}
			return unix.Mount(args[0], args[1], args[2], 0, data)
		}},
		{"bind", "SOURCE TARGET", 2, func(args []string) error {
			return unix.Mount(args[0], args[1], "", unix.MS_BIND|unix.MS_REC, "")
		}},
		{"umount", "TARGET", 1, func(args []string) error { return unix.Unmount(args[0], 0) }},
	}
}

// printStat prints type, permissions, owner, group and for devices their numbers, such
// as "char 0666 0 0 1:3". It does not follow a link.
func printStat(args []string) error {
	var st unix.Stat_t
	if err := unix.Lstat(args[0], &st); err != nil {
		return err
	}
	kind := "other"
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		kind = "file"
	case unix.S_IFDIR:
		kind = "directory"
	case unix.S_IFLNK:
		kind = "link"
	case unix.S_IFCHR:
		kind = "char"
	case unix.S_IFBLK:
		kind = "block"
	case unix.S_IFIFO:
		kind = "fifo"
	case unix.S_IFSOCK:
		kind = "socket"
	}
	fmt.Printf("%s %04o %d %d", kind, st.Mode&0o7777, st.Uid, st.Gid)
	if kind == "char" || kind == "block" {
		fmt.Printf(" %d:%d", unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev)))
	}
	fmt.Println()
	return nil
}

// waitFor waits until a file exists.
func waitFor(args []string) error {
	patience, err := seconds(args[1])
	if err != nil {
		return err
	}
	return poll(patience, func() error {
		_, err := os.Lstat(args[0])
		return err
	})
}
