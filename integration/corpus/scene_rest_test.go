package corpus

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/ocirt/ocirt/internal/need"
)

// hook adds a hook that is a line for a shell.
func (s *stage) hook(kind, line string) {
	s.Helper()
	h := map[string]any{"path": "/bin/sh", "args": []string{"sh", "-c", line}, "env": []string{"PATH=/bin:/usr/bin"}}
	s.put("/hooks", map[string]any{kind: []any{h}})
}

// procRoot is a created container's root, from outside.
func (s *stage) procRoot(id string) string {
	s.Helper()
	var pid int
	state := s.runtime.Do("state", "--", id).OK().Stdout
	_, rest, _ := strings.Cut(state, `"pid": `)
	if _, err := fmt.Sscanf(rest, "%d", &pid); err != nil || pid == 0 {
		s.Fatalf("no pid in %s", state)
	}
	return fmt.Sprintf("/proc/%d/root", pid)
}

// failsWith is fails for a container of its own, with words.
func (s *stage) failsWith(command string, words ...string) record {
	s.Helper()
	rec := s.fails(command, s.runtime.ID())
	for _, w := range words {
		if !strings.Contains(rec.Msg, w) {
			s.Errorf("the error does not say %q:\n%s", w, rec.Msg)
		}
	}
	s.gone()
	return rec
}

func pathScenes() map[string]scene {
	return map[string]scene{
		// The dots stay dots: there is no such interface, and it is its name that is missed.
		"S-23": {late: true, from: []string{"linux.sysctl"}, words: []string{`"net/ipv4/conf/eno2.100/rp_filter": no such sysctl`}},
		// What cannot be masked may not be left open.
		"S-36": {late: true, from: []string{"linux.maskedPaths"}, words: []string{"cannot mask /mask", "outside of the container root"}, set: func(s *stage) {
			must(s, os.Symlink("/proc/1/root", s.rootfs("mask")))
			s.put("/linux/maskedPaths", []string{"/mask", "/mask/etc"})
		}},
	}
}

func hookScenes() map[string]scene {
	return map[string]scene{
		"H-06": {from: []string{"hooks.createRuntime[0]"}, words: []string{`error running createRuntime hook #0: "/bin/false": exit status 1`}},
		"H-07": {
			set:  func(s *stage) { s.hook("createContainer", "echo out; echo why >&2; kill -9 $$") },
			from: []string{"hooks.createContainer[0]"}, words: []string{"error running createContainer hook #0:", "killed by signal 9", "stderr: why"},
		},
		"H-08": {from: []string{"hooks.createRuntime[0]"}, words: []string{
			"error running createRuntime hook #0:", "hook ran past specified timeout of 1.0s", "timed out after 1 s",
		}},
		"H-11": {play: hostileHooks},
	}
}

// hostileHooks take away what the runtime stands on. It may fail, but must end, without
// a panic, and the container must go when it is asked to.
func hostileHooks(s *stage) {
	for what, line := range map[string]string{
		"runtime": "kill -9 $PPID", "bundle": "rm -rf rootfs config.json", "state": "rm -rf " + s.runtime.Root + "/*",
	} {
		s.patches = nil
		s.hook("createRuntime", line)
		if _, err := os.Stat(s.rootfs("")); err != nil {
			must(s, os.MkdirAll(s.rootfs("bin"), 0o755))
			must(s, os.Link(s.dir+"/../other/rootfs/bin/true", s.rootfs("bin/true")))
		}
		s.write(&row{})
		id := s.runtime.ID()
		begin := time.Now()
		res := s.do("create", id)
		if strings.Contains(res.Stderr, "goroutine ") || strings.Contains(res.Stderr, "panic") {
			s.Errorf("%s: %v", what, res)
		}
		if what == "runtime" && res.Code != 128+9 {
			s.Errorf("%s: the hook did not kill it: %v", what, res)
		}
		if d := time.Since(begin); d > 5*time.Second {
			s.Errorf("%s: it took %v", what, d)
		}
		time.Sleep(20 * time.Millisecond) // the hook itself may live a little longer than its parent
		s.runtime.Do("delete", "--force", id).OK()
		s.gone()
	}
}

