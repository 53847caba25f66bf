// Package systemd tests a runtime with --systemd-cgroup on a host whose first process is
// systemd: the units that it asks for, their limits, and that none is left, whatever
// happens. Root's tests are about the system's instance, those of an ordinary user about
// their own.
//
// On a host with cgroup v1 and an old systemd that does not run, the tests start that systemd
// in a container, and run in there. OCIRT_CGROUP1=all runs integration/resources there too.
//
// What belongs here: what can be seen of systemd. What does not: what limits do, which
// integration/resources tests with any manager.
package systemd
