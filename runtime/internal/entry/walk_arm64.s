#include "textflag.h"

// See walk.go. R19: the call. R20: its control word. R21, R22: scratch. Base addresses
// are those of image.go: the data segment begins at 0x10011000.

#define ARG(n, reg) \
	MOVD (8+8*n)(R19), reg \
	TBZ $n, R20, 2(PC) \
	MOVW (reg), reg

TEXT ·walk(SB), NOSPLIT|NOFRAME, $0
	MOVD $0x10011000, R19
	MOVD (R19), R19
loop:
	MOVD 56(R19), R20
	ARG(0, R0)
	ARG(1, R1)
	ARG(2, R2)
	ARG(3, R3)
	ARG(4, R4)
	ARG(5, R5)
	MOVD 0(R19), R8
	SVC
	CMN $4095, R0
	BCS fail
	MOVD 64(R19), R21
	CBZ R21, kept
	MOVW R0, (R21)
kept:
	CBNZ R0, next
	MOVD 72(R19), R21
	CBZ R21, next
	MOVD R21, R19
	B loop
next:
	ADD $80, R19
	B loop
fail:
	NEG R0, R0
	TBNZ $6, R20, next
	UBFX $16, R20, $32, R21 // the four errnos
errno:
	AND $0xff, R21, R22
	CMP R22, R0
	BEQ next
	LSR $8, R21
	CBNZ R21, errno
	MOVD $0x10011018, R1
	LSR $48, R20
	MOVW R20, 0(R1)
	MOVW R0, 4(R1)
	MOVD $0x10011010, R0
	MOVW (R0), R0
	MOVD $16, R2
	MOVD $0x4000, R3
	MOVD $0, R4
	MOVD $0, R5
	MOVD $206, R8
	SVC
	MOVD $1, R0
	MOVD $94, R8
	SVC
	BRK
TEXT ·walkStop(SB), NOSPLIT|NOFRAME, $0
	RET

DATA ·walkStart(SB)/8, $·walk(SB)
GLOBL ·walkStart(SB), RODATA, $8
DATA ·walkEnd(SB)/8, $·walkStop(SB)
GLOBL ·walkEnd(SB), RODATA, $8
