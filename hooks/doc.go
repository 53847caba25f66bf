// Package hooks runs the hooks of an OCI container: programs that are told the
// container's state on standard input and may veto what is being done.
//
// What belongs here is everything about one hook as a process: its environment,
// its standard input, its time limit, what it printed, and the words of the error
// when it fails. Which hooks run when, and in whose namespaces, does not: the
// caller decides, and passes [Options.Start] for hooks that must be started inside
// the container.
//
// A hook is trusted with the host but not with the runtime's patience or memory:
//
//   - its environment is exactly what the configuration lists, so nothing of the
//     caller's or of the image's environment reaches a privileged program;
//   - it gets a process group of its own, and a timeout or a cancelled context
//     kills the whole group; it is killed, too, if the runtime ends without waiting for
//     it, but for one that is started by other means or in another pid namespace;
//   - what it prints is read for as long as it runs, but only the end is kept;
//   - a child it leaves behind, holding its output open, does not hold us up.
//
// The package may be used on its own; it imports only the specification's types
// and the standard library.
package hooks
