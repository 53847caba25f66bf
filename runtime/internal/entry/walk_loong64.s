#include "textflag.h"

// See walk.go. R23: the call. R24: its control word. R25, R26: scratch. A system call
// changes R12 to R20. Base addresses are those of image.go: the data segment begins at
// 0x10011000.

#define ARG(n, reg) \
	MOVV (8+8*n)(R23), reg \
	AND $(1<<n), R24, R25 \
	BEQ R25, R0, 2(PC) \
	MOVW (reg), reg

TEXT ·walk(SB), NOSPLIT|NOFRAME, $0
	MOVV $0x10011000, R23
	MOVV (R23), R23
loop:
	MOVV 56(R23), R24
	ARG(0, R4)
	ARG(1, R5)
	ARG(2, R6)
	ARG(3, R7)
	ARG(4, R8)
	ARG(5, R9)
	MOVV 0(R23), R11
	SYSCALL
	MOVV $-4096, R25
	BLTU R25, R4, fail
	MOVV 64(R23), R25
	BEQ R25, R0, kept
	MOVW R4, (R25)
kept:
	BNE R4, R0, next
	MOVV 72(R23), R25
	BEQ R25, R0, next
	MOVV R25, R23
	JMP loop
next:
	ADDV $80, R23
	JMP loop
fail:
	SUBV R4, R0, R4
	AND $64, R24, R25
	BNE R25, R0, next
	SRLV $16, R24, R25
	SLLV $32, R25
	SRLV $32, R25 // the four errnos
errno:
	AND $0xff, R25, R26
	BEQ R26, R4, next
	SRLV $8, R25
	BNE R25, R0, errno
	MOVV $0x10011018, R5
	SRLV $48, R24
	MOVW R24, 0(R5)
	MOVW R4, 4(R5)
	MOVV $0x10011010, R4
	MOVW (R4), R4
	MOVV $16, R6
	MOVV $0x4000, R7
	MOVV R0, R8
	MOVV R0, R9
	MOVV $206, R11
	SYSCALL
	MOVV $1, R4
	MOVV $94, R11
	SYSCALL
	BREAK
TEXT ·walkStop(SB), NOSPLIT|NOFRAME, $0
	RET

DATA ·walkStart(SB)/8, $·walk(SB)
GLOBL ·walkStart(SB), RODATA, $8
DATA ·walkEnd(SB)/8, $·walkStop(SB)
GLOBL ·walkEnd(SB), RODATA, $8
