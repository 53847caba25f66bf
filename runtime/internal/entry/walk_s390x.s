#include "textflag.h"

// See walk.go. R8: the call. R9: its control word. R0, R12: scratch. A system call leaves
// all registers but R2 alone. Base addresses are those of image.go: the data segment
// begins at 0x10011000.

#define ARG(n, reg) \
	MOVD (8+8*n)(R8), reg \
	MOVD R9, R12 \
	AND $(1<<n), R12 \
	CMPBEQ R12, $0, 2(PC) \
	MOVW (reg), reg

TEXT ·walk(SB), NOSPLIT|NOFRAME, $0
	MOVD $0x10011000, R8
	MOVD (R8), R8
loop:
	MOVD 56(R8), R9
	ARG(0, R2)
	ARG(1, R3)
	ARG(2, R4)
	ARG(3, R5)
	ARG(4, R6)
	ARG(5, R7)
	MOVD 0(R8), R1
	SYSCALL
	MOVD $-4095, R12
	CMPUBGE R2, R12, fail
	MOVD 64(R8), R12
	CMPBEQ R12, $0, kept
	MOVW R2, (R12)
kept:
	CMPBNE R2, $0, next
	MOVD 72(R8), R12
	CMPBEQ R12, $0, next
	MOVD R12, R8
	BR loop
next:
	ADD $80, R8
	BR loop
fail:
	NEG R2, R2
	MOVD R9, R12
	AND $64, R12
	CMPBNE R12, $0, next
	SRD $16, R9, R12
	MOVWZ R12, R12 // the four errnos
errno:
	MOVBZ R12, R0
	CMPBEQ R0, R2, next
	SRD $8, R12
	CMPBNE R12, $0, errno
	MOVD $0x10011018, R3
	SRD $48, R9
	MOVW R9, 0(R3)
	MOVW R2, 4(R3)
	MOVD $0x10011010, R2
	MOVW (R2), R2
	MOVD $16, R4
	MOVD $0x4000, R5
	MOVD $0, R6
	MOVD $0, R7
	MOVD $369, R1
	SYSCALL
	MOVD $1, R2
	MOVD $248, R1
	SYSCALL
	BYTE $0x00; BYTE $0x00 // an illegal instruction
TEXT ·walkStop(SB), NOSPLIT|NOFRAME, $0
	RET

DATA ·walkStart(SB)/8, $·walk(SB)
GLOBL ·walkStart(SB), RODATA, $8
DATA ·walkEnd(SB)/8, $·walkStop(SB)
GLOBL ·walkEnd(SB), RODATA, $8
