// Package notify tests the road of readiness messages (sd_notify(3)) from a container
// through the runtime to a service manager, which the tests play.
//
// What belongs here: what the service manager gets to hear, when start and run return, and
// what a hostile container or a bad NOTIFY_SOCKET can do. What does not: the rest of a
// container's environment.
package notify
