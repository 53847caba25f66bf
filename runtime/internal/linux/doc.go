// Package linux wraps the system calls this project uses, each once and always in the
// same way: descriptors are files and close-on-exec, a call that was interrupted is made
// again, and an error names the real call and keeps its errno.
//
// What belongs here: one function per call or per indivisible pair of calls, with typed
// arguments. What does not: decisions. Nothing here knows what a container is.
package linux
