// Package contract holds the rules that engines expect a runtime to keep, one test a rule,
// on the real program: how its log is decoded, what its texts become, which files are read.
// Each test reads what the program says as the engine does that the rule is for.
//
// What belongs here: a rule of a caller. What does not: what the specification asks for,
// which is in package tour, and texts that nobody but people read.
package contract
