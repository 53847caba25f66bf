// Package systemd tests a runtime with --systemd-cgroup on a host whose first process is
// systemd: the units that it asks for, their limits, and that none is left, whatever
// happens. Root's tests are about the system's instance, those of an ordinary user about
// their own.
//
// What belongs here: what can be seen of systemd. What does not: what limits do, which
// integration/resources tests with any manager.
package systemd
