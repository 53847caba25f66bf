// Package netdev sets network devices up in a container's network namespace. Which network
// namespace that is, is package ns.
package netdev

import (
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// RaiseLoopback sets the interface lo up.
type RaiseLoopback struct{}

// Loopback compiles what every new network namespace gets: lo, up (runtime-spec,
// config-linux, network namespace).
func Loopback(in *step.Input, emit step.Emit) error {
	if in.NewNamespace(specs.NetworkNamespace) {
		emit("/linux/namespaces", RaiseLoopback{})
	}
	return nil
}

func (RaiseLoopback) String() string { return "set interface lo up" }

// Early: the namespace is new, so the thread that builds has made it.
func (RaiseLoopback) Early() bool { return true }

// Do asks by ioctl: one socket and one call, where netlink takes two round trips
// (netdevice(7), SIOCSIFFLAGS). An interface that is not there is none to set up: a kernel
// without networking.
func (RaiseLoopback) Do(*step.Sandbox) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == unix.EAFNOSUPPORT {
		fd, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr)
}
