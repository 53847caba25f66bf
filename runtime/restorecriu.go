package runtime

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/cgroup"
	"github.com/ocirt/ocirt/runtime/internal/criu"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/process"
	"github.com/ocirt/ocirt/runtime/internal/rootfs"
	"github.com/ocirt/ocirt/runtime/internal/safepath"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/thread"
)

// look finds out all that can be found out before anything is made.
func (r *restoring) look() (err error) {
	if r.early, r.late, err = plan.Restore(r.input); err != nil {
		return err
	}
	if err := r.streams(); err != nil {
		return err
	}
	return r.namespaces()
}

// streams gives CRIU what takes the places of the saved container's own streams.
func (r *restoring) streams() error {
	if p := r.input.Process; p != nil && p.Terminal {
		return nil
	}
	names, err := r.dirs.loadDescriptors()
	if err != nil {
		return err
	}
	given := map[string]bool{}
	for i, f := range r.options.Stdio {
		if f == nil || i >= len(names) || !isStream(names[i]) || given[names[i]] {
			continue
		}
		given[names[i]] = true
		r.give(names[i], f)
	}
	return nil
}

// give gives CRIU a file in the place of what was saved under a name.
func (r *restoring) give(key string, f *os.File) {
	r.inherit = append(r.inherit, criu.InheritFD{Key: key, FD: criu.FirstFile + len(r.files)})
	r.files = append(r.files, f)
}

// namespaces opens those that the container has in common with others.
func (r *restoring) namespaces() error {
	l := r.input.Bundle.Spec.Linux
	if l == nil {
		return nil
	}
	for _, n := range l.Namespaces {
		switch {
		case n.Path == "":
		case n.Type == specs.NetworkNamespace, n.Type == specs.PIDNamespace:
			f, err := os.OpenFile(n.Path, os.O_RDONLY|unix.O_NONBLOCK, 0)
			if err != nil {
				return fmt.Errorf("cannot open the %s namespace: %w", n.Type, err)
			}
			r.opened = append(r.opened, f)
			r.give(namespaceKey(n.Type), f)
		case n.Type == specs.MountNamespace, n.Type == specs.CgroupNamespace:
			return fmt.Errorf("linux.namespaces: CRIU cannot restore into the %s namespace of others", n.Type)
		default:
			r.joins = append(r.joins, criu.Pair{Key: shortNamespace(n.Type), Value: n.Path})
		}
	}
	return nil
}

// onThread calls f on a thread of which nothing is left afterwards.
func onThread(f func() error) (err error) {
	thread.OnOwn(func() { err = f() })
	return err
}

// start starts CRIU in a mount namespace of its own, in which the container's root is a
// mount, as CRIU wants it: nothing of that is ever seen on the host, or is left there.
func (r *restoring) start() (err error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("cannot make a mount namespace for CRIU: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("cannot set the propagation of mounts: %w", err)
	}
	if err := r.dirs.reopen(); err != nil {
		return err
	}
	root := r.input.Bundle.RootPath()
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &step.Error{ID: r.rec.ID, Step: "prepare " + root + " as the root", From: "/root/path", Where: "host", Err: err}
	}
	if err := r.mountPoints(root); err != nil {
		return err
	}
	if !r.options.NoNewKeyring {
		if err := process.JoinSessionKeyring(r.input.ID); err != nil {
			return err
		}
	}
	r.session, err = startCRIU(r.files, nil)
	return err
}

// mountPoints makes the places of mounts that the root file system lacks: it need not be
// the one that the container was created with, who made them.
func (r *restoring) mountPoints(rootPath string) error {
	root, err := os.OpenFile(rootPath, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return fmt.Errorf("cannot open the root: %w", err)
	}
	defer root.Close()
	places := mountPlaces(r.plan.Sandbox)
	for _, p := range places {
		if covered(p.point, places) {
			continue
		}
		f, err := safepath.Target(root, strings.TrimPrefix(p.point, "/"), func() (bool, error) { return p.dir, nil })
		if errors.Is(err, unix.EROFS) {
			continue // CRIU will say what it misses
		}
		if err != nil {
			return &step.Error{ID: r.rec.ID, Step: "make the place of a mount, " + p.point, From: p.from, Where: "host", Err: err}
		}
		f.Close()
	}
	return nil
}

// A mountPlace is where config.json wants a mount.
type mountPlace struct {
	point, from string
	dir         bool
}

