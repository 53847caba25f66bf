// Package process makes a process the one that config.json's process object describes:
// user, groups, capabilities, limits, scheduling, environment, working directory, and at
// last its program.
//
// What belongs here: one step for each property of process, and the few of linux that a
// process has and a place has not (personality, sysctl because it is written before the
// first process runs). Most steps are lowered to calls of init; what needs a look at the
// container's files (the working directory, the program, its user's home) is a sandbox
// step. What does not: mounts, namespaces, cgroups, security modules and filters.
//
// The order of credentials is fixed by what each change needs:
//
//	bounding set     needs CAP_SETPCAP, so before the user changes
//	directory        entered with init's privileges, as a user may not reach it
//	groups, gid      need CAP_SETGID
//	uid              with keep-caps, or the next line would have nothing to set
//	capability sets  permitted, effective and inheritable in one call
//	ambient set      each must be permitted and inheritable by then
package process
