package main

import (
	"errors"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"
)

func ipcCommands() []command {
	return []command{
		{"msg-create", "KEY", 1, func(args []string) error {
			_, err := messageQueue(args[0], unix.IPC_CREAT|unix.IPC_EXCL|0o600)
			return err
		}},
		{"msg-probe", "KEY", 1, func(args []string) error {
			_, err := messageQueue(args[0], 0)
			return yesNo(err, unix.ENOENT)
		}},
		{"msg-remove", "KEY", 1, func(args []string) error {
			id, err := messageQueue(args[0], 0)
			if err != nil {
				return err
			}
			return errnoOf(unix.Syscall(unix.SYS_MSGCTL, id, unix.IPC_RMID, 0))
		}},
		{"mq-create", "NAME", 1, func(args []string) error {
			return posixQueue(args[0], unix.O_CREAT|unix.O_EXCL|unix.O_RDWR)
		}},
		{"mq-probe", "NAME", 1, func(args []string) error {
			return yesNo(posixQueue(args[0], unix.O_RDONLY), unix.ENOENT)
		}},
		{"mq-remove", "NAME", 1, func(args []string) error {
			name, err := unix.BytePtrFromString(args[0])
			if err != nil {
				return err
			}
			return errnoOf(unix.Syscall(unix.SYS_MQ_UNLINK, uintptr(unsafe.Pointer(name)), 0, 0))
		}},
	}
}

// messageQueue opens a System V queue by its number.
func messageQueue(key string, flags int) (uintptr, error) {
	k, err := strconv.Atoi(key)
	if err != nil {
		return 0, fmt.Errorf("cannot use key %q: %w", key, err)
	}
	id, _, errno := unix.Syscall(unix.SYS_MSGGET, uintptr(k), uintptr(flags), 0)
	if errno != 0 {
		return 0, errno
	}
	return id, nil
}

// posixQueue opens a POSIX queue, whose name goes to the kernel without a slash.
func posixQueue(name string, flags int) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	fd, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(p)), uintptr(flags|unix.O_CLOEXEC), 0o600, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return unix.Close(int(fd))
}

// yesNo prints yes for no error and no for the one that means absence.
func yesNo(err, absent error) error {
	switch {
	case err == nil:
		fmt.Println("yes")
	case errors.Is(err, absent):
		fmt.Println("no")
	default:
		return err
	}
	return nil
}

func errnoOf(_, _ uintptr, errno unix.Errno) error {
	if errno != 0 {
		return errno
	}
	return nil
}
