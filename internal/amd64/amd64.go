// Package amd64 writes the smallest programs for tests: machine code of amd64 that makes one
// system call, also by the ways and numbers of other architectures, which no compiler offers.
//
// What belongs here: bytes of programs. What does not: running them, and what comes of it.
package amd64

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
)

// A Way is how a program calls the kernel.
type Way [2]byte

// Syscall is the way of native programs, and of those of x32.
func Syscall() Way { return Way{0x0f, 0x05} }

// Int80 is the way of 32-bit programs, which has numbers of its own.
func Int80() Way { return Way{0xcd, 0x80} }

// Call is a program that makes one call, with at most three arguments, and exits with its
// errno, or with 0.
func Call(w Way, number uint32, args ...uint64) []byte {
	var code []byte
	registers := [][]byte{{0x48, 0xbf}, {0x48, 0xbe}, {0x48, 0xba}} // mov rdi, rsi, rdx
	if w == Int80() {
		registers = [][]byte{{0x48, 0xbb}, {0x48, 0xb9}, {0x48, 0xba}} // mov rbx, rcx, rdx
	}
	for i, a := range args {
		code = binary.LittleEndian.AppendUint64(append(code, registers[i]...), a)
	}
	code = binary.LittleEndian.AppendUint32(append(code, 0xb8), number) // mov eax
	code = append(code, w[:]...)
	return program(append(code,
		0x31, 0xff, // xor edi, edi
		0x85, 0xc0, // test eax, eax
		0x79, 0x04, // jns over the next two
		0xf7, 0xd8, // neg eax
		0x89, 0xc7, // mov edi, eax
		0xb8, 231, 0, 0, 0, // mov eax, exit_group
		0x0f, 0x05))
}

// program is an ELF file with one segment, which begins with the headers.
func program(code []byte) []byte {
	const base, head = 0x400000, 64 + 56
	size := uint64(head + len(code))
	var b bytes.Buffer
	// Writing what has a fixed size to a buffer cannot fail.
	_ = binary.Write(&b, binary.LittleEndian, elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Entry: base + head, Phoff: 64, Ehsize: 64, Phentsize: 56, Phnum: 1,
	})
	_ = binary.Write(&b, binary.LittleEndian, elf.Prog64{
		Type: uint32(elf.PT_LOAD), Flags: uint32(elf.PF_R | elf.PF_X), Vaddr: base, Paddr: base, Filesz: size, Memsz: size, Align: 4096,
	})
	return append(b.Bytes(), code...)
}
