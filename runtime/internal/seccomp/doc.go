// Package seccomp turns linux.seccomp into a filter of classic BPF and into the step that
// loads it.
//
// What belongs here: what a profile means, the tables of system calls, and the compiler.
// What does not: whether a profile is well formed (package spec), and who gets the
// descriptor of a listener.
//
// The meaning is libseccomp's, because that is what profiles are written for, and the
// additions are those of runc:
//
//   - A name that an architecture does not have is skipped, and so is a rule that does what
//     would be done anyway.
//   - Of rules without conditions about one call the first in the profile counts, whatever
//     the others say: Podman's profile relies on it.
//   - If several rules fit, the strictest action wins, in the order of the kernel: kill the
//     process, kill the thread, trap, errno, notify, trace, log, allow. Among equals it is
//     the first in the profile. This is where libseccomp gives a rule without conditions
//     precedence, so that a condition which forbids is not asked; and where conditions
//     overlap, an order that it does not document.
//   - The conditions of a rule must all be true; but if two look at the same argument, each
//     condition is a rule of its own.
//   - Calls of an architecture that the profile does not name kill the thread.
//   - Calls newer than every call that the profile names return ENOSYS, so that programs
//     try what they did before; not if the default is to allow, to log or to trace.
//
// Where an architecture has socketcall or ipc, the rules of the calls behind it hold for
// it, too. Which of them is meant is its first argument, and what the call itself is given
// cannot be looked at. A rule with conditions that forbids is taken as libseccomp takes it:
// without those on the first argument, the others being compared with what is in the
// registers. One that permits is not taken: here we are stricter than libseccomp, with
// which such a rule permits what its condition excludes.
package seccomp

//go:generate go run ./internal/gen
