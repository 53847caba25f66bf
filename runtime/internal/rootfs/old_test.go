package rootfs

import (
	"errors"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/internal/need"
	"github.com/ocirt/ocirt/runtime/internal/step"
	"github.com/ocirt/ocirt/runtime/internal/steptest"
)

var oldest = [2]int{5, 10}

func TestUsualContainerOnOldKernel(t *testing.T) {
	need.Root(t)
	for name, user := range map[string]bool{"root": false, "user-namespace": true} {
		t.Run(name, func(t *testing.T) {
			steptest.In(t, steptest.Options{Network: true, User: user}, func(t *testing.T) {
				in := usualInput(t)
				in.Facts.Kernel = oldest
				if user {
					in.Bundle.Spec.Linux.Namespaces = append(in.Bundle.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
				}
				steptest.Build(t, in, everything, func(b *step.Sandbox, err error) {
					if err != nil {
						t.Fatal(err)
					}
					checkUsual(t, b)
				})
			})
		})
	}
}

func TestBindOnOldKernel(t *testing.T) {
	inContainer(t, func(in *step.Input) {
		dir := mounted(t)
		if err := unix.Mount("", dir+"/sub", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_NOEXEC, ""); err != nil {
			t.Fatal(err)
		}
		in.Facts.Kernel = oldest
		in.Bundle.Spec.Mounts = []specs.Mount{
			bind(dir+"/sub", "/ro", "ro", "nosuid"), bind(dir, "/shared", "rbind", "rshared"), bind(dir+"/file", "/file", "ro", "noatime"),
			tmpfs("/private", "shared", "private", "noexec"), tmpfs("/late", "ro"), tmpfs("/late/x"),
		}
	}, func(b *step.Sandbox, err error) {
		if err != nil {
			t.Fatal(err)
		}
		list := steptest.Mounts(t, b)
		for at, want := range map[string]string{"/ro": "ro nosuid noexec", "/file": "ro noatime", "/private": "noexec", "/late": "ro", "/shared": "rw"} {
			m := steptest.Find(t, list, at)
			for _, w := range strings.Fields(want) {
				if !m.Has(w) {
					t.Errorf("%s: no %s in %+v", at, w, m)
				}
			}
			if shared := strings.HasPrefix(m.Propagation, "shared"); shared != (at == "/shared") {
				t.Errorf("%s: %q", at, m.Propagation)
			}
		}
	})
}

func TestOldKernelSaysWhatItLacks(t *testing.T) {
	need.Root(t)
	mapped := bind("/usr", "/x")
	mapped.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1, Size: 1}}
	mapped.GIDMappings = mapped.UIDMappings
	for name, m := range map[string]specs.Mount{"recursive": bind("/usr", "/x", "rbind", "rro"), "id-mapped": mapped} {
		t.Run(name, func(t *testing.T) {
			steptest.In(t, steptest.Options{}, func(t *testing.T) {
				in := input(t, m)
				in.Facts.Kernel = oldest
				steptest.Build(t, in, everything, func(_ *step.Sandbox, err error) {
					if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "needs Linux 5.12") {
						t.Errorf("got %v", err)
					}
				})
			})
		})
	}
}
