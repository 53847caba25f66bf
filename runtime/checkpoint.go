package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/criu"
	"github.com/ocirt/ocirt/spec"
)

// CRIUOptions are the choices that Checkpoint and Restore have in common. Each is an option
// of criu(8) of the same name, unless it says something else.
type CRIUOptions struct {
	ImagesDir string // where the checkpoint is; Checkpoint makes it
	WorkDir   string // where CRIU's log is written; empty: ImagesDir

	TCPEstablished bool
	ExternalUnix   bool // --ext-unix-sk
	ShellJob       bool
	FileLocks      bool
	LazyPages      bool
	AutoDedup      bool
	LinkRemap      bool

	ManageCgroups   string   // "soft", "full", "strict", "ignore"; empty: soft
	NetworkLock     string   // "iptables", "nftables", "skip"; empty: CRIU's default
	EmptyNamespaces []string // of the kinds of linux.namespaces; only "network" is known
}

// CheckpointOptions are the choices of Checkpoint.
type CheckpointOptions struct {
	CRIUOptions

	ParentDir       string // an earlier checkpoint, relative to ImagesDir: only what has changed since is saved
	PageServer      string // address:port of a page server
	StatusFD        *os.File
	LeaveRunning    bool
	PreDump         bool // only memory, and the container runs on
	TCPSkipInFlight bool
}

// dumpLog is the name of CRIU's log.
const dumpLog = "dump.log"

// Checkpoint saves the container's processes in a folder, with CRIU, so that Restore can
// make them again. Afterwards they are gone, and the container is deleted, unless
// LeaveRunning or PreDump is set. If it fails, the container goes on as it was.
func (c *Container) Checkpoint(ctx context.Context, o CheckpointOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	if err := c.changing(ctx, func(status Status) error {
		if status != Running && status != Paused {
			return stateError(c.rec.ID, "checkpoint", status, "container cannot be checkpointed in %s state", status)
		}
		return c.dump(o)
	}); err != nil {
		return err
	}
	if o.LeaveRunning || o.PreDump {
		return nil
	}
	return c.Delete(ctx, true) // its processes have ended
}

// check refuses what cannot be meant.
func (o *CheckpointOptions) check() error {
	if o.ParentDir != "" && filepath.IsAbs(o.ParentDir) {
		return fmt.Errorf("--parent-path: %q must be relative to --image-path", o.ParentDir)
	}
	return o.CRIUOptions.check()
}

func (o *CRIUOptions) check() error {
	if o.ImagesDir == "" {
		return errors.New("--image-path: must not be empty")
	}
	if os.Geteuid() != 0 {
		return errors.New("checkpoint and restore need root: CRIU reads and makes processes with all their ids")
	}
	for _, n := range o.EmptyNamespaces {
		if n != "network" {
			return fmt.Errorf("--empty-ns: unknown namespace %q, only network can be empty", n)
		}
	}
	if _, err := cgroupMode(o.ManageCgroups); err != nil {
		return err
	}
	_, err := networkLock(o.NetworkLock)
	return err
}

func cgroupMode(name string) (*criu.CgroupMode, error) {
	mode := criu.CgroupSoft
	switch name {
	case "", "soft":
	case "full":
		mode = criu.CgroupFull
	case "strict":
		mode = criu.CgroupStrict
	case "ignore":
		mode = criu.CgroupIgnore
	default:
		return nil, fmt.Errorf("--manage-cgroups-mode: unknown %q, must be soft, full, strict or ignore", name)
	}
	return &mode, nil
}

func networkLock(name string) (criu.NetworkLock, error) {
	switch name {
	case "":
		return 0, nil
	case "iptables":
		return criu.LockIPTables, nil
	case "nftables":
		return criu.LockNFTables, nil
	case "skip":
		return criu.LockSkip, nil
	}
	return 0, fmt.Errorf("--network-lock: unknown %q, must be iptables, nftables or skip", name)
}

// dump lets CRIU save the container.
func (c *Container) dump(o CheckpointOptions) (err error) {
	b, err := c.bundle()
	if err != nil {
		return err
	}
	dirs, err := openImages(&o.CRIUOptions, true)
	if err != nil {
		return err
	}
	defer dirs.close()
	opts, err := c.dumpOptions(b, &o, dirs)
	if err != nil {
		return err
	}
	defer c.rt.warnIf(keepCgroupOptions())
	// In a process group of its own: who types ^C must not stop it while the container's
	// processes are in its hands.
	s, err := startCRIU(nil, &syscall.SysProcAttr{Setpgid: true})
	if err != nil {
		return err
	}
	defer s.Close()
	request := &criu.Request{Type: criu.Dump, Options: opts}
	if err := needFeatures(s, &o); err != nil {
		return err
	}
	if o.PreDump {
		request.Type = criu.PreDump
	}
	if _, err := s.Do(request, nil); err != nil {
		return dirs.explain("checkpoint", c.rec.ID, dumpLog, err)
	}
	return nil
}

