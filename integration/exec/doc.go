// Package exec tests further processes of containers end to end: what they are, in which
// words they fail, how they are joined to terminals and streams, and that their way into a
// hostile container gives nothing away.
//
// What belongs here: the exec command, and the terminals and streams of run and exec. What
// does not: what every process of a container is like (package tour), bad inputs of other
// commands (package corpus).
package exec
