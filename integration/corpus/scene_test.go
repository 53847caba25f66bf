package corpus

import (
	"maps"
	"strings"
	"testing"

	"github.com/ocirt/ocirt/integration/internal/lab"
	"github.com/ocirt/ocirt/internal/need"
)

// A scene makes a row real: what JSON alone cannot say.
type scene struct {
	skip, why string // what the row needs of the host, and why this one does not do

	user    bool         // an ordinary user runs it
	set     func(*stage) // prepares the bundle
	command string       // which is to fail; empty: create
	words   []string     // what is said, instead of the row's message; of accepted rows: warnings
	from    []string     // properties that are named
	fine    bool         // the row allows two outcomes, and here it is accepted
	either  bool         // the row allows two outcomes, and the kernel decides
	late    bool         // the file is in order, but not for this host: it fails with words

	after func(s *stage, id string) // with the created container
	play  func(*stage)              // instead of all that
}

// scenes are those of all tables, by the rows' ids.
func scenes() map[string]scene {
	all := map[string]scene{}
	for _, some := range []map[string]scene{
		formScenes(), programScenes(), processScenes(), namespaceScenes(), mountScenes(),
		deviceScenes(), seccompScenes(), pathScenes(), hookScenes(), idScenes(), resourceScenes(),
	} {
		maps.Copy(all, some)
	}
	return all
}

// unsupported skips a row whose property this runtime refuses because it does not carry it
// out yet.
func unsupported(t testing.TB, text string) {
	t.Helper()
	if _, rest, ok := strings.Cut(text, "config.json: "); ok && strings.Contains(rest, "not supported yet") {
		line, _, _ := strings.Cut(rest, "\n")
		need.Feature(t, "unsupported", false, line)
	}
}

// startFails creates a container whose start is to fail, and checks what is said then, and
// that it can be deleted.
func (s *stage) startFails(words ...string) string {
	s.Helper()
	id := s.runtime.ID()
	if res := s.do("create", id); res.Code != 0 {
		unsupported(s, res.Stderr)
		s.Fatalf("cannot be created: %v", res)
	}
	rec := s.fails("start", id)
	for _, w := range words {
		if !strings.Contains(rec.Msg, w) {
			s.Errorf("the error does not say %q:\n%s", w, rec.Msg)
		}
	}
	lab.Eventually(func() bool { return strings.Contains(s.runtime.Do("state", id).OK().Stdout, `"stopped"`) })
	s.runtime.Do("delete", id).OK()
	return rec.Msg
}

// playStart is a scene whose program does not start.
func playStart(set func(*stage), words ...string) scene {
	return scene{play: func(s *stage) {
		set(s)
		s.write(&row{})
		s.startFails(words...)
	}}
}

// script makes the container's program a file of this content.
func script(text string, mode uint32) func(*stage) {
	return func(s *stage) {
		s.file("run.sh", text, 0o777&fileMode(mode))
		s.put("/process/args", []string{"/run.sh"})
	}
}
