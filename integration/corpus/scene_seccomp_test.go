package corpus

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"time"
)

// filter is a seccomp profile that allows everything but what rules say.
func filter(rules ...string) json.RawMessage {
	list := ""
	for i, r := range rules {
		if i > 0 {
			list += ","
		}
		list += r
	}
	return json.RawMessage(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[` + list + `]}`)
}

func deny(action string, names ...string) string {
	list, _ := json.Marshal(names)
	return fmt.Sprintf(`{"names":%s,"action":%q}`, list, action)
}

func seccompScenes() map[string]scene {
	return map[string]scene{
		// Accepted, as the specification says; but it protects from nothing.
		"S-05": {words: []string{"linux.seccomp.syscalls[0].names", "forbids nothing"}},
		"S-15": {play: listeners},
		"S-16": {play: rudeListeners},
		"S-17": playStart(func(s *stage) {
			s.put("/linux/seccomp", filter(deny("SCMP_ACT_ERRNO", "execve", "execveat")))
		}, "exec true: operation not permitted", "seccomp"),
		// Whatever a Go program would need after the filter: init needs none of it.
		"S-18": {set: func(s *stage) {
			s.put("/linux/seccomp", filter(deny("SCMP_ACT_KILL_PROCESS", "close_range", "rt_sigreturn")))
		}, after: func(s *stage, id string) { s.runtime.Do("start", id).OK() }},
		"S-19": {set: func(s *stage) {
			rules := make([]string, 0, 4000)
			for i := range 4000 {
				rules = append(rules, fmt.Sprintf(`{"names":["getpid","getppid"],"action":"SCMP_ACT_ERRNO","args":[{"index":0,"value":%d,"op":"SCMP_CMP_EQ"}]}`, i))
			}
			s.put("/linux/seccomp", filter(rules...))
		}},
		// libseccomp refuses, or takes the first: it must not be neither.
		"S-20": {set: func(s *stage) {
			s.put("/linux/seccomp", filter(deny("SCMP_ACT_ERRNO", "getpid"), deny("SCMP_ACT_KILL", "getpid")))
		}, fine: true},
	}
}

func notify(path string) json.RawMessage {
	return json.RawMessage(fmt.Sprintf(`{"defaultAction":"SCMP_ACT_ALLOW","listenerPath":%q,"syscalls":[{"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"}]}`, path))
}

// notified writes a profile with a listener.
func (s *stage) notified(path string) {
	s.Helper()
	s.patches = nil
	s.put("/linux/seccomp", notify(path))
	s.write(&row{})
}

func listeners(s *stage) {
	for _, path := range []string{s.dir + "/none", s.dir + "/file", s.dir + "/fifo"} {
		s.notified(path)
		begin := time.Now()
		rec := s.fails("create", s.runtime.ID())
		if !names(rec, "linux.seccomp.listenerPath") {
			s.Errorf("the listener is not named: %+v", rec)
		}
		if d := time.Since(begin); d > time.Second {
			s.Errorf("it took %v", d)
		}
	}
}

// rudeListeners accept and never read, or close at once. They get their message when the
// filter is loaded: by create, or by start if no_new_privs is set.
func rudeListeners(s *stage) {
	path := s.dir + "/listener"
	l, err := net.Listen("unix", path)
	must(s, err)
	defer l.Close()
	rude := []func(net.Conn){func(c net.Conn) {
		// Who waits for it for ever gets its end in the end.
		end := time.AfterFunc(20*time.Second, func() { c.Close() })
		s.Cleanup(func() { end.Stop(); c.Close() })
	}, func(c net.Conn) { c.Close() }}
	for i := range 2 * len(rude) {
		s.notified(path)
		s.put("/process/noNewPrivileges", i%2 == 0)
		if i == 1 { // more than a socket holds, which takes the time that is waited
			s.put("/linux/seccomp/listenerMetadata", strings.Repeat("m", 1<<20))
		}
		s.write(&row{})
		accepted := make(chan bool, 1)
		go func() {
			c, err := l.Accept()
			if err == nil {
				rude[i/2](c)
			}
			accepted <- err == nil
		}()
		begin := time.Now()
		id := s.runtime.ID()
		if res := s.do("create", id); res.Code == 0 {
			s.runtime.Do("start", id)
		}
		if d := time.Since(begin); d > 15*time.Second {
			s.Errorf("it took %v", d)
		}
		if !<-accepted {
			s.Error("nobody has connected to the listener")
		}
		s.runtime.Do("delete", "--force", id)
	}
}
