// Package crash does to a runtime what a host does on a bad day, and checks that nothing
// is left: it kills each of its processes at each of their system calls, lets those calls
// fail, starts many commands at once, damages the state directory, and fills the disk.
//
// The loops are long. `make test` walks them with a stride, from a random start; with
// OCIRT_CRASH=all in the environment every point is visited.
//
// What belongs here: surviving. What does not: what a container is like (package tour).
package crash
