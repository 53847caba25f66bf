// Package rdt puts a container into a class of service of Intel's Resource Director
// Technology, and of what other processors offer through the same kernel interface: a
// share of caches and memory bandwidth, and a group whose use of them is measured.
//
// What belongs here: directories of a resctrl file system, and what is written to the
// files in them (Documentation/filesystems/resctrl.rst). What does not: cgroups, of which
// these groups are independent.
//
// Who owns a directory decides who removes it (runtime-spec, config-linux, intelRdt): one
// that is named by closID is the caller's, even if create has made it; one that is named
// by the container's id is the container's, and so is its monitoring group.
package rdt
