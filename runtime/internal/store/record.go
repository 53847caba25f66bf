package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// Version is the version of the records written here. It is raised when an older
// ocirt would misunderstand a record, not when a field is added: unknown fields are
// ignored.
const Version = 1

// Phases of a record. What a container's status is, is not stored: a container is
// running if its process lives.
const (
	// PhaseCreating is the intent: create is at work, or was killed.
	PhaseCreating = "creating"
	// PhaseCreated means that create has finished.
	PhaseCreated = "created"
	// PhaseDeleting means that delete has begun and can only be finished.
	PhaseDeleting = "deleting"
)

// A Record is what is remembered of a container. Field names in the file are those
// of runc where runc has the field, because monitoring tools read them.
type Record struct {
	Version    int       // format; Version, or less in old files
	ID         string    // must be the directory's name
	Token      string    // random; tells this container from a later one of the same ID
	BootID     string    // the boot in which it was created; in another one all processes are gone
	OCIVersion string    // ociVersion of its config.json
	Created    time.Time // when create began
	Phase      string    // one of the Phase constants

	Bundle string // absolute path
	Rootfs string // absolute path

	Pid       int    // of the init process; 0 while there is none
	InitCalls int    // length of that process' program, to say later which call failed
	StartTime uint64 // of that process: field 22 of /proc/PID/stat, in clock ticks
	Cgroup    CgroupRecord

	Resctrl []string // directories of its resource groups, to be removed with it, outermost first

	// Descriptors are how CRIU calls the descriptors, from 0, that the container was given:
	// "pipe:[123]"; "" for one without such a name. Empty: none has one.
	Descriptors []string

	PidNamespace bool   // it has a pid namespace of its own: killing init kills all
	Rootless     bool   // made without host privileges
	NoPivot      bool   // made with --no-pivot
	NoNewKeyring bool   // made with --no-new-keyring
	Owner        uint32 // uid of the creator
	LastError    string // why the last command on it failed, for humans

	// Config is config.json as it was at creation. Later changes to the file
	// have no effect on this container.
	Config []byte

	// Resources are the limits that hold, as JSON like linux.resources, if they have
	// been changed since; otherwise they are those of Config.
	Resources []byte

	// IntelRdt is the same of linux.intelRdt.
	IntelRdt []byte
}

// A CgroupRecord says which cgroups belong to the container.
type CgroupRecord struct {
	Manager string            // "cgroupfs", "systemd", "none"; up to package cgroup
	Path    string            // cgroupsPath after defaulting
	Paths   map[string]string // directory of each hierarchy, absolute; key "" on v2
	Made    []string          // directories made for it, outermost first, absolute
	Unit    string            // the systemd unit that they are: "ocirt-demo.scope"; empty: none
	User    bool              // of the user's systemd
}

// Process is the identity of the container's init.
func (r *Record) Process() ProcessID {
	return ProcessID{Pid: r.Pid, Start: r.StartTime, Boot: r.BootID}
}

// fill sets what a new record needs and the caller left empty.
func (r *Record) fill(id string) error {
	if r.ID == "" {
		r.ID = id
	}
	if r.Version == 0 {
		r.Version = Version
	}
	if r.Phase == "" {
		r.Phase = PhaseCreating
	}
	if r.Created.IsZero() {
		r.Created = time.Now().UTC()
	}
	if r.BootID == "" {
		boot, err := BootID()
		if err != nil {
			return err
		}
		r.BootID = boot
	}
	if r.Token == "" {
		token, err := randomHex(16)
		if err != nil {
			return err
		}
		r.Token = token
	}
	return nil
}

// maxPid is the kernel's own limit for /proc/sys/kernel/pid_max.
const maxPid = 1 << 22

// maxCalls is far beyond the longest program of an init.
const maxCalls = 1 << 16

// check refuses what must never be acted upon. It says the field and the reason.
func (r *Record) check() error {
	for _, f := range []struct{ name, value string }{
		{"id", r.ID}, {"token", r.Token}, {"boot_id", r.BootID}, {"phase", r.Phase},
	} {
		if f.value == "" {
			return errors.New(f.name + ": required field missing")
		}
	}
	if err := CheckID(r.ID); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	if r.Version < 1 {
		return errors.New("version: required field missing")
	}
	if r.Created.IsZero() {
		return errors.New("created: required field missing")
	}
	// A signal to 0, 1 or a negative number hits our own group, the host's init
	// or everybody.
	if r.Pid != 0 && (r.Pid <= 1 || r.Pid > maxPid) {
		return fmt.Errorf("init_process_pid: %d cannot be a container's process", r.Pid)
	}
	if r.Pid != 0 && r.StartTime == 0 {
		return errors.New("init_process_start: required field missing")
	}
	if r.InitCalls < 0 || r.InitCalls > maxCalls {
		return fmt.Errorf("init_calls: %d", r.InitCalls)
	}
	for i, dir := range r.Resctrl {
		if err := checkDir(dir); err != nil {
			return fmt.Errorf("resctrl[%d]: %w", i, err)
		}
	}
	return r.Cgroup.check()
}

