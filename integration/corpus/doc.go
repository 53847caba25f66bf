// Package corpus gives the runtime every bad input of spec/testdata/corpus for real:
// through its command line, with a bundle on disk. Each row of every table is run, or is
// listed with the reason why this host cannot.
//
// What belongs here: what is said about a mistake, with which exit status, and that
// nothing is left behind. What does not: how a good container behaves.
package corpus
