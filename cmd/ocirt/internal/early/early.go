// Package early lets a container's namespaces be begun before the program is: its init function
// runs while most packages, those of the command line and of the library, are not initialized
// yet.
package early

import (
	"github.com/ocirt/ocirt/runtime/ahead"
)

func init() {
	if dirs := bundles(ahead.Args()); len(dirs) > 0 && !ahead.HasEnv(ahead.Attended) && !ahead.HasEnv("LISTEN_FDS") {
		ahead.Begin(quietMonitor, dirs...)
	} else {
		quietMonitor()
	}
}

// bundles are where the bundle may lie, on a command line that makes a container. Where
// descriptors are handed over they have to be counted before another one is open, so there is
// nothing to begin early.
func bundles(args []string) []string {
	args = Command(args[min(1, len(args)):])
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

// Command is what is left of a command line behind the global flags: the first argument that is
// neither one of them nor the value of one, and all after it. Where the line is not obvious it
// is nil.
func Command(args []string) []string {
	for i := 0; i < len(args); i++ {
		flag := args[i]
		if !hasPrefix(flag, "-") {
			return args[i:]
		}
		flag = flag[1:]
		if hasPrefix(flag, "-") {
			flag = flag[1:]
		}
		name := untilEquals(flag)
		switch kind := globalFlag(name); {
		case kind == 0:
			return nil
		case kind == 'v' && name == flag: // its value follows
			i++
		}
	}
	return nil
}

func globalFlag(name string) byte {
	switch name {
	case "debug", "systemd-cgroup":
		return 'b'
	case "root", "log", "log-format", "log-level", "cgroup-manager", "rootless", "criu":
		return 'v'
	}
	return 0
}

// hasPrefix is that of package strings, whose tables of Unicode would have to be there first.
func hasPrefix(s, prefix string) bool { return len(s) >= len(prefix) && s[:len(prefix)] == prefix }

// untilEquals is the name of a flag that may bring its value along.
func untilEquals(flag string) string {
	for i := range len(flag) {
		if flag[i] == '=' {
			return flag[:i]
		}
	}
	return flag
}
