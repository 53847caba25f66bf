package lab

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// lockTime is longer than a checkpoint takes.
const lockTime = 30 * time.Second

// A snapshot is what must be the same after a test as before it.
type snapshot struct {
	mounts   []string          // as root: this mount namespace is the tests' own
	sysctls  map[string]string // of the host
	files    map[string]string // our own descriptors
	children []int
	program  version // of the runtime
	queues   string
	path     string
}

// sysctlNames are those that a runtime has no business with, and that a careless one hits.
func sysctlNames() []string {
	return []string{
		"kernel/hostname", "kernel/domainname", "kernel/core_pattern", "kernel/modprobe", "kernel/msgmax",
		"kernel/msgmni", "kernel/shmmax", "kernel/sem", "kernel/panic", "kernel/sysrq", "kernel/randomize_va_space",
		"fs/mqueue/msg_max", "fs/mqueue/queues_max", "fs/suid_dumpable", "net/ipv4/ip_forward",
		"net/ipv4/ip_unprivileged_port_start", "net/ipv4/ping_group_range", "vm/overcommit_memory", "vm/swappiness",
	}
}

func look(t testing.TB, program string) *snapshot {
	t.Helper()
	s := &snapshot{sysctls: map[string]string{}, path: program}
	if os.Geteuid() == 0 {
		s.mounts = MountTable()
	}
	for _, name := range sysctlNames() {
		if data, err := os.ReadFile("/proc/sys/" + name); err == nil {
			s.sysctls[name] = string(data)
		}
	}
	s.files = ownFiles()
	s.children = Children()
	s.program = versionOf(program)
	queues, _ := os.ReadFile("/proc/sysvipc/msg")
	s.queues = string(queues)
	return s
}

// A version of a file: the kernel gives another one with every write, and nobody can give it
// the old one back.
type version struct {
	inode   uint64
	size    int64
	changed unix.Timespec
}

func versionOf(path string) version {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return version{}
	}
	return version{inode: st.Ino, size: st.Size, changed: st.Ctim}
}

// MountTable is the mounts that this process sees, a line each. While CRIU works the host's
// cgroup hierarchy has other options, and a checkpoint, which may be another test's, holds a
// lock on it for as long.
func MountTable() []string {
	if f, err := os.OpenFile("/sys/fs/cgroup", os.O_RDONLY|unix.O_DIRECTORY, 0); err == nil {
		defer f.Close()
		for end := time.Now().Add(lockTime); unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) != nil && time.Now().Before(end); {
			time.Sleep(20 * time.Millisecond)
		}
	}
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimRight(string(data), "\n"), "\n")
}

// ownFiles are our open descriptors but for the Go runtime's.
func ownFiles() map[string]string {
	m := map[string]string{}
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "anon_inode:[pidfd") && to != "pipe:[]" {
			m[e.Name()] = to
		}
	}
	return m
}

// Children are our own, zombies included.
func Children() []int {
	var list []int
	threads, _ := os.ReadDir("/proc/self/task")
	for _, th := range threads {
		data, err := os.ReadFile("/proc/self/task/" + th.Name() + "/children")
		if err != nil {
			continue
		}
		for f := range strings.FieldsSeq(string(data)) {
			if pid, err := strconv.Atoi(f); err == nil {
				list = append(list, pid)
			}
		}
	}
	slices.Sort(list)
	return list
}

// compare says in what the host differs from what it was.
func (s *snapshot) compare(now *snapshot) []string {
	var found []string
	for _, m := range now.mounts {
		if !slices.Contains(s.mounts, m) {
			found = append(found, "new mount: "+m)
		}
	}
	for _, m := range s.mounts {
		if !slices.Contains(now.mounts, m) {
			found = append(found, "mount has gone: "+m)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.sysctls)) {
		if was, is := s.sysctls[name], now.sysctls[name]; was != is {
			found = append(found, fmt.Sprintf("sysctl %s was %q and is %q", name, was, is))
		}
	}
	for fd, to := range now.files {
		if s.files[fd] != to {
			found = append(found, fmt.Sprintf("open descriptor %s: %s", fd, to))
		}
	}
	for _, pid := range now.children {
		if !slices.Contains(s.children, pid) {
			found = append(found, fmt.Sprintf("process %d: %s", pid, describe(pid)))
		}
	}
	if s.program != now.program {
		found = append(found, "the runtime's program has changed: "+s.path)
	}
	if s.queues != now.queues {
		found = append(found, "message queues were:\n"+s.queues+"and are:\n"+now.queues)
	}
	return found
}

