// Package tour visits everything that a container is made of, with a checker inside:
// namespaces of all kinds, the errors of asking for them, what a process is started with,
// and hooks. Its tests drive any OCI runtime by its command line; see lab.
//
// What belongs here: one behaviour seen from outside or inside, as root and as an ordinary
// user. What does not: limits, races, cost.
package tour
