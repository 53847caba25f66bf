package process

import (
	"slices"
	"strings"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// environment is what the program gets: the list of config.json, in its order, with only
// the last of several with one name. Nothing comes from the environment of ocirt. An empty
// HOME is none: engines give one when they want it looked up, as runc does.
func environment(in *step.Input) []string {
	given := in.Process.Env
	list := make([]string, 0, len(given)+4)
	list = append(list, given...)
	if n := in.Options.ListenFDs; n > 0 {
		// The process is the first of its pid namespace; in another one it would have
		// to know its own pid (sd_listen_fds(3)).
		list = append(list, "LISTEN_FDS="+itoa(n), "LISTEN_PID=1")
		if names := in.Options.ListenNames; names != "" {
			list = append(list, "LISTEN_FDNAMES="+names)
		}
	}
	if in.Options.NotifyDir != "" && in.Join == nil {
		list = append(list, "NOTIFY_SOCKET=/"+step.NotifyPlace+"/"+step.NotifyName)
	}
	list = lastOfEach(list)
	return slices.DeleteFunc(list, func(s string) bool { return s == "HOME=" })
}

// lastOfEach removes all but the last entry of each name, in place.
func lastOfEach(list []string) []string {
	last := make(map[string]int, len(list))
	for i, s := range list {
		last[envName(s)] = i
	}
	if len(last) == len(list) {
		return list
	}
	kept := list[:0]
	for i, s := range list {
		if last[envName(s)] == i {
			kept = append(kept, s)
		}
	}
	return kept
}

func envName(s string) string {
	name, _, _ := strings.Cut(s, "=")
	return name
}

// getenv returns the value of a name in the process's list, and whether it is there.
func getenv(list []string, name string) (value string, ok bool) {
	for i := len(list) - 1; i >= 0; i-- {
		if n, v, found := strings.Cut(list[i], "="); found && n == name {
			return v, true
		}
	}
	return "", false
}
