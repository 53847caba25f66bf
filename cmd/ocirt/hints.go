package main

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime"
	"github.com/ocirt/ocirt/spec"
)

// A hintRule gives advice where a fact about an error can be tested. NAME and ROOT in the
// advice are replaced.
//
// Engines search everything on standard error for words such as those of ENOENT and EPERM
// to choose between the exit codes 126 and 127, so advice must be free of them; a test
// knows the list.
type hintRule struct {
	when func(error) bool
	say  string
}

// The sentinels of mistakes that are found in this package, for advice.
var (
	errNoSocket = errors.New("a terminal needs a console socket")
	errNoRoot   = errors.New("no place for state")
)

// An advised error has words of its own, and is a sentinel for hints.
type advised struct {
	error
	is error
}

func (e advised) Is(target error) bool { return target == e.is }

// hintRules is the table: the first rule that holds counts.
func hintRules() []hintRule {
	return []hintRule{
		{is(runtime.ErrExists), "`NAME list` shows the containers there are; `NAME delete ID` removes one"},
		{is(runtime.ErrNotFound), "containers are kept in ROOT; one that was made with another --root is seen only with that"},
		{inState("delete", runtime.Running), "`NAME kill ID KILL` ends it; `NAME delete --force ID` does both"},
		{inState("delete", runtime.Paused), "`NAME delete --force ID` ends and removes it"},
		{inState("start", runtime.Stopped), "a container starts once: delete it and create it again"},
		{is(errNoSocket), "set process.terminal to false in config.json, or name a socket with --console-socket"},
		{is(errNoRoot), "a login session sets the variable; --root DIR does without it"},
		{noConfig, "`NAME spec` writes a config.json to start from; --bundle names another bundle"},
		{severalProblems, "`NAME validate` lists them one by one"},
		{unprivilegedRoot, "ordinary users keep containers below $XDG_RUNTIME_DIR, which is what happens without --root"},
		{mountOf("proc", unix.EPERM), "in a user namespace proc can be mounted only where the host's /proc is seen whole, and with a pid namespace of the container's own"},
		{mountOf("sysfs", unix.EPERM), "in a user namespace sysfs can be mounted only with a network namespace of the container's own; a recursive bind mount of /sys does without"},
		{mountOf("cgroup", unix.EPERM), "in a user namespace cgroups can be mounted only with a cgroup namespace of the container's own"},
		{mountOf("", unix.EPERM), "a mount from outside keeps restrictions such as nosuid, nodev and noexec in a user namespace: the options must name them as well"},
		{mountOf("", unix.EINVAL), "the kernel's log often names the option it refuses"},
		{mountOf("", unix.EOVERFLOW), "a file's owner has no number in the id map: widen uidMappings and gidMappings"},
		{mountOf("", unix.ENODEV), "this kernel lacks that type of file system"},
		{step(unix.ENOSYS), "this kernel is too old, or a seccomp filter around NAME hides the system call"},
		{step(unix.EMFILE), "the limit of open files of NAME itself is too low (ulimit -n)"},
		{step(unix.ENOMEM), "memory is short, perhaps by a limit of the cgroup that NAME itself is in"},
	}
}

// hint is the advice for an error; empty if there is none.
func (a *app) hint(err error) string {
	for _, rule := range hintRules() {
		if rule.when(err) {
			root := a.root
			if root == "" {
				root, _, _ = a.defaultRoot()
			}
			return strings.NewReplacer("NAME", a.name, "ROOT", root).Replace(rule.say)
		}
	}
	return ""
}

func is(target error) func(error) bool {
	return func(err error) bool { return errors.Is(err, target) }
}

func inState(op string, status runtime.Status) func(error) bool {
	return func(err error) bool {
		var e *runtime.StateError
		return errors.As(err, &e) && e.Op == op && e.Is == status
	}
}

// step holds for a step that ended with an errno.
func step(errno unix.Errno) func(error) bool {
	return func(err error) bool {
		var e *runtime.StepError
		return errors.As(err, &e) && errors.Is(err, errno)
	}
}

// mountOf holds for a mount of a type that ended with an errno; an empty type is any.
func mountOf(kind string, errno unix.Errno) func(error) bool {
	return func(err error) bool {
		var e *runtime.StepError
		return errors.As(err, &e) && strings.HasPrefix(e.From, "/mounts/") && errors.Is(err, errno) &&
			(kind == "" || strings.HasPrefix(e.Step, "mount "+kind+" "))
	}
}

func noConfig(err error) bool {
	return len(inConfig(err)) > 0 && errors.Is(err, fs.ErrNotExist)
}

// inConfig are the errors in config.json among the causes of err. Other files than that have
// their names in what is said about them.
func inConfig(err error) spec.Problems {
	var p spec.Problems
	if !errors.As(err, &p) || len(p.Errors()) == 0 || p.Errors()[0].File != "" {
		return nil
	}
	return p.Errors()
}

func severalProblems(err error) bool {
	return len(inConfig(err)) > 1
}

func unprivilegedRoot(err error) bool {
	return os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) && strings.Contains(err.Error(), "--root")
}
