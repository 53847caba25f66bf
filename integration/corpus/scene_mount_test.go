package corpus

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

func mountScenes() map[string]scene {
	return map[string]scene{
		"M-05e": {set: func(s *stage) { s.put("/mounts/7/source", s.dir+"/file") }},
		"M-06":  {words: []string{`"/proc" cannot be mounted because it is not of type proc`}, from: []string{"mounts[7]"}},
		"M-11":  {words: []string{"tmpfs: Unknown parameter 'nope'", "fsconfig tmpfs nope"}, from: []string{"mounts[7]"}},
		// No file system has an option of 5,000 bytes; the message does not repeat all of it.
		"M-13": {late: true, from: []string{"mounts[7]"}, words: []string{"fsconfig tmpfs " + strings.Repeat("a", 64) + "…: invalid argument"}},
		// One of the options is remount.
		"M-16b": {set: func(s *stage) {
			s.put("/mounts/6", map[string]any{"destination": "/x", "source": "/tmp", "options": []string{"bind"}})
		}},
		"M-19": {play: bindKinds},
		"M-21": {set: func(s *stage) {
			must(s, os.Symlink("loop", s.rootfs("loop")))
			s.mount("/loop/x", "tmpfs", "tmpfs")
		}, from: []string{"mounts[7]"}, words: []string{"too many levels of symbolic links", "/loop/x"}},
		"M-22": {set: func(s *stage) {
			must(s, os.Symlink("/proc/1/root", s.rootfs("magic")))
			s.mount("/magic/x", "tmpfs", "tmpfs")
		}, from: []string{"mounts[7]"}},
		"M-23": {set: func(s *stage) {
			s.file("etc/passwd", "", 0o644)
			s.mount("/etc/passwd/x", "tmpfs", "tmpfs")
		}},
		"M-26": {play: func(s *stage) {
			for option, cause := range map[string]string{"size=-1": "Bad value for 'size'", "mode=999": "Bad value for 'mode'"} {
				s.patches = nil
				s.mount("/x", "tmpfs", "tmpfs", option)
				s.write(&row{})
				rec := s.failsWith("create", "fsconfig tmpfs", cause, `at "/x"`)
				if !names(rec, "mounts[7]") {
					s.Errorf("mounts[7] is not named: %+v", rec)
				}
			}
		}},
		"M-27": {set: func(s *stage) {
			must(s, os.Mkdir(s.dir+"/a:b", 0o755))
			must(s, os.Mkdir(s.dir+"/c", 0o755))
			must(s, os.WriteFile(s.dir+"/a:b/one", nil, 0o644))
			s.put("/mounts/7/options", []string{`lowerdir=` + s.dir + `/a\:b:` + s.dir + "/c"})
		}, after: func(s *stage, id string) {
			if _, err := os.Stat(s.procRoot(id) + "/x/one"); err != nil {
				s.Error(err)
			}
		}},
		"M-28": {play: copyUp},
		"M-29": {set: func(s *stage) {
			s.mount("/ro", "bind", s.dir+"/../other", "bind", "ro")
			s.mount("/ro/x/y", "tmpfs", "tmpfs")
		}, from: []string{"mounts[8]"}, words: []string{"does not exist in a read-only mount"}},
	}
}

func bindKinds(s *stage) {
	s.mount("/file", "bind", s.dir+"/rootfs", "bind")
	s.file("file", "", 0o644)
	s.write(&row{})
	if rec := s.failsWith("create", "cannot bind a directory onto a file", "not a directory"); !names(rec, "mounts[7]") {
		s.Errorf("mounts[7] is not named: %+v", rec)
	}
	s.patches = nil
	s.mount("/tmp", "bind", s.dir+"/file", "bind")
	s.write(&row{})
	s.failsWith("create", "cannot bind a file onto a directory", "not a directory")
}

// copyUp shows that what is copied is bounded by the mount, that a file which cannot be
// copied is named, and that all kinds of files are copied.
func copyUp(s *stage) {
	dir := s.rootfs("up")
	must(s, os.Mkdir(dir, 0o755))
	must(s, os.WriteFile(dir+"/big", nil, 0o644))
	must(s, os.Truncate(dir+"/big", 1<<30))
	s.mount("/up", "tmpfs", "tmpfs", "tmpcopyup", "size=64k")
	s.write(&row{})
	rec := s.failsWith("create", "cannot copy up the image's files", "big", "no space left on device")
	if !names(rec, "mounts[7]") {
		s.Errorf("mounts[7] is not named: %+v", rec)
	}
	must(s, os.Remove(dir+"/big"))
	must(s, syscall.Mkfifo(dir+"/fifo", 0o640))
	must(s, syscall.Mknod(dir+"/null", syscall.S_IFCHR|0o600, 1<<8|3))
	l, err := net.Listen("unix", dir+"/socket")
	must(s, err)
	s.Cleanup(func() { l.Close() })
	must(s, os.Symlink("/nowhere", dir+"/link"))
	id := s.runtime.ID()
	if res := s.do("create", id); res.Code != 0 {
		s.Fatal(res)
	}
	for name, kind := range map[string]os.FileMode{
		"fifo": os.ModeNamedPipe, "null": os.ModeDevice | os.ModeCharDevice, "socket": os.ModeSocket, "link": os.ModeSymlink,
	} {
		st, err := os.Lstat(filepath.Join(s.procRoot(id), "up", name))
		if err != nil || st.Mode().Type() != kind {
			s.Errorf("%s is not copied: %v %v", name, st, err)
		}
	}
	s.runtime.Do("delete", id).OK()
}

func deviceScenes() map[string]scene {
	return map[string]scene{
		"D-09": {set: func(s *stage) {
			s.file("there", "", 0o644)
			s.put("/linux/devices/0/path", "/there")
		}, from: []string{"linux.devices[0]"}, words: []string{"a different file exists"}},
		"D-17": {fine: true, either: true, set: func(s *stage) {
			rules := []any{map[string]any{"allow": false, "access": "rwm"}}
			for i := range 10000 {
				rules = append(rules, map[string]any{"allow": true, "type": "c", "major": 1000 + i/1000, "minor": i % 1000, "access": "rwm"})
			}
			s.put("/linux/resources/devices", rules)
		}},
		"D-18": {play: lastRuleWins},
	}
}

// lastRuleWins tries the rules of the row in both orders, with a device that no driver has.
func lastRuleWins(s *stage) {
	allow := map[string]any{"allow": true, "type": "a", "access": "rwm"}
	deny := map[string]any{"allow": false, "type": "c", "major": 240, "minor": 0, "access": "rwm"}
	for denied, rules := range map[bool][]any{true: {allow, deny}, false: {deny, allow}} {
		s.patches = nil
		s.put("/linux/resources/devices", rules)
		s.put("/linux/devices", []any{map[string]any{"path": "/dev/x", "type": "c", "major": 240, "minor": 0, "fileMode": 0o666}})
		s.put("/process/args", []string{"true", "try-read", "/dev/x"})
		s.write(&row{})
		got := s.do("run", s.runtime.ID()).OK().Stdout
		if strings.Contains(got, "operation not permitted") != denied {
			s.Errorf("%v: %q", rules, got)
		}
	}
}
