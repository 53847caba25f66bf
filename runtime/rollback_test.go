package runtime

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/spec"
)

// A Create that is given up leaves neither its hook nor a container, and poststop hooks run
// though the context is done.
func TestCreateIsGivenUp(t *testing.T) {
	need.Root(t)
	for _, kind := range []string{"prestart", "createRuntime", "createContainer"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "rootfs"), 0o755); err != nil {
				t.Fatal(err)
			}
			config := `{"ociVersion":"1.3.0","root":{"path":"rootfs"},"process":{"cwd":"/","args":["/true"]},"linux":{"namespaces":[{"type":"mount"},{"type":"pid"}]},
				"hooks":{"%s":[{"path":"/bin/sh","args":["sh","-c","echo > '%[2]s/began'; sleep 300; echo > '%[2]s/late'"]}],
				"poststop":[{"path":"/bin/sh","args":["sh","-c","echo > '%[2]s/poststop'"]}]}}`
			b, err := spec.Parse(dir, fmt.Appendf(nil, config, kind, dir))
			if err != nil {
				t.Fatal(err)
			}
			rt, err := New(filepath.Join(dir, "state"))
			if err != nil {
				t.Fatal(err)
			}
			has := func(name string) bool { _, err := os.Stat(filepath.Join(dir, name)); return err == nil }
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("second thoughts")
			go func() {
				for !has("began") && ctx.Err() == nil {
					time.Sleep(time.Millisecond)
				}
				cancel(why)
			}()
			id := fmt.Sprintf("given-up-%d", os.Getpid())
			began := time.Now()
			_, err = rt.Create(ctx, id, b, CreateOptions{Stdio: Inherit()})
			cancel(nil)
			if !errors.Is(err, why) || !has("began") {
				t.Errorf("error is %v, want one that wraps %v", err, why)
			}
			var failed *StepError
			if !errors.As(err, &failed) || failed.From != "/hooks/"+kind+"/0" {
				t.Errorf("error is %v, want one of the hook's step", err)
			}
			if took := time.Since(began); took > 10*time.Second || has("late") {
				t.Errorf("the hook was waited for: %v", took)
			}
			if !has("poststop") {
				t.Error("no poststop hook ran")
			}
			if left, _ := os.ReadDir(filepath.Join(dir, "state")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
