// Command mutants shows that the tests of the security rules can fail. Each mutant is the
// runtime with one rule switched off, and the tests that stand for the rule; they must pass
// with the rule and fail without it.
//
//	mutants [FLAG...] [ROW...]
//
// runs those whose row begins with one of ROW, or all. The lists are text, S.txt for the
// table S of bad inputs and so on:
//
//	== S-07  the index of an argument is at most 5
//	spec/seccomp.go
//	-		if arg.Index > 5 {
//	+		if false {
//	by spec TestCorpus/S-07
//
// After the row and its rule come the files with what is taken out and put in, as in a
// patch: the lines with "-" and " " must occur once in the file, in this order, or the list
// is wrong. There may be several changes, and several tests: each must fail, by its own
// words and not by a panic or because nothing compiles. A test is named in full. The line
//
//	only WHERE
//
// says that the test needs a machine that not everybody has; elsewhere it may be skipped.
//
// The tree is never touched: the compiler gets the changed files by its -overlay flag.
// Tests in integration get the changed program, other tests are compiled with the change.
//
// What belongs here: the lists and running them. What does not: tests of the rules.
package main
