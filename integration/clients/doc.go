// Package clients runs the real engines of this host with the runtime under test: what
// people do with them must come out as it does with any other runtime. Where an engine is
// not installed its tests are skipped.
//
// What belongs here: an engine's command and what it is to give. What does not: what an
// engine expects of a runtime's command line, which is in package contract.
package clients