func mountPlaces(entries []step.Entry) (list []mountPlace) {
	for _, e := range entries {
		p := mountPlace{from: e.From, dir: true}
		switch s := e.Step.(type) {
		case rootfs.AttachTree:
			st, err := os.Stat(s.Source)
			p.point, p.dir = s.Place.UnsafePath, err == nil && st.IsDir()
		case rootfs.Mount:
			p.point = s.Place.UnsafePath
		case rootfs.AttachProc:
			p.point = s.Place.UnsafePath
		case rootfs.MountCgroup1:
			p.point = s.Place.UnsafePath
		case rootfs.MountCgroup2:
			p.point = s.Place.UnsafePath
		default:
			continue
		}
		p.point = "/" + p.point
		list = append(list, p)
	}
	return list
}

// covered reports whether a place lies in another mount, whose content is not the root's.
func covered(point string, places []mountPlace) bool {
	for _, p := range places {
		if below(point, p.point) != "" {
			return true
		}
	}
	return false
}

// makeGroups makes the container's cgroups and puts CRIU into them, from where its children
// are born.
func (r *restoring) makeGroups() error {
	pid := r.session.Pid()
	r.host.Pid = pid // systemd makes groups only for a process
	if err := r.do(r.plan.Host); err != nil {
		return err
	}
	r.host.Pid = 0
	tasks, fd := r.host.Tasks, r.host.CgroupFD
	r.host.Tasks, r.host.CgroupFD = nil, nil
	defer func() {
		closeAll(tasks)
		if fd != nil {
			fd.Close()
		}
	}()
	text := []byte(strconv.Itoa(pid))
	for _, f := range tasks {
		if _, err := f.Write(text); err != nil {
			return fmt.Errorf("cannot put CRIU into the container's cgroup: %w", cgroup.ExplainJoin(err))
		}
	}
	if fd == nil {
		return nil
	}
	procs, err := unix.Openat(int(fd.Fd()), "cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == nil {
		_, err = unix.Write(procs, text)
		unix.Close(procs)
	}
	if err != nil {
		return fmt.Errorf("cannot put CRIU into the container's cgroup: %w", cgroup.ExplainJoin(err))
	}
	return nil
}

// criuOptions are those of the request.
func (r *restoring) criuOptions() (*criu.Options, error) {
	o := &r.options
	var err error
	if r.trees, err = hostTrees(r.input.Bundle, r.plan, r.notifyFolder()); err != nil { // only now there are all: cgroups, too
		return nil, err
	}
	opts, err := commonOptions(r.input.Bundle, &o.CRIUOptions, r.dirs)
	if err != nil {
		return nil, err
	}
	opts.LogFile, opts.Root, opts.Sibling = restoreLog, r.input.Bundle.RootPath(), true
	opts.TCPClose, opts.LSMProfile, opts.LSMMountContext = o.TCPClose, o.LSMProfile, o.LSMMountContext
	opts.Inherit, opts.JoinNamespaces = r.inherit, r.joins
	for _, h := range r.trees {
		if h.point != "/" {
			opts.ExternalMounts = append(opts.ExternalMounts, criu.Pair{Key: h.key, Value: h.path})
		}
	}
	if r.input.Options.NoCgroups {
		opts.ManageCgroups = new(criu.CgroupIgnore)
		return opts, nil
	}
	opts.CgroupRoots, err = cgroupRoots(r.session.Pid())
	return opts, err
}

// cgroupRoots are the groups of a process, in which CRIU restores those that were saved.
func cgroupRoots(pid int) (roots []criu.Pair, err error) {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return nil, fmt.Errorf("cannot read the cgroups of CRIU: %w", err)
	}
	for line := range bytes.Lines(data) {
		f := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(f) != 3 {
			return nil, errors.New("unexpected form of /proc/PID/cgroup")
		}
		for controller := range strings.SplitSeq(f[1], ",") {
			roots = append(roots, criu.Pair{Key: controller, Value: path.Clean(f[2])})
		}
	}
	return roots, nil
}

// inNetwork calls f in the container's network namespace.
func (r *restoring) inNetwork(f func() error) error {
	ns, err := os.Open("/proc/" + strconv.Itoa(r.host.Pid) + "/ns/net")
	if err != nil {
		return err
	}
	defer ns.Close()
	return onThread(func() error {
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot enter the network namespace: %w", err)
		}
		return f()
	})
}
