// Package resources tests what linux.resources, `update`, `pause`, `events` and their like
// promise: that the kernel enforces each limit, that what changes one limit leaves the others
// alone, and that a container can be watched, stopped and ended whatever state it is in.
//
// What belongs here: limits as a container and the host see them. What does not: which value
// is written to which file, which the package that writes them tests.
package resources
