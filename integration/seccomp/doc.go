// Package seccomp holds the tests of seccomp profiles in real containers: what the kernel
// makes of the filters, calls of foreign architectures, agents that are told of calls, and
// what `ocirt seccomp` says of it all.
//
// The folder libseccomp is a module of its own, which compares the filters with those of
// libseccomp.
package seccomp
