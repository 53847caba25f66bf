package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func signalCommands() []command {
	return []command{
		{"kill-self", "SIGNAL", 1, func(args []string) error {
			sig, err := signalNumber(args[0])
			if err != nil {
				return err
			}
			signal.Reset(sig)
			if err := unix.Kill(os.Getpid(), sig); err != nil {
				return err
			}
			time.Sleep(time.Second)
			return fmt.Errorf("still alive after %s", unix.SignalName(sig))
		}},
		{"kill", "PID SIGNAL", 2, func(args []string) error {
			pid, err := strconv.Atoi(args[0])
			if err != nil {
				return err
			}
			sig, err := signalNumber(args[1])
			if err != nil {
				return err
			}
			return unix.Kill(pid, sig)
		}},
		{"ignore", "SIGNAL...", 1, func(args []string) error {
			for _, a := range args {
				sig, err := signalNumber(a)
				if err != nil {
					return err
				}
				signal.Ignore(sig)
			}
			return nil
		}},
		{"on-signal", "COUNT SIGNAL...", 2, onSignal},
	}
}

// onSignal prints "ready", then the name of each signal that comes, COUNT times.
func onSignal(args []string) error {
	count, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var list []os.Signal
	for _, a := range args[1:] {
		sig, err := signalNumber(a)
		if err != nil {
			return err
		}
		list = append(list, sig)
	}
	// Room for all of them: a signal that finds none is lost.
	ch := make(chan os.Signal, max(count, 1))
	signal.Notify(ch, list...)
	fmt.Println("ready")
	for range count {
		sig := <-ch
		fmt.Println(unix.SignalName(sig.(unix.Signal)))
	}
	return nil
}

// signalNumber reads 9, KILL or SIGKILL.
func signalNumber(text string) (unix.Signal, error) {
	if n, err := strconv.Atoi(text); err == nil {
		return unix.Signal(n), nil
	}
	name := strings.ToUpper(text)
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if sig := unix.SignalNum(name); sig != 0 {
		return sig, nil
	}
	return 0, fmt.Errorf("cannot use unknown signal %q", text)
}