// needFeatures refuses what this host's kernel cannot do, which CRIU would say less clearly.
func needFeatures(s *criu.Session, o *CheckpointOptions) error {
	want := criu.Features{MemoryTracking: o.PreDump, LazyPages: o.LazyPages}
	if want == (criu.Features{}) {
		return nil
	}
	has, err := s.Features(want)
	switch {
	case err != nil:
		return err
	case want.MemoryTracking && !has.MemoryTracking:
		return errors.New("--pre-dump: this kernel does not track which memory has changed (CONFIG_MEM_SOFT_DIRTY)")
	case want.LazyPages && !has.LazyPages:
		return errors.New("--lazy-pages: this kernel cannot serve memory when it is asked for (CONFIG_USERFAULTFD)")
	}
	return nil
}

func (c *Container) dumpOptions(b *spec.Bundle, o *CheckpointOptions, dirs *imageDirs) (*criu.Options, error) {
	opts, err := commonOptions(b, &o.CRIUOptions, dirs)
	if err != nil {
		return nil, err
	}
	opts.Pid, opts.LogFile = c.rec.Pid, dumpLog
	opts.LeaveRunning = o.LeaveRunning
	opts.TCPSkipInFlight = o.TCPSkipInFlight
	opts.NotifyScripts = false
	if o.ParentDir != "" {
		opts.ParentImage, opts.TrackMemory = o.ParentDir, true
	}
	opts.TrackMemory = opts.TrackMemory || o.PreDump
	if o.StatusFD != nil {
		opts.StatusFD = int(o.StatusFD.Fd())
	}
	if o.PageServer != "" {
		if opts.PageServer, err = pageServer(o.PageServer); err != nil {
			return nil, err
		}
	}
	if !o.PreDump {
		if err := c.dumpOutside(b, opts, dirs); err != nil {
			return nil, err
		}
	}
	opts.FreezeCgroup = c.freezer()
	return opts, nil
}

// dumpOutside tells CRIU what of the container is the host's: mounts, namespaces, files.
func (c *Container) dumpOutside(b *spec.Bundle, opts *criu.Options, dirs *imageDirs) error {
	var err error
	if opts.ExternalMounts, err = c.externalMounts(b); err != nil {
		return err
	}
	for _, kind := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.PIDNamespace} {
		if path := namespacePath(b, kind); path == "" {
			continue
		}
		var st unix.Stat_t
		if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/%s", c.rec.Pid, shortNamespace(kind)), &st); err != nil {
			return fmt.Errorf("cannot look at the %s namespace of init: %w", kind, err)
		}
		opts.External = append(opts.External, fmt.Sprintf("%s[%d]:%s", shortNamespace(kind), st.Ino, namespaceKey(kind)))
	}
	names, external, err := c.descriptors(b)
	if err != nil {
		return err
	}
	opts.External = append(opts.External, external...)
	return dirs.saveDescriptors(names)
}

// freezer is the cgroup by which CRIU stops the container's processes all at once; empty if
// it has none of its own.
func (c *Container) freezer() string {
	paths := c.joinable().Paths
	if dir, ok := paths["freezer"]; ok {
		return dir
	}
	return paths[""]
}

func namespacePath(b *spec.Bundle, kind specs.LinuxNamespaceType) string {
	if b.Spec.Linux == nil {
		return ""
	}
	for _, n := range b.Spec.Linux.Namespaces {
		if n.Type == kind {
			return n.Path
		}
	}
	return ""
}

// shortNamespace is the name of a namespace's file in /proc/PID/ns, which is CRIU's, too.
func shortNamespace(kind specs.LinuxNamespaceType) string {
	switch kind {
	case specs.NetworkNamespace:
		return "net"
	case specs.MountNamespace:
		return "mnt"
	}
	return string(kind)
}

// namespaceKey is what stands in the images for a namespace that is not saved.
func namespaceKey(kind specs.LinuxNamespaceType) string { return "ocirt-" + shortNamespace(kind) }
