package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestForeign(t *testing.T) {
	self := identify(t, os.Getpid())
	record := func(more string) string {
		return fmt.Sprintf(`{"id":"c","init_process_pid":%d,"init_process_start":%d,"created":"2026-01-02T03:04:05Z","config":{"no_pivot_root":false,"mounts":[null,1.5]}%s}`, self.Pid, self.Start, more)
	}
	for _, test := range []struct {
		name, record string
		intent, want bool
	}{
		{"of runc", record(""), false, true},
		{"of ours", record(`,"token":"x"`), false, false},
		{"with an intent", record(""), true, false},
		{"of a process that has ended", fmt.Sprintf(`{"init_process_pid":%d,"init_process_start":%d}`, self.Pid, self.Start+1), false, false},
		{"of the host's init", `{"init_process_pid":1,"init_process_start":1}`, false, false},
		{"of nobody", `{"id":"c"}`, false, false},
		{"garbage", `{"init_process_pid":`, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := testRoot(t)
			d := create(t, r, "c")
			must(t, os.WriteFile(filepath.Join(d.Path(), recordName), []byte(test.record), 0o600))
			if !test.intent {
				must(t, os.Remove(filepath.Join(d.Path(), intentName)))
			}
			got, foreign := d.Foreign()
			if foreign != test.want || foreign && got != self {
				t.Errorf("%+v, %v, want %v", got, foreign, test.want)
			}
		})
	}
}
