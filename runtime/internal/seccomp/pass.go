package seccomp

import (
	"encoding/binary"
	"slices"

	"golang.org/x/sys/unix"
)

// With a listener, init has calls to make after the filter is loaded: it hands the listener
// over, waits until somebody listens, and closes its own copy. The profile may forbid them,
// or notify of them, to nobody yet. So the filter lets these calls through if registers
// that the kernel does not look at hold a secret of 192 bits, which is made for each
// process and is gone with init's memory when it executes the container's program.

// passArgs are the arguments that none of the calls has.
var passArgs = [...]uint32{3, 4, 5}

// passWords is the length of the secret in words of 32 bits.
const passWords = 2 * len(passArgs)

// passes are the calls, by their names.
func passes() [3]string { return [3]string{"sendmsg", "read", "close"} }

// letPass changes the spans of the native architecture so that init's calls are seen.
func (y *policy) letPass(s *section, b *abi) {
	for _, name := range passes() {
		if n, ok := b.number(lookup(name, -1)); ok {
			s.spans = y.carve(s.spans, n)
		}
	}
}

// carve gives one number a class of its own.
func (y *policy) carve(spans []span, number uint32) []span {
	i, found := slices.BinarySearchFunc(spans, number, func(s span, n uint32) int {
		switch {
		case s.from < n:
			return -1
		case s.from > n:
			return 1
		}
		return 0
	})
	if !found {
		i--
	}
	of := spans[i].class
	ends := i+1 < len(spans) && spans[i+1].from == number+1
	insert := []span{{number, y.passClass(of)}}
	if !ends {
		insert = append(insert, span{number + 1, of})
	}
	if found {
		spans = slices.Delete(spans, i, i+1)
	} else {
		i++
	}
	return slices.Insert(spans, i, insert...)
}

// passClass finds or makes the class that does what of does, but for init.
func (y *policy) passClass(of uint16) uint16 {
	for i := range y.classes {
		if c := &y.classes[i]; c.pass && c.of == of {
			return uint16(i)
		}
	}
	y.classes = append(y.classes, class{pass: true, of: of})
	return uint16(len(y.classes) - 1)
}

// passLeaf is the place where a class with pass is decided.
func (w *writer) passLeaf(number uint16) label {
	of := w.policy.classes[number].of
	otherwise := w.leaf(of)
	if in := w.code[otherwise]; in.Code == opReturn && in.K == unix.SECCOMP_RET_ALLOW {
		return otherwise // everybody gets past
	}
	if w.chains[number] == 0 {
		w.chains[number] = w.passed(otherwise) + 1
	}
	return w.chains[number] - 1
}

// passed writes: does the caller know the secret? The words are zeros until it is made.
func (w *writer) passed(otherwise label) label {
	l := w.ret(unix.SECCOMP_RET_ALLOW)
	for _, arg := range slices.Backward(passArgs[:]) {
		for _, offset := range []uint32{w.low(arg), w.high(arg)} {
			l = w.jump(opEqual, 0, l, otherwise)
			w.secrets = append(w.secrets, l)
			l = w.load(offset, l)
		}
	}
	return l
}

// places are the numbers of the instructions that compare with the secret, in the order in
// which Seal takes its words.
func (w *writer) places() []int {
	var list []int
	for _, l := range slices.Backward(w.secrets) {
		list = append(list, len(w.code)-1-int(l))
	}
	return list
}

// seal writes a secret into a copy of a program, and returns what the registers must hold.
func seal(program []unix.SockFilter, places []int, secret []byte) (sealed []unix.SockFilter, words [len(passArgs)]uint64) {
	sealed = slices.Clone(program)
	for i := range words {
		words[i] = binary.NativeEndian.Uint64(secret[8*i:])
	}
	for i, place := range places {
		word := words[i%passWords/2]
		if i%2 == 0 {
			word >>= 32
		}
		sealed[place].K = uint32(word)
	}
	return sealed, words
}
