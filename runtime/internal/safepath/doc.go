// Package safepath turns paths inside a container's root into handles.
//
// Everything in a container's file system is hostile, and hostile while we look at it: a
// name that was checked can be another file when it is used. So a path from config.json
// is resolved once, by the kernel, inside the root, and what follows is done with the
// handle. A parameter called unsafePath is such a path.
//
// What belongs here: opening and making names inside a root, and the private procfs that
// no container mount can cover. What does not: what is then done with the handle.
package safepath
