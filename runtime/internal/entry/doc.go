// Package entry writes programs for a process that has no Go: a list of labelled system
// calls with all their data, and the sealed ELF image that can do nothing but walk it.
//
// The container's init is such an image. It is single-threaded, so it may join and
// unshare user namespaces; it has no heap, no stack of its own and no descriptors but
// those it was given; and once it has executed the container's program nothing of ocirt
// is left in the container.
//
// What belongs here: the list, its data, the walker in assembler for each architecture,
// an interpreter in Go that shows what a walker will do, the image, and the 16-byte
// records with which the walker speaks. What does not: containers, namespaces,
// configuration. A list of calls knows none of them.
package entry
