// Package lsm gives the container's process the labels of Linux security modules: the
// AppArmor profile and the SELinux context that the kernel puts on it at execve.
//
// What belongs here: the attributes of a process under /proc/PID/attr, and whether this
// host has the module that understands them. What does not: SELinux contexts of mounts,
// which are mount options (package rootfs), and filters of system calls.
//
// A process may set only its own attributes, so init does it, in its last part. What
// could go wrong is that the file it writes is not what its name says, because something
// of the container's is mounted there (CVE-2019-16884, CVE-2025-52881), and that then the
// container runs without the label. So init opens the file below a procfs that is checked
// to be one, without leaving that mount, and reads back what it wrote.
package lsm
