// Command hook is what integration tests name in the hooks of a config.json. It appends one
// line of JSON to a file: what it was started with, and where it is.
//
//	hook FILE LABEL [DEED...]
//
// Deeds are done afterwards, in turn: "say TEXT" and "complain TEXT" write to standard
// output and error, "flood" writes a mebibyte, "linger" leaves a child behind that keeps
// the output open for ten seconds, "deaf" ignores SIGTERM, "sleep SECONDS", "exit STATUS",
// "note LABEL" appends another line, with that label alone.
//
// What belongs here: seeing and misbehaving. What does not: judging.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A record is a line of the file.
type record struct {
	Label      string            `json:"label"`
	Args       []string          `json:"args"`
	Env        []string          `json:"env"`
	Cwd        string            `json:"cwd"`
	Pid        int               `json:"pid"`
	UID        int               `json:"uid"`
	Stdin      string            `json:"stdin"`
	Namespaces map[string]string `json:"namespaces"`
}

func main() {
	if err := run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "hook:", err)
		os.Exit(99)
	}
}

func run(args []string) error {
	if len(args) < 3 {
		return fmt.Errorf("want FILE LABEL [DEED...], not %q", args)
	}
	stdin, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	r := record{Label: args[2], Args: args, Env: os.Environ(), Pid: os.Getpid(), UID: os.Getuid(), Stdin: string(stdin), Namespaces: map[string]string{}}
	if r.Cwd, err = syscall.Getwd(); err != nil {
		return err
	}
	links, _ := filepath.Glob("/proc/self/ns/*")
	for _, l := range links {
		r.Namespaces[filepath.Base(l)], _ = os.Readlink(l)
	}
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Write(append(line, '\n')); err != nil {
		return err
	}
	return misbehave(f, args[3:])
}

func misbehave(log *os.File, deeds []string) error {
	for i := 0; i < len(deeds); i++ {
		argument := ""
		if i+1 < len(deeds) {
			argument = deeds[i+1]
		}
		switch deeds[i] {
		case "say":
			fmt.Println(argument)
			i++
		case "complain":
			fmt.Fprintln(os.Stderr, argument)
			i++
		case "flood":
			fmt.Println(strings.Repeat("x", 1<<20))
		case "linger":
			child := exec.Command("/proc/self/exe", "/dev/null", "child", "sleep", "10")
			child.Stdout, child.Stderr = os.Stdout, os.Stderr
			if err := child.Start(); err != nil {
				return err
			}
		case "deaf":
			signal.Ignore(syscall.SIGTERM, syscall.SIGINT)
		case "sleep":
			seconds, err := strconv.ParseFloat(argument, 64)
			if err != nil {
				return err
			}
			time.Sleep(time.Duration(seconds * float64(time.Second)))
			i++
		case "note":
			if _, err := fmt.Fprintf(log, "{\"label\":%q}\n", argument); err != nil {
				return err
			}
			i++
		case "exit":
			status, err := strconv.Atoi(argument)
			if err != nil {
				return err
			}
			os.Exit(status)
		default:
			return fmt.Errorf("cannot do %q", deeds[i])
		}
	}
	return nil
}
