package netdev

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ocirt/ocirt/runtime/internal/step"
)

// MoveDevice gives a network device of the host to the container, with its permanent
// global addresses, and sets it up there. It does not come back by our doing: with its
// network namespace the kernel returns a physical device, and ends a virtual one.
type MoveDevice struct {
	Host string // its name on the host
	Name string // in the container; with %d the kernel chooses a number
}

// Devices compiles linux.netDevices, in the order of their names.
func Devices(in *step.Input, emit step.Emit) error {
	l := in.Bundle.Spec.Linux
	if l == nil || in.Join != nil {
		return nil
	}
	for _, host := range slices.Sorted(maps.Keys(l.NetDevices)) {
		name := l.NetDevices[host].Name
		if name == "" {
			name = host
		}
		pointer := strings.ReplaceAll(strings.ReplaceAll(host, "~", "~0"), "/", "~1")
		emit("/linux/netDevices/"+pointer, MoveDevice{host, name})
	}
	return nil
}

func (s MoveDevice) String() string {
	if s.Name == s.Host {
		return "move network device " + s.Host + " in"
	}
	return "move network device " + s.Host + " in as " + s.Name
}

// Do moves the device. If it fails halfway, the device is put back.
func (s MoveDevice) Do(h *step.Host) (err error) {
	m := &moved{MoveDevice: s}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.Return())
			m.Keep()
		}
	}()
	if err := m.open(h.Pid); err != nil {
		return err
	}
	if err := m.find(); err != nil {
		return err
	}
	if err := m.move(); err != nil {
		return err
	}
	h.Loans = append(h.Loans, m)
	return nil
}

// Undo has nothing to do: when delete comes the device's namespace has gone, or is not
// ours.
func (MoveDevice) Undo(*step.Host) error { return nil }

// A moved is a device in the middle of its move, and after it until the container is made.
type moved struct {
	MoveDevice
	ours, theirs *os.File // network namespaces: the host's and the container's
	out, in      *conn    // to them
	device       link     // on the host
	addresses    []address
	there        link // in the container; index 0: not moved
}

// open opens both namespaces. The container's must outlive its processes until we are done.
func (m *moved) open(pid int) (err error) {
	if m.ours, err = os.Open("/proc/thread-self/ns/net"); err != nil {
		return err
	}
	if m.theirs, err = os.Open("/proc/" + strconv.Itoa(pid) + "/ns/net"); err != nil {
		return err
	}
	if m.out, err = dial(); err != nil {
		return err
	}
	m.in, err = dialIn(m.theirs)
	return err
}

func (m *moved) find() error {
	l, ok, err := m.out.find(m.Host)
	if err != nil {
		return fmt.Errorf("cannot look it up: %w", err)
	}
	if !ok {
		return fmt.Errorf("there is no network device %q on the host", m.Host)
	}
	m.device = l
	if m.addresses, err = m.out.permanent(l); err != nil {
		return fmt.Errorf("cannot read its addresses: %w", err)
	}
	if strings.Contains(m.Name, "%d") {
		return nil
	}
	// Asked before, because the kernel would move the device and then fail to rename it.
	if _, ok, err = m.in.find(m.Name); err != nil {
		return fmt.Errorf("cannot look up %s in the container: %w", m.Name, err)
	}
	if ok {
		return errTaken(m.Name)
	}
	return nil
}

func errTaken(name string) error {
	return fmt.Errorf("the container has a network device %q already", name)
}

func (m *moved) move() error {
	before, err := m.in.links()
	if err != nil {
		return fmt.Errorf("cannot list the devices of the container: %w", err)
	}
	err = m.out.move(m.device, m.theirs.Fd(), m.Name)
	// Even if it failed, it may be there: the kernel renames after it has moved.
	after, listErr := m.in.links()
	for _, l := range after {
		if !slices.ContainsFunc(before, func(b link) bool { return b.index == l.index }) {
			m.there = l
		}
	}
	switch {
	case errors.Is(err, unix.EEXIST):
		return errTaken(m.Name)
	case errors.Is(err, unix.EINVAL):
		return fmt.Errorf("a device of its kind cannot leave its network namespace: %w", err)
	case err != nil:
		return err
	case listErr != nil:
		return fmt.Errorf("cannot list the devices of the container: %w", listErr)
	case m.there.index == 0:
		return errors.New("it cannot be found in the container")
	}
	return settle(m.in, m.there, m.addresses, true)
}

// settle gives a device that has changed places its addresses back, and sets it up. The
// kernel takes them from it, and has set it down.
func settle(c *conn, l link, addresses []address, up bool) error {
	for _, a := range addresses {
		if err := c.add(l, a); err != nil {
			return fmt.Errorf("cannot add an address: %w", err)
		}
	}
	if !up {
		return nil
	}
	if err := c.raise(l); err != nil {
		return fmt.Errorf("cannot set it up: %w", err)
	}
	return nil
}

// Return puts the device back as it was.
func (m *moved) Return() error {
	if m.there.index == 0 {
		return nil
	}
	if err := m.in.move(m.there, m.ours.Fd(), m.Host); err != nil {
		return fmt.Errorf("cannot move network device %s back: %w", m.Host, err)
	}
	m.there = link{}
	l, ok, err := m.out.find(m.Host)
	if err == nil && !ok {
		err = unix.ENODEV
	}
	if err == nil {
		err = settle(m.out, l, m.addresses, m.device.up)
	}
	if err != nil {
		return fmt.Errorf("cannot restore network device %s: %w", m.Host, err)
	}
	return nil
}

// Keep lets go of the namespaces: the device stays where it is.
func (m *moved) Keep() {
	m.in.close()
	m.out.close()
	m.in, m.out = nil, nil
	for _, f := range []*os.File{m.ours, m.theirs} {
		if f != nil {
			f.Close()
		}
	}
}
