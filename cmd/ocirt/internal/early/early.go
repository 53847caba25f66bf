// Package early lets a container's namespaces be begun before the program is: its init function
// runs while most packages, those of the command line and of the library, are not initialized
// yet. Nothing depends on it.
package early

import (
	"os"

	"github.com/ocirt/ocirt/runtime/ahead"
)

func init() {
	if dirs := bundles(os.Args); len(dirs) > 0 && os.Getenv(ahead.Attended) == "" && os.Getenv("LISTEN_FDS") == "" {
		ahead.Begin(dirs...)
	}
}

// bundles are where the bundle may lie, on a command line that makes a container. Where
// descriptors are handed over they have to be counted before another one is open, so there is
// nothing to begin early.
func bundles(args []string) []string {
	args = command(args)
	if len(args) == 0 || args[0] != "run" && args[0] != "create" {
		return nil
	}
	args = args[1:]
	var dirs []string
	for i, a := range args {
		switch {
		case hasPrefix(a, "--preserve-fds"):
			return nil
		case (a == "--bundle" || a == "-b") && i+1 < len(args):
			dirs = args[i+1 : i+2]
		case hasPrefix(a, "--bundle="):
			dirs = []string{a[len("--bundle="):]}
		}
	}
	if dirs == nil && len(args) > 0 && !hasPrefix(args[0], "-") {
		return []string{args[0], "."} // run BUNDLE, or the id of one that is here
	}
	return dirs
}

// command leaves out the global flags.
func command(args []string) []string {
	for i := 1; i < len(args); i++ {
		switch a := args[i]; {
		case a == "" || a[0] != '-':
			return args[i:]
		case hasValue(a), a == "--debug", a == "--systemd-cgroup":
		default:
			i++ // its value
		}
	}
	return nil
}

// hasPrefix is that of package strings, whose tables of Unicode would have to be there first.
func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// hasValue reports whether a flag brings its value along.
func hasValue(flag string) bool {
	for i := range len(flag) {
		if flag[i] == '=' {
			return true
		}
	}
	return false
}
