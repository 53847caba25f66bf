// Package rootfs makes a directory the container's root: mounts, devices, the change of
// root, masked and read-only paths.
//
// Mounts are built detached, get all their attributes, and are attached last, by handles
// of mount and place; so none is ever visible half-made, and no path inside the container
// is resolved twice. Everything is reached from Sandbox.Root by package safepath.
//
// What belongs here: what the container sees as its file system. What does not: making or
// joining the mount namespace, the terminal (package tty), sysctls.
package rootfs
