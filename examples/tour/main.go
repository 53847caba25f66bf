// Command tour prints what it sees of its surroundings, for a person to read. It is
// the only file in the root file system of the examples.
//
//	tour          everything
//	tour KIND     what one kind of namespace changes; fails if it is the host's
//
// The host's namespaces come in the environment, as HOST_NS_UTS and so on.
//
// What belongs here: looking and printing. What does not: anything a test has to parse.
package main

import (
	"fmt"
	"os"
	"strings"
)

// A kind is a kind of namespace: its name in config.json and in /proc/self/ns, and what
// it changes.
type kind struct {
	name, file string
	show       []func()
}

func kinds() []kind {
	return []kind{
		{"uts", "uts", []func(){names}},
		{"ipc", "ipc", []func(){queues}},
		{"pid", "pid", []func(){process, neighbours}},
		{"mount", "mnt", []func(){mounts}},
		{"network", "net", []func(){interfaces}},
		{"user", "user", []func(){user, maps, capabilities}},
		{"cgroup", "cgroup", []func(){cgroups}},
		{"time", "time", []func(){clocks}},
	}
}

func main() {
	if len(os.Args) == 1 {
		for _, f := range []func(){process, names, user, namespaces, maps, mounts, interfaces, capabilities} {
			f()
		}
		return
	}
	for _, k := range kinds() {
		if k.name != os.Args[1] {
			continue
		}
		own := k.line()
		for _, f := range k.show {
			f()
		}
		if !own {
			fmt.Fprintf(os.Stderr, "tour: the %s namespace is the host's\n", k.name)
			os.Exit(1)
		}
		return
	}
	fmt.Fprintf(os.Stderr, "tour: no kind of namespace is called %q\n", os.Args[1])
	os.Exit(2)
}

// line prints a namespace beside the host's and reports whether it is another one.
func (k kind) line() bool {
	here, err := os.Readlink("/proc/self/ns/" + k.file)
	if err != nil {
		row(k.name, "none: "+err.Error())
		return false
	}
	here = strings.TrimSuffix(here[strings.Index(here, "[")+1:], "]")
	host := os.Getenv("HOST_NS_" + strings.ToUpper(k.name))
	verdict := "its own"
	switch host {
	case "":
		host, verdict = "unknown", "?"
	case here:
		verdict = "the host's"
	}
	row(k.name, fmt.Sprintf("%-12s host %-12s %s", here, host, verdict))
	return here != host
}

func namespaces() {
	title("namespaces")
	for _, k := range kinds() {
		k.line()
	}
}

func title(text string) { fmt.Printf("%s:\n", text) }

func row(name, value string) { fmt.Printf("  %-12s %s\n", name, value) }

// lines prints the lines of a file, or why not.
func lines(path string) []string {
	data, err := os.ReadFile(path)
	if err != nil {
		row("none", err.Error())
		return nil
	}
	return strings.Split(strings.TrimRight(string(data), "\n"), "\n")
}
