// Package systemd asks systemd, the system's or the user's instance, to make, change and
// stop the unit that is a container's cgroup.
//
// What belongs here: names of units and where their groups lie, the text form of property
// values, and the conversation with the manager. What does not: files of cgroups, and what a
// limit means; package cgroup knows them and turns limits into properties.
//
// Nothing is done, and no bus is looked for, before [Connect].
package systemd

import "github.com/ocirt/ocirt/runtime/internal/cgroup/systemd/dbus"

// A Property is one property of a unit.
type Property struct {
	Name  string
	Value dbus.Value
}
