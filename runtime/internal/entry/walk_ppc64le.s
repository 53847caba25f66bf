#include "textflag.h"

// See walk.go. R14: the call. R15: its control word. R16, R17: scratch. A system call
// changes R0 and R3 to R12; it says that it failed with the summary overflow bit of CR0,
// and its errno is then positive. Base addresses are those of image.go: the data segment
// begins at 0x10011000.

#define ARG(n, reg) \
	MOVD (8+8*n)(R14), reg \
	ANDCC $(1<<n), R15, R16 \
	BEQ 2(PC) \
	MOVW (reg), reg

TEXT ·walk(SB), NOSPLIT|NOFRAME, $0
	XOR R0, R0 // which the assembler takes for zero when it loads a constant
	MOVD $0x10011000, R14
	MOVD (R14), R14
loop:
	MOVD 56(R14), R15
	ARG(0, R3)
	ARG(1, R4)
	ARG(2, R5)
	ARG(3, R6)
	ARG(4, R7)
	ARG(5, R8)
	MOVD 0(R14), R0
	SYSCALL
	BVS fail
	MOVD 64(R14), R16
	CMP R16, $0
	BEQ kept
	MOVW R3, (R16)
kept:
	CMP R3, $0
	BNE next
	MOVD 72(R14), R16
	CMP R16, $0
	BEQ next
	MOVD R16, R14
	BR loop
next:
	ADD $80, R14
	BR loop
fail:
	ANDCC $64, R15, R16
	BNE next
	SRD $16, R15, R16
	MOVWZ R16, R16 // the four errnos
errno:
	MOVBZ R16, R17
	CMP R17, R3
	BEQ next
	SRD $8, R16, R16
	CMP R16, $0
	BNE errno
	XOR R0, R0
	MOVD $0x10011018, R4
	SRD $48, R15, R15
	MOVW R15, 0(R4)
	MOVW R3, 4(R4)
	MOVD $0x10011010, R3
	MOVW (R3), R3
	MOVD $16, R5
	MOVD $0x4000, R6
	MOVD $0, R7
	MOVD $0, R8
	MOVD $335, R0
	SYSCALL
	MOVD $1, R3
	MOVD $234, R0
	SYSCALL
	TW $31, R3, R3
TEXT ·walkStop(SB), NOSPLIT|NOFRAME, $0
	RET

DATA ·walkStart(SB)/8, $·walk(SB)
GLOBL ·walkStart(SB), RODATA, $8
DATA ·walkEnd(SB)/8, $·walkStop(SB)
GLOBL ·walkEnd(SB), RODATA, $8
