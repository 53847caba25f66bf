// Package store keeps what ocirt must remember of a container from one command to
// the next: the state directory.
//
//	<root>/                0700, the option --root
//	<root>/<id>/           0700, one container; its own lock
//	<root>/<id>/intent.json 0600, the part of the record that delete --force needs
//	<root>/<id>/state.json 0600, the record, from when the container is made
//	<root>/<id>/start.sock made by others
//
// The rules that make every container deletable, whoever was killed when:
//
//   - mkdir of <id> decides who creates a container; the intent is written before
//     the first side effect, and each later fact before the step that makes it true;
//   - a file is replaced in one step, so a reader sees the old or the new one and
//     needs no lock;
//   - one writer at a time holds the lock of the directory, which the kernel drops
//     when that process dies, however it dies;
//   - what is read is checked as if anybody could have damaged it: no panic, no
//     blocking open, bounded size, owner, required fields;
//   - removing never follows a link and never enters another mount.
//
// What belongs here is files, locks and the identity of processes (pid, start time
// and boot id together; a pid alone names nobody). What a container's status is,
// what to kill and which cgroups to remove does not: the store is asked, it does
// not decide.
package store
