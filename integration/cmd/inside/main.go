// Command inside is the checker that integration tests put into a container. Built
// statically, it needs nothing around it, not even /proc for most of what it does.
//
//	inside report [SECTION...]           what it sees, as one JSON document
//	inside COMMAND ARG... [-- COMMAND ARG...]...
//
// Commands run one after the other; the first that fails ends the program with status
// 1 and "inside: COMMAND: cause" on standard error. "inside help" lists them. Commands
// whose name begins with try succeed in any case: they print "ok" or the cause.
//
// What belongs here: looking, and small deeds whose effect a test can see. What does
// not: judging, which is the test's.
//
// Two things a Go program cannot see of itself, because its runtime changes them
// before main: ignored signals, but for SIGHUP and SIGINT, and the soft RLIMIT_NOFILE.
// Tests of those need another program, such as a shell.
package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// A command does one thing with its arguments.
type command struct {
	name  string
	usage string
	min   int // arguments it needs
	run   func(args []string) error
}

// commands is a function and not a table, because some commands run others.
func commands() []command {
	return slices.Concat(reportCommands(), ipcCommands(), networkCommands(),
		processCommands(), signalCommands(), fileCommands(), notifyCommands(), keyCommands(), tryCommands())
}

func main() {
	args := os.Args[1:]
	if len(args) == 0 {
		args = []string{"report"}
	}
	for len(args) > 0 {
		n := slices.Index(args, "--")
		if n < 0 {
			n = len(args)
		}
		if n > 0 {
			if err := dispatch(args[0], args[1:n]); err != nil {
				fmt.Fprintf(os.Stderr, "inside: %s: %v\n", args[0], err)
				os.Exit(1)
			}
		}
		args = args[min(n+1, len(args)):]
	}
}

func dispatch(name string, args []string) error {
	if name == "help" {
		for _, c := range commands() {
			fmt.Println(strings.TrimSpace(c.name + " " + c.usage))
		}
		return nil
	}
	for _, c := range commands() {
		if c.name != name {
			continue
		}
		if len(args) < c.min {
			return fmt.Errorf("want arguments %s", c.usage)
		}
		return c.run(args)
	}
	return fmt.Errorf("no such command")
}

// answer prints the result of something that may be refused.
func answer(err error) {
	if err == nil {
		fmt.Println("ok")
		return
	}
	fmt.Println(cause(err))
}

// cause is the kernel's word for it, without the path and call that Go puts before.
func cause(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}
