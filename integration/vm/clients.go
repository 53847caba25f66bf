package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// clientsLimit is for the checks of one task, which take some minutes where nothing else runs.
const clientsLimit = time.Hour

// clientTasks are the tasks for these clients, separated by commas; none are all. The long
// ones come first, and the short ones share a machine with one that needs their daemon.
func clientTasks(only string) []task {
	groups := []string{"podman", "docker,ctr,cri", "rootless"}
	if only != "" {
		groups = strings.Split(only, ",")
	}
	var tasks []task
	for _, g := range groups {
		tasks = append(tasks, task{g, func(ctx context.Context, o *options, dir string, p *printer) outcome {
			return o.runClients(ctx, dir, g, p)
		}})
	}
	return tasks
}

// runClients runs the checks of some clients in one machine.
func (o *options) runClients(ctx context.Context, dir, clients string, p *printer) (result outcome) {
	out, err := os.MkdirTemp("", "ocirt-vm-")
	if err != nil {
		return outcome{broken: err}
	}
	defer os.RemoveAll(out)
	command := []string{"/lab/guest/clients", o.inGuest(), "--only", clients}
	if o.pattern != "" {
		command = append(command, "--grep", o.pattern)
	}
	j := job{command: command, dir: dir, user: "root", limit: clientsLimit, out: out}
	take := func(line []byte) {
		p.printf("%s\n", line)
		if bytes.HasPrefix(line, []byte("ok ")) {
			result.passed++
		} else if bytes.HasPrefix(line, []byte("not ok ")) {
			result.failed++
			result.bad = append(result.bad, string(line))
		}
	}
	m := o.machine
	if m.cpus == 0 {
		m.cpus = 1 // a second one costs a sixth more, and clients' checks come one after the other
	}
	status, err := m.run(ctx, o.image, j, &lines{take: take}, os.Stderr)
	switch {
	case err != nil:
	case status != 0 && result.failed == 0:
		err = fmt.Errorf("exit status %d", status)
	case result.failed+result.passed == 0 && o.pattern == "":
		err = fmt.Errorf("no checks")
	}
	result.broken = err
	if result.failed > 0 {
		p.mu.Lock()
		defer p.mu.Unlock()
		printFailures(p.w, filepath.Join(out, "clients.log"))
	}
	return result
}

// inGuest names the runtime that clients use: the one under test, or one of the machine's own.
func (o *options) inGuest() string {
	if o.peer != "" {
		return o.peer
	}
	return "./bin/ocirt"
}

// printFailures prints what the failed checks have printed.
func printFailures(w io.Writer, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(w, "there is no log of the clients:", err)
		return
	}
	header := regexp.MustCompile(`(?m)^== (.*) status=(\d+) \d+ ms$`)
	found := header.FindAllSubmatchIndex(text, -1)
	for i, f := range found {
		end := len(text)
		if i+1 < len(found) {
			end = found[i+1][0]
		}
		if string(text[f[4]:f[5]]) != "0" {
			fmt.Fprintf(w, "\n--- %s\n%s", text[f[2]:f[3]], text[f[1]+1:end])
		}
	}
}
