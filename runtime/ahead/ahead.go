// Package ahead begins to make a container's namespaces while a program is still starting:
// the kernel needs as long for a network namespace as the Go runtime for the packages of a
// large program. It imports so little that it is initialized among the first; a program calls
// Begin in an init function of its own.
package ahead

import (
	"runtime"

	"github.com/ocirt/ocirt/runtime/internal/bare"
	"github.com/ocirt/ocirt/runtime/internal/thread"
)

// Attended is the environment variable of a program that is not to make a container, whatever
// its command line says: see runtime.Attended.
const Attended = "_OCIRT_ATTEND"

// Args is os.Args, before package os has it.
func Args() []string { return bare.Args() }

// HasEnv reports whether the environment has a variable that is not empty, before package os
// knows.
func HasEnv(name string) bool { return bare.HasEnv(name) }

// Pid is os.Getpid.
func Pid() int { return bare.Pid() }

// HasThread reports whether this process has a thread with that id.
func HasThread(tid int) bool { return bare.HasThread(tid) }

// WriteFile writes into a file that there is, if it can.
func WriteFile(name, text string) { bare.WriteFile(name, text) }

// Begin lets a thread look into the config.json of the first of these directories that has one,
// and make the namespaces it finds there. The next runtime.Create takes them if they are what its
// bundle asks for; otherwise they are gone with the thread. It does not say what is wrong with a
// bundle: Create will.
//
// For a moment there is a descriptor that the caller did not open. With a single processor
// there is nothing to win, and nothing is done. The thread calls first before all else, and
// so does Begin itself if there is no thread.
func Begin(first func(), bundles ...string) {
	if runtime.NumCPU() == 1 {
		first()
		return
	}
	thread.Guess(func() (uintptr, bool) {
		first()
		for _, dir := range bundles {
			if config, ok := bare.ReadFile(dir+"/config.json", maxConfig); ok {
				return namespaces(config)
			}
		}
		return 0, false
	})
}

// maxConfig is how long a file is looked into, in bytes. Engines write some ten thousand.
const maxConfig = 256 << 10

// namespaces guesses which namespaces a thread has to make for a configuration; ok is false
// where it makes none. It looks for what engines write, a list of objects with strings, and
// takes the first one for the right one: the guess is compared with what was meant.
func namespaces(config string) (flags uintptr, ok bool) {
	l := &list{rest: config}
	if !l.find(`"namespaces"`) || !l.next(':') || !l.next('[') {
		return 0, false
	}
	for {
		kind, path, ok := l.entry()
		if !ok {
			return 0, false
		}
		switch {
		case path == "":
			flag, known := flagOf(kind)
			if !known {
				return 0, false
			}
			flags |= flag
		case kind == "mount" || kind == "pid" || kind == "user" || kind == "time":
			return 0, false // another process enters it
		}
		if l.next(']') {
			return flags, true
		}
		if !l.next(',') {
			return 0, false
		}
	}
}

// flagOf is what a new namespace asks of the thread: pid and cgroup namespaces are init's. With
// a user or time namespace no thread is needed.
func flagOf(kind string) (flag uintptr, known bool) {
	switch kind {
	case "mount":
		return cloneNewNS, true
	case "network":
		return cloneNewNet, true
	case "ipc":
		return cloneNewIPC, true
	case "uts":
		return cloneNewUTS, true
	case "pid", "cgroup":
		return 0, true
	}
	return 0, false
}

// Of linux/sched.h.
const (
	cloneNewNS  = 0x00020000
	cloneNewUTS = 0x04000000
	cloneNewIPC = 0x08000000
	cloneNewNet = 0x40000000
)

// A list is what is left of a list of namespaces. It is read without package strings, which
// brings the tables of Unicode, and those take longer to initialize than this to run.
type list struct{ rest string }

// find goes behind the first occurrence of a text.
func (l *list) find(text string) bool {
	for i := 0; i+len(text) <= len(l.rest); i++ {
		if l.rest[i:i+len(text)] == text {
			l.rest = l.rest[i+len(text):]
			return true
		}
	}
	return false
}

// next takes a byte, if it is the next one that is no space.
func (l *list) next(b byte) bool {
	for i := range len(l.rest) {
		switch l.rest[i] {
		case ' ', '\t', '\r', '\n':
		case b:
			l.rest = l.rest[i+1:]
			return true
		default:
			return false
		}
	}
	return false
}

// word takes a string. One with an escape in it is none that is looked for.
func (l *list) word() (string, bool) {
	if !l.next('"') {
		return "", false
	}
	for i := range len(l.rest) {
		switch l.rest[i] {
		case '\\':
			return "", false
		case '"':
			word := l.rest[:i]
			l.rest = l.rest[i+1:]
			return word, true
		}
	}
	return "", false
}

// entry takes an object with a type and, perhaps, a path.
func (l *list) entry() (kind, path string, ok bool) {
	if !l.next('{') {
		return "", "", false
	}
	for {
		key, ok := l.word()
		if !ok || !l.next(':') {
			return "", "", false
		}
		value, ok := l.word()
		if !ok {
			return "", "", false
		}
		switch key {
		case "type":
			kind = value
		case "path":
			path = value
		}
		if l.next('}') {
			return kind, path, true
		}
		if !l.next(',') {
			return "", "", false
		}
	}
}
