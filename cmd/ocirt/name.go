package main

import (
	"encoding/hex"

	"golang.org/x/sys/unix"
)

// madeUpID makes an id up that people can read, say and remember: "calm-heron-3f2a".
func madeUpID() string {
	kinds := [...]string{
		"amber", "bold", "brisk", "calm", "clear", "crisp", "dusky", "early", "fair", "fleet",
		"fond", "glad", "grand", "green", "happy", "hardy", "jolly", "keen", "kind", "late",
		"lucky", "mild", "misty", "noble", "plain", "proud", "quick", "quiet", "ready", "royal",
		"rusty", "shy", "silver", "sly", "snowy", "solid", "stout", "sunny", "swift", "tame",
		"tidy", "warm", "wild", "wise", "young",
	}
	animals := [...]string{
		"badger", "bear", "bison", "crane", "crow", "deer", "dove", "duck", "eagle", "elk",
		"falcon", "finch", "fox", "goose", "hare", "hawk", "heron", "horse", "ibex", "jackdaw",
		"kestrel", "lark", "lion", "lynx", "marten", "mole", "moose", "newt", "otter", "owl",
		"panda", "puffin", "quail", "raven", "robin", "seal", "shrew", "stork", "swan", "tern",
		"toad", "trout", "vole", "whale", "wolf", "wren",
	}
	var r [4]byte
	_, _ = unix.Getrandom(r[:], 0) // of no consequence: Create refuses an id that is taken
	return kinds[int(r[0])%len(kinds)] + "-" + animals[int(r[1])%len(animals)] + "-" + hex.EncodeToString(r[2:])
}