func describe(pid int) string {
	dir := "/proc/" + strconv.Itoa(pid)
	cmdline, _ := os.ReadFile(dir + "/cmdline")
	stat, _ := os.ReadFile(dir + "/stat")
	return fmt.Sprintf("%q %s", strings.ReplaceAll(string(cmdline), "\x00", " "), stat)
}

// traces looks for what bears an id: cgroups, processes in them or with it on their
// command line, mounts.
func traces(ids []string) []string {
	var found []string
	has := func(text string) bool {
		return slices.ContainsFunc(ids, func(id string) bool { return hasWord(text, id) })
	}
	_ = filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return nil //nolint:nilerr // a cgroup of somebody else that goes away
		}
		if has(d.Name()) {
			found = append(found, "cgroup "+path)
		}
		if strings.Count(path, "/") > 8 {
			return fs.SkipDir
		}
		return nil
	})
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		cgroup, _ := os.ReadFile("/proc/" + e.Name() + "/cgroup")
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		if has(string(cgroup)) || has(strings.ReplaceAll(string(cmdline), "\x00", " ")) {
			found = append(found, "process "+e.Name()+": "+describe(pid))
		}
	}
	for _, m := range MountTable() {
		if has(m) {
			found = append(found, "mount "+m)
		}
	}
	return found
}

// hasWord reports whether id occurs in text and is not the beginning of a longer number.
func hasWord(text, id string) bool {
	for {
		i := strings.Index(text, id)
		if i < 0 {
			return false
		}
		text = text[i+len(id):]
		if text == "" || text[0] < '0' || text[0] > '9' {
			return true
		}
	}
}

// NothingLeft checks now that there is no trace of any container of this runtime: in a
// test whose containers are all gone, or never came to be.
func (r *Runtime) NothingLeft() {
	r.t.Helper()
	r.reap()
	found := append(r.stateEntries(), traces(r.ids)...)
	for _, pid := range Children() {
		if !slices.Contains(r.before.children, pid) {
			found = append(found, fmt.Sprintf("process %d: %s", pid, describe(pid)))
		}
	}
	for _, f := range found {
		r.t.Errorf("left behind: %s", f)
	}
}

// stateEntries are the containers' entries in the state directory.
func (r *Runtime) stateEntries() []string {
	var found []string
	entries, err := os.ReadDir(r.Root)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if slices.Contains(r.ids, e.Name()) {
			found = append(found, "state "+filepath.Join(r.Root, e.Name()))
		}
	}
	return found
}

// cleanUp deletes what the test made.
func (r *Runtime) cleanUp() {
	r.Wrap = nil
	for _, id := range r.ids {
		if _, err := os.Stat(filepath.Join(r.Root, id)); err == nil {
			if res := r.Do("delete", "--force", id); res.Code != 0 {
				r.t.Errorf("cannot clean up: %v", res)
			}
		}
	}
	r.reap()
	for _, e := range r.stateEntries() {
		r.t.Errorf("left behind: %s", e)
	}
}

// reap waits for children that have ended and are not the tests'.
func (r *Runtime) reap() {
	for _, pid := range Children() {
		if !slices.Contains(r.before.children, pid) {
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
	}
}

// assertNothingLeft is the last thing of a test, however it ended. What is left is
// reported, and processes are killed, so that one test's fault is not the next one's.
func (r *Runtime) assertNothingLeft() {
	var found []string
	// A process that was told to end by the test itself gets a moment.
	for deadline := time.Now().Add(time.Second); ; time.Sleep(5 * time.Millisecond) {
		r.reap()
		found = append(r.before.compare(look(r.t, r.Path)), traces(r.ids)...)
		if len(found) == 0 {
			return
		}
		if !onlyProcesses(found) || time.Now().After(deadline) {
			break
		}
	}
	for _, f := range found {
		r.t.Errorf("left behind: %s", f)
	}
	for _, pid := range Children() {
		if !slices.Contains(r.before.children, pid) {
			_ = unix.Kill(pid, unix.SIGKILL)
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
	}
}

// onlyProcesses reports whether waiting may help.
func onlyProcesses(found []string) bool {
	return !slices.ContainsFunc(found, func(f string) bool { return !strings.HasPrefix(f, "process ") })
}
