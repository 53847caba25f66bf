package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// notifyCommands speak to the service manager as programs do (sd_notify(3)).
func notifyCommands() []command {
	return []command{
		{"notify", "LINE...", 1, func(args []string) error {
			return speak(0, func(fd int) error { return say(fd, []byte(strings.Join(args, "\n")), nil) })
		}},
		{"notify-flood", "COUNT LINE...", 2, notifyFlood},
		{"notify-files", "LINE...", 1, notifyFiles},
		{"try-notify-size", "BYTES", 1, func(args []string) error {
			n, err := strconv.Atoi(args[0])
			if err != nil {
				return err
			}
			text := "STATUS=" + strings.Repeat("x", n)
			answer(speak(2*n, func(fd int) error { return say(fd, []byte(text[:n]), nil) }))
			return nil
		}},
	}
}

// speak makes a connection. With a buffer of more than 0 bytes larger messages than usual
// can be sent, if the caller may.
func speak(buffer int, do func(fd int) error) error {
	to := os.Getenv("NOTIFY_SOCKET")
	if to == "" {
		return errors.New("NOTIFY_SOCKET is not set")
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if buffer > 0 {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, buffer)
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: to}); err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return do(fd)
}

func say(fd int, text []byte, rights []byte) error {
	for {
		if err := unix.Sendmsg(fd, text, rights, nil, 0); err != unix.EINTR {
			return err
		}
	}
}

// notifyFlood says the same many times.
func notifyFlood(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	text := []byte(strings.Join(args[1:], "\n"))
	return speak(0, func(fd int) error {
		for range n {
			if err := say(fd, text, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// notifyFiles sends a descriptor along, waits until nobody has it any more, and prints
// "closed".
func notifyFiles(args []string) error {
	return speak(0, func(fd int) error {
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return err
		}
		err := say(fd, []byte(strings.Join(args, "\n")), unix.UnixRights(p[1]))
		unix.Close(p[1])
		if err != nil {
			return err
		}
		for {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(p[0])}}, 5000)
			switch {
			case err == unix.EINTR:
				continue
			case err != nil:
				return err
			case n == 0:
				return errors.New("the descriptor is still open")
			}
			fmt.Println("closed")
			return nil
		}
	})
}
