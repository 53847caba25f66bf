// Package callers is how containerd's shim, go-runc, dockerd, podman and CRI-O read what a
// runtime says: the words that they look for, and what they make of them.
//
// What belongs here: their rules, said again. What does not: what a runtime should say.
package callers

import (
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go/features"
)

// A record is what containerd's shim and go-runc decode from the log.
type record struct {
	Level string
	Msg   string
	Time  time.Time
}

// LastError is how the shim looks for the reason of a failure: the last record of level
// error in a stream of JSON values.
func LastError(log string) (string, error) {
	last := ""
	for d := json.NewDecoder(strings.NewReader(log)); ; {
		var r record
		if err := d.Decode(&r); errors.Is(err, io.EOF) {
			return strings.TrimSpace(last), nil
		} else if err != nil {
			return "", err
		}
		if r.Level == "error" {
			last = r.Msg
		}
	}
}

// OnlyRecord is how podman reads the log: as one object.
func OnlyRecord(log string) (string, error) {
	var r record
	err := json.Unmarshal([]byte(log), &r)
	return r.Msg, err
}

// NotFound is how the shim tells that a process has ended, or a container has gone.
func NotFound(text string) (ended, gone bool) {
	ended = strings.Contains(text, "os: process already finished") || strings.Contains(text, "container not running") ||
		strings.Contains(strings.ToLower(text), "no such process")
	return ended, strings.Contains(text, "does not exist")
}

// MobyStatus is how dockerd chooses an exit status from a runtime's message.
func MobyStatus(text string) int {
	text = strings.ToLower(text)
	for _, m := range []struct {
		phrase string
		status int
	}{
		{"permission denied", 126},
		{"is a directory", 126},
		{"not a directory", 127},
		{"executable file not found", 127},
		{"no such file or directory", 127},
		{"system cannot find the file specified", 127},
		{"failed to run runc create/exec call", 127},
	} {
		if strings.Contains(text, m.phrase) {
			return m.status
		}
	}
	return 128
}

// PodmanStatus is how podman does from what conmon hands over; 0: it makes nothing of it.
func PodmanStatus(text string) int {
	switch {
	case regexp.MustCompile(`(?i).*permission denied.*|.*operation not permitted.*`).MatchString(text):
		return 126
	case regexp.MustCompile(`(?i).*executable file not found in.*|.*no such file or directory.*|.*open executable.*`).MatchString(text):
		return 127
	}
	return 0
}

// LibpodStatus is podman's other way, for errors that it has wrapped.
func LibpodStatus(text string) int {
	text = strings.ToLower(text)
	if strings.Contains(text, "not found") || strings.Contains(text, "executable path is empty") || strings.Contains(text, "no such file") {
		return 127
	}
	return 126
}

// CrioGone is how CRI-O tells that there is nothing to signal.
func CrioGone(stderr string) bool {
	for _, phrase := range []string{"no such process", "container not running", "invalid process"} {
		if strings.Contains(stderr, phrase) {
			return true
		}
	}
	return false
}

// MobyVersion is how dockerd reads what --version prints.
func MobyVersion(text string) (name, version, commit string) {
	for line := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		if strings.Contains(line, "version") {
			name, _, _ = strings.Cut(line, "version")
			version = line[strings.LastIndex(line, "version")+len("version"):]
			continue
		}
		if rest, ok := strings.CutPrefix(line, "commit:"); ok {
			commit = strings.TrimSpace(rest)
		}
	}
	return strings.TrimSpace(name), strings.TrimSpace(version), commit
}

// GoRuncVersion is how go-runc does.
func GoRuncVersion(text string) (version, commit, spec string) {
	for line := range strings.SplitSeq(text, "\n") {
		for prefix, to := range map[string]*string{"runc version ": &version, "commit: ": &commit, "spec: ": &spec} {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				*to = rest
			}
		}
	}
	return version, commit, spec
}

// CrioFeatures is how CRI-O reads both outputs of `features` together.
func CrioFeatures(combined string) (*features.Features, error) {
	var f features.Features
	if err := json.Unmarshal([]byte(combined), &f); err != nil {
		return nil, err
	}
	if f.OCIVersionMin == "" || f.OCIVersionMax == "" {
		return nil, errors.New("no versions")
	}
	return &f, nil
}
