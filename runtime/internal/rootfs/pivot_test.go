package rootfs

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

func TestPivotLeavesNothingOfTheHost(t *testing.T) {
	for _, propagation := range []string{"", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"} {
		t.Run("propagation-"+propagation, func(t *testing.T) {
			need.Root(t)
			steptest.In(t, steptest.Options{}, func(t *testing.T) {
				// The host, as most hosts are.
				if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
					t.Fatal(err)
				}
				proc := open(t, "/proc")
				before := steptest.Mounts(t, &step.Sandbox{Proc: proc})
				in := input(t, tmpfs("/x"))
				in.Bundle.Spec.Linux.RootfsPropagation = propagation
				steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
					if err != nil {
						t.Fatal(err)
					}
					checkOnly(t, b, "/", "/x")
					m := steptest.Find(t, steptest.Mounts(t, b), "/")
					want := strings.TrimPrefix(propagation, "r")
					if want == "shared" && !strings.HasPrefix(m.Propagation, "shared") || want == "unbindable" && m.Propagation != want {
						t.Errorf("the root is %q", m.Propagation)
					}
				})
				after := steptest.Mounts(t, &step.Sandbox{Proc: proc})
				if len(after) != len(before) {
					t.Errorf("%d mounts on the host before, %d after", len(before), len(after))
				}
				for i := range min(len(before), len(after)) {
					if before[i].Propagation != after[i].Propagation {
						t.Errorf("host: %+v became %+v", before[i], after[i])
					}
				}
			})
		})
	}
}

func checkOnly(t *testing.T, b *step.Sandbox, points ...string) {
	t.Helper()
	list := steptest.Mounts(t, b)
	if len(list) != len(points) {
		t.Errorf("mounts %+v, want %v", list, points)
	}
	for _, p := range points {
		steptest.Find(t, list, p)
	}
}

func TestNoPivot(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{Network: true}, func(t *testing.T) {
		in := input(t, usual()...)
		write(t, inRoot(in, "file"), "image")
		in.Options.NoPivot = true
		steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if read(t, "/file") != "image" {
				t.Error("the root is another")
			}
			steptest.Find(t, steptest.Mounts(t, b), "/dev/pts")
		})
		s := EnterRoot{}
		if s.String() == "" {
			t.Error("no sentence")
		}
	})
}

func TestWithoutMountNamespace(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		in := input(t)
		in.Bundle.Spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}}
		write(t, inRoot(in, "file"), "image")
		list, err := steptest.Plan(in, everything...)
		if err != nil || len(list) != 2 {
			t.Errorf("plan %v, %v", list, err)
		}
		proc := open(t, "/proc")
		before := len(steptest.Mounts(t, &step.Sandbox{Proc: proc}))
		steptest.Build(t, in, everything, func(_ *step.Sandbox, err error) {
			if err != nil {
				t.Fatal(err)
			}
			if read(t, "/file") != "image" {
				t.Error("the root is another")
			}
		})
		if after := len(steptest.Mounts(t, &step.Sandbox{Proc: proc})); after != before {
			t.Errorf("%d mounts before, %d after", before, after)
		}
	})
}

// Changing the propagation in the caller's mount namespace would cut the host apart.
func TestPrepareRefusesTheHostsNamespace(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		if err := ownMountNamespace(os.Getpid()); err == nil || !strings.Contains(err.Error(), "host's mount namespace") {
			t.Errorf("got %v", err)
		}
		steptest.Build(t, input(t), nil, func(_ *step.Sandbox, err error) {
			if err := errors.Join(err, ownMountNamespace(os.Getppid())); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestRootReadOnlyKeepsMountsBelowWritable(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		in.Bundle.Spec.Mounts = []specs.Mount{tmpfs("/x")}
		in.Bundle.Spec.Root.Readonly = true
	}, func(_ *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("/x/file", nil, 0o600); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile("/file", nil, 0o600); err == nil {
			t.Error("the root is writable")
		}
	})
}

func TestRootIsAFile(t *testing.T) {
	need.Root(t)
	steptest.In(t, steptest.Options{}, func(t *testing.T) {
		in := input(t)
		write(t, in.Bundle.Dir+"/file", "")
		in.Bundle.Spec.Root.Path = "file"
		steptest.Build(t, in, everything, func(_ *step.Sandbox, err error) {
			if err == nil || !strings.Contains(err.Error(), "not a directory") {
				t.Errorf("got %v", err)
			}
		})
	})
}
