// Package tty gives a container its terminal.
//
// What belongs here: making the pseudo-terminal in the container's own devpts, and making
// it the process's. What does not: sending the master away, copying in the foreground.
package tty
