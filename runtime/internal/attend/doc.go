// Package attend writes the program of a process that waits for a container's end: 24 KiB
// instead of a Go program's megabytes, and gone as quickly.
//
// It passes signals on, waits, removes the container and ends with its exit status. That is
// what nearly every container needs. Whatever else happens (an exit by a signal, an orphan,
// a command that has changed the record or holds the lock, a cgroup that is still in use)
// makes it execute ocirt again, which does the same in all its forms. So each call here
// either has the one result that is expected, or is the last.
//
// What belongs here: the calls. What does not: what they are about, and how ocirt goes on.
package attend