func idScenes() map[string]scene {
	return map[string]scene{
		"I-14": {play: func(s *stage) {
			s.write(&row{})
			id := s.runtime.ID()
			if res := s.do("create", id); res.Code != 0 {
				s.Fatal(res)
			}
			rec := s.fails("create", id)
			if want := "ocirt create failed: container with given ID already exists: " + id; rec.Msg != want {
				s.Errorf("\n got %s\nwant %s", rec.Msg, want)
			}
			s.runtime.Do("delete", id).OK()
		}},
		"I-15": {play: foreignState},
		"I-17": {play: foldedCase},
		"I-18": {play: manyContainers},
	}
}

// foreignState puts a file and a folder where a container's state would be.
func foreignState(s *stage) {
	s.write(&row{})
	for _, make := range []func(string) error{
		func(p string) error { return os.WriteFile(p, []byte("mine"), 0o600) },
		func(p string) error { return os.MkdirAll(p+"/mine", 0o700) },
	} {
		id := s.runtime.ID()
		path := filepath.Join(s.runtime.Root, id)
		must(s, make(path))
		rec := s.fails("create", id)
		if w := "container with given ID already exists"; !strings.Contains(rec.Msg, w) {
			s.Errorf("the error does not say %q: %s", w, rec.Msg)
		}
		if _, err := os.Lstat(path); err != nil {
			s.Errorf("what was there has gone: %v", err)
		}
		must(s, os.RemoveAll(path))
	}
}

func foldedCase(s *stage) {
	dir := filepath.Join(s.dir, "folding")
	must(s, os.Mkdir(dir, 0o700))
	err := exec.Command("mount", "-t", "tmpfs", "-o", "casefold", "tmpfs", dir).Run()
	need.Feature(s, "casefold", err == nil, "this kernel has no tmpfs that folds case (CONFIG_UNICODE)")
	defer func() { must(s, exec.Command("umount", dir).Run()) }()
	sub := filepath.Join(dir, "state")
	must(s, os.Mkdir(sub, 0o700))
	must(s, exec.Command(need.Tool(s, "chattr"), "+F", sub).Run())
	s.write(&row{})
	root := s.runtime.Root
	defer func() { s.runtime.Root = root }()
	s.runtime.Root = sub
	id := s.runtime.ID()
	if res := s.do("create", id); res.Code != 0 {
		s.Fatal(res)
	}
	rec := s.fails("create", strings.ToUpper(id))
	if !strings.Contains(rec.Msg, "container with given ID already exists") {
		s.Error(rec.Msg)
	}
	s.runtime.Do("delete", id).OK()
}

// manyContainers makes the entries of one container many times over.
func manyContainers(s *stage) {
	s.write(&row{})
	id := s.runtime.ID()
	if res := s.do("create", id); res.Code != 0 {
		s.Fatal(res)
	}
	const many = 3000
	one := filepath.Join(s.runtime.Root, id)
	files := regularFiles(s, one)
	begin := time.Now()
	for i := range many {
		dir := fmt.Sprintf("%s-%d", one, i)
		must(s, os.Mkdir(dir, 0o700))
		for name, data := range files {
			must(s, os.WriteFile(filepath.Join(dir, name), data, 0o600))
		}
	}
	made := time.Since(begin) // a measure of this machine
	begin = time.Now()
	res := s.runtime.Do("list", "-q").OK()
	if n := len(res.Lines()); n != many+1 {
		s.Errorf("%d of %d containers are listed", n, many+1)
	}
	if d := time.Since(begin); d > max(3*time.Second, 2*made) {
		s.Errorf("listing %d containers took %v", many, d)
	}
	s.runtime.Do("delete", "--force", id).OK()
	for i := range many {
		must(s, os.RemoveAll(fmt.Sprintf("%s-%d", one, i)))
	}
}

func regularFiles(s *stage, dir string) map[string][]byte {
	s.Helper()
	m := map[string][]byte{}
	entries, err := os.ReadDir(dir)
	must(s, err)
	for _, e := range entries {
		if e.Type().IsRegular() {
			m[e.Name()], err = os.ReadFile(filepath.Join(dir, e.Name()))
			must(s, err)
		}
	}
	return m
}
