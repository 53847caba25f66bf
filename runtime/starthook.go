package runtime

import (
	"context"
	"fmt"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/hooks"
	"github.com/ocirt/ocirt/runtime/internal/launch"
	"github.com/ocirt/ocirt/runtime/internal/plan"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/spec"
)

// startHooks runs the startContainer hooks: programs of the container, in its namespaces
// and cgroup, with the ids and capabilities of its process.
func (c *Container) startHooks(ctx context.Context, b *spec.Bundle) error {
	if b.Spec.Hooks == nil || len(b.Spec.Hooks.StartContainer) == 0 {
		return nil
	}
	state := c.hookState(specs.StateCreated, b)
	if c.rec.PidNamespace {
		state.Pid = 1 // as the hook itself sees it
	}
	return hooks.RunAll(ctx, "startContainer", b.Spec.Hooks.StartContainer, state, hooks.Options{
		Start: func(ctx context.Context, h specs.Hook, stdin, stdout, stderr *os.File) (hooks.Process, error) {
			return c.startHook(ctx, b, h, [3]*os.File{stdin, stdout, stderr})
		},
	})
}

// startHook starts one of them.
func (c *Container) startHook(ctx context.Context, b *spec.Bundle, h specs.Hook, stdio [3]*os.File) (hooks.Process, error) {
	in := &step.Input{ID: c.rec.ID, Bundle: b, Process: b.Spec.Process, Facts: probe(), Options: c.options()}
	join, init, err := c.join(in)
	if err != nil {
		return hooks.Process{}, err
	}
	defer init.Close()
	in.Join = join
	p, err := plan.CompileHook(in)
	if err != nil {
		return hooks.Process{}, err
	}
	r := launch.JoinRequest{Input: in, Plan: p, Pidfd: init, Files: stdio[:], Dir: c.dir.Path()}
	r.Agent = c.agent(b)
	r.Hook = &launch.Command{Path: h.Path, Args: hooks.Args(h), Env: h.Env}
	group := c.joinable()
	if r.Tasks, err = group.JoinFiles(); err != nil {
		return hooks.Process{}, err
	}
	defer closeAll(r.Tasks)
	if r.CgroupFD, err = group.CgroupFD(); err != nil {
		return hooks.Process{}, err
	}
	if r.CgroupFD != nil {
		defer r.CgroupFD.Close()
	}
	j, err := c.joinGroup(ctx, r, "")
	if err != nil {
		return hooks.Process{}, err
	}
	if err := j.Release(ctx); err != nil {
		return hooks.Process{}, err
	}
	return childProcess(j.Pid)
}

func closeAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}

// childProcess is a hook's process that is our child. It leads a session of its own, so
// what it started goes with its process group.
func childProcess(pid int) (hooks.Process, error) {
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return hooks.Process{}, fmt.Errorf("cannot open a hook's process: %w", err)
	}
	return hooks.Process{
		Wait: func() (syscall.WaitStatus, error) {
			defer unix.Close(pidfd)
			var ws unix.WaitStatus
			for {
				if _, err := unix.Wait4(pid, &ws, 0, nil); err != unix.EINTR {
					return syscall.WaitStatus(ws), err
				}
			}
		},
		Kill: func() {
			_ = unix.PidfdSendSignal(pidfd, unix.SIGKILL, nil, 0)
			_ = unix.Kill(-pid, unix.SIGKILL)
		},
	}, nil
}
