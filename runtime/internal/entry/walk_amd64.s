#include "textflag.h"

// See walk.go. BX: the call. R12: its control word. R13: scratch. Base addresses are
// those of image.go: the data segment begins at 0x10011000.

#define ARG(n, reg) \
	MOVQ (8+8*n)(BX), reg \
	BTQ $n, R12 \
	JCC 2(PC) \
	MOVLQSX (reg), reg

TEXT ·walk(SB), NOSPLIT|NOFRAME, $0
	MOVQ $0x10011000, BX
	MOVQ (BX), BX
loop:
	MOVQ 56(BX), R12
	ARG(0, DI)
	ARG(1, SI)
	ARG(2, DX)
	ARG(3, R10)
	ARG(4, R8)
	ARG(5, R9)
	MOVQ 0(BX), AX
	SYSCALL
	CMPQ AX, $-4095
	JCC fail
	MOVQ 64(BX), R13
	TESTQ R13, R13
	JZ kept
	MOVL AX, (R13)
kept:
	TESTQ AX, AX
	JNZ next
	MOVQ 72(BX), R13
	TESTQ R13, R13
	JZ next
	MOVQ R13, BX
	JMP loop
next:
	ADDQ $80, BX
	JMP loop
fail:
	NEGQ AX
	BTQ $6, R12
	JCS next
	MOVQ R12, R13
	SHRQ $16, R13
	MOVL R13, R13 // the four errnos
errno:
	MOVBQZX R13, CX
	CMPQ CX, AX
	JEQ next
	SHRQ $8, R13
	JNZ errno
	MOVQ $0x10011018, SI
	SHRQ $48, R12
	MOVL R12, 0(SI)
	MOVL AX, 4(SI)
	MOVQ $0x10011010, DI
	MOVLQSX (DI), DI
	MOVQ $16, DX
	MOVQ $0x4000, R10
	XORQ R8, R8
	XORQ R9, R9
	MOVQ $44, AX
	SYSCALL
	MOVQ $1, DI
	MOVQ $231, AX
	SYSCALL
	INT $3
TEXT ·walkStop(SB), NOSPLIT|NOFRAME, $0
	RET

DATA ·walkStart(SB)/8, $·walk(SB)
GLOBL ·walkStart(SB), RODATA, $8
DATA ·walkEnd(SB)/8, $·walkStop(SB)
GLOBL ·walkEnd(SB), RODATA, $8