// check refuses directories that cannot have been made for a container.
func (c *CgroupRecord) check() error {
	if u := c.Unit; u != "" && (len(u) > 255 || strings.ContainsAny(u, "/\x00") || !strings.HasSuffix(u, ".scope") && !strings.HasSuffix(u, ".slice")) {
		return fmt.Errorf("cgroup.unit: %q is not the unit of a container", u)
	}
	for hierarchy, dir := range c.Paths {
		if err := checkDir(dir); err != nil {
			return fmt.Errorf("cgroup_paths.%s: %w", hierarchy, err)
		}
	}
	for i, dir := range c.Made {
		if err := checkDir(dir); err != nil {
			return fmt.Errorf("cgroup.made[%d]: %w", i, err)
		}
		if !c.leadsTo(dir) {
			return fmt.Errorf("cgroup.made[%d]: %q is not on the way to one of cgroup_paths", i, dir)
		}
	}
	return nil
}

func checkDir(dir string) error {
	if !filepath.IsAbs(dir) || filepath.Clean(dir) != dir || dir == "/" || strings.ContainsRune(dir, 0) {
		return fmt.Errorf("%q is not the path of a cgroup", dir)
	}
	return nil
}

func (c *CgroupRecord) leadsTo(dir string) bool {
	for _, p := range c.Paths {
		if p == dir || strings.HasPrefix(p, dir+"/") {
			return true
		}
	}
	return false
}

// decodeRecord reads a record. The error wraps ErrNewer, with a record of what was
// understood, if the version is a newer one.
func decodeRecord(data []byte) (*Record, error) {
	p := &parser{data: data}
	r := &Record{}
	p.object(func(key string) { r.member(p, key) })
	p.end()
	if p.err != nil {
		return nil, p.err
	}
	if r.Pid == 0 {
		r.StartTime, r.InitCalls = 0, 0 // of nobody
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	if r.Version > Version {
		return r, fmt.Errorf("%w (%d, this program knows %d)", ErrNewer, r.Version, Version)
	}
	return r, nil
}

// member reads the value of one key. Keys not listed are of a newer minor version.
func (r *Record) member(p *parser, key string) {
	switch key {
	case "version":
		r.Version = int(p.uint(1 << 30))
	case "id":
		r.ID = p.string()
	case "token":
		r.Token = p.string()
	case "boot_id":
		r.BootID = p.string()
	case "oci_version":
		r.OCIVersion = p.string()
	case "created":
		r.Created = p.time()
	case "phase":
		r.Phase = p.string()
	case "bundle":
		r.Bundle = p.string()
	case "rootfs":
		r.Rootfs = p.string()
	case "init_process_pid":
		// An absent key means none, so that a 0 here is somebody's mistake.
		if r.Pid = int(p.uint(maxPid)); p.err == nil && r.Pid <= 1 {
			p.failf("%d cannot be a container's process", r.Pid)
		}
	case "init_process_start":
		r.StartTime = p.uint(1<<64 - 1)
	case "cgroup":
		p.object(func(key string) { r.Cgroup.member(p, key) })
	case "init_calls":
		r.InitCalls = int(p.uint(maxCalls))
	case "resctrl":
		r.Resctrl = p.strings()
	case "external_descriptors":
		r.Descriptors = p.strings()
	case "cgroup_paths":
		r.Cgroup.Paths = map[string]string{}
		p.object(func(key string) { r.Cgroup.Paths[key] = p.string() })
	case "pid_namespace", "rootless", "no_pivot", "no_new_keyring":
		*r.flag(key) = p.bool()
	case "owner":
		r.Owner = uint32(p.uint(1<<32 - 1))
	case "last_error":
		r.LastError = p.string()
	case "resources":
		raw := p.skip()
		r.Resources = raw[:len(raw):len(raw)]
	case "intel_rdt":
		raw := p.skip()
		r.IntelRdt = raw[:len(raw):len(raw)]
	case "oci_config":
		raw := p.skip() // not copied: it is nearly all of the file
		r.Config = raw[:len(raw):len(raw)]
	default:
		p.skip()
	}
}

func (p *parser) strings() (list []string) {
	p.array(func() { list = append(list, p.string()) })
	return list
}

// flag is the bool that a key is of.
func (r *Record) flag(key string) *bool {
	switch key {
	case "pid_namespace":
		return &r.PidNamespace
	case "rootless":
		return &r.Rootless
	case "no_pivot":
		return &r.NoPivot
	}
	return &r.NoNewKeyring
}

func (c *CgroupRecord) member(p *parser, key string) {
	switch key {
	case "manager":
		c.Manager = p.string()
	case "path":
		c.Path = p.string()
	case "made":
		c.Made = p.strings()
	case "unit":
		c.Unit = p.string()
	case "user":
		c.User = p.bool()
	default:
		p.skip()
	}
}

func (p *parser) time() time.Time {
	p.peek()
	start := p.pos
	s := p.string()
	if p.err != nil {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		p.pos = start
		p.failf("expected a time as in RFC 3339")
	}
	return t
}
