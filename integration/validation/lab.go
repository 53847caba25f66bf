package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const cgroupRoot = "/sys/fs/cgroup"

// A lab is the surroundings of one program: a temporary folder, and a wrapper around
// the runtime that gives it a state folder of its own and notes the containers made.
// The suite removes little of what it makes, and nothing when it fails.
type lab struct {
	runtime contender
	dir     string
	tmp     string
	root    string
	wrapper string
	log     string
	fixed   bool // the program uses the cgroups that the suite names itself
}

// The wrapper is a script, because the suite takes one path and no arguments. The
// container's ID is the last argument of create, where it has one.
const wrapperScript = `#!/bin/sh
if [ "$1" = create ]; then
	echo "$*" >>'%[1]s'
	if [ -n '%[4]s' ]; then
		bundle=.
		prev=
		for a; do [ "$prev" = --bundle ] && bundle=$a; prev=$a; done
		n=$(wc -l <'%[1]s')
		cp "$bundle/config.json" '%[4]s/%[5]s.'$n'.json'
	fi
fi
exec '%[2]s' --root '%[3]s' "$@"
`

func newLab(c contender, suiteDir, program, configs string) (*lab, error) {
	dir, err := os.MkdirTemp(filepath.Dir(suiteDir), program+"-")
	if err != nil {
		return nil, fmt.Errorf("cannot make a folder for %s: %w", program, err)
	}
	l := &lab{
		runtime: c, dir: dir,
		tmp: filepath.Join(dir, "tmp"), root: filepath.Join(dir, "state"),
		wrapper: filepath.Join(dir, c.name), log: filepath.Join(dir, "created"),
		fixed: usesFixedCgroup(program),
	}
	for _, err := range []error{os.Chmod(dir, 0o755), os.Mkdir(l.tmp, 0o755)} {
		if err != nil {
			return nil, fmt.Errorf("cannot prepare a folder for %s: %w", program, err)
		}
	}
	if configs != "" {
		if err := os.MkdirAll(configs, 0o755); err != nil {
			return nil, err
		}
	}
	script := fmt.Sprintf(wrapperScript, l.log, c.path, l.root, configs, program)
	return l, os.WriteFile(l.wrapper, []byte(script), 0o755)
}

// created returns the IDs of the containers that the program asked for.
func (l *lab) created() []string {
	data, _ := os.ReadFile(l.log)
	var ids []string
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if id := f[len(f)-1]; len(f) > 1 && !strings.ContainsAny(id, "/.") {
			ids = append(ids, id)
		}
	}
	return ids
}

func (l *lab) clean() {
	ids := l.created()
	for _, id := range ids {
		if _, err := os.Stat(filepath.Join(l.root, id)); err != nil {
			continue
		}
		cmd := exec.Command(l.runtime.path, "--root", l.root, "delete", "--force", id)
		cmd.WaitDelay = time.Second
		timer := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Run()
		timer.Stop()
	}
	removeCgroups(ids, l.fixed)
	l.unmount()
	_ = os.RemoveAll(l.dir)
}

// unmount detaches what is still mounted under the lab's folder: some runtimes mount
// on the state folder, and a failed create may leave the root file system mounted.
func (l *lab) unmount() {
	info, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(info)) {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(f[4], l.dir+"/") {
			_ = syscall.Unmount(f[4], syscall.MNT_DETACH)
		}
	}
}

// fixedCgroups are the paths that the suite's own programs ask for.
var fixedCgroups = [...]string{"cgrouptest", "testdir/cgrouptest/container", "testdir/cgrouptest", "testdir"}

// removeCgroups kills what still runs in the cgroups of the given containers, and if
// fixed in the suite's own, and removes them from every hierarchy. Others are not touched.
func removeCgroups(ids []string, fixed bool) {
	hierarchies, _ := os.ReadDir(cgroupRoot)
	for _, h := range hierarchies {
		if !h.IsDir() {
			continue
		}
		base := filepath.Join(cgroupRoot, h.Name())
		for _, id := range ids {
			removeCgroup(filepath.Join(base, id))
		}
		if !fixed {
			continue
		}
		for _, c := range fixedCgroups {
			removeCgroup(filepath.Join(base, c))
		}
	}
}

func removeCgroup(dir string) {
	if _, err := os.Stat(dir); err != nil {
		return
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.IsDir() {
			removeCgroup(filepath.Join(dir, e.Name()))
		}
	}
	for range 100 {
		procs, _ := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		for pid := range strings.FieldsSeq(string(procs)) {
			var n int
			if _, err := fmt.Sscan(pid, &n); err == nil && n > 1 {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		if err := os.Remove(dir); err == nil || os.IsNotExist(err) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
