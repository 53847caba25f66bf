package cgroup

import (
	"strings"
)

// present finds, in what a file holds, what has to be written to bring back what p is about
// to replace. It is false if the file does not tell.
func (p place) present(text string) (string, bool) {
	text = strings.TrimRight(text, "\n")
	switch {
	case p.file == "memory.oom_control":
		return field(text+"\n", "oom_kill_disable")
	case p.file == "cpuset.cpus.partition": // "root invalid (reason)"
		word, _, _ := strings.Cut(text, " ")
		return word, true
	case p.key == "":
		first, _, _ := strings.Cut(text, "\n")
		if rest, ok := strings.CutPrefix(first, "default "); ok {
			return rest, true
		}
		return first, first == text
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, _, ok := strings.Cut(line, " "); ok && name == p.key {
			return line, true
		}
	}
	rest, ok := p.unset()
	return p.key + " " + rest, ok
}

// unset is what takes a line out of a file of many.
func (p place) unset() (string, bool) {
	switch {
	case strings.HasPrefix(p.file, "blkio.throttle."):
		return "0", true
	case strings.Contains(p.file, "weight"):
		return "default", true
	case p.file == "io.max":
		return "rbps=max wbps=max riops=max wiops=max", true
	case p.file == "io.latency":
		return "target=0", true
	case p.file == "rdma.max":
		return "hca_handle=max hca_object=max", true
	case p.file == "misc.max":
		return "max", true
	}
	return "", false
}
