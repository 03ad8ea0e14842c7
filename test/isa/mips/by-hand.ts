// Cases that no judge can give: written from the manual, in the notation of the case files, code as words in the manual's order.

import type { Variant } from '../../../isa/index.ts';
import { type Case, parseCase } from '../../support/cases.ts';

const ALL = `
# R0 takes no result, but the access happens: Go's nil check is a load into it.
24800005 | R4=1 | ; addiu zero,a0,5
8c800000 | R4=1000 | stop=fault:unmapped ; lw zero,0(a0)

# System calls, hardware registers.
0000000c | | stop=syscall ; syscall
7c02003b | R2=5 | R2=0 ; rdhwr v0,$0: CPUNum
7c02083b | | R2=20 ; rdhwr v0,$1: SYNCI_Step
00000000 7c02103b | count=2 | R2=1 ; rdhwr v0,$2: CC
7c02183b | | R2=1 ; rdhwr v0,$3: CCRes
7c03e83b | UserLocal=12345670 | R3=12345670 ; rdhwr v1,$29: the thread pointer
7c02283b | | stop=illegal:0 ; rdhwr v0,$5

# The delay slot is state. A call's link register is written before its slot is executed.
0c008000 34020005 | | R31=10008 pc=10004 slot=1 pending=20000 ; jal 0x20000, half executed
0c008000 34020005 | count=2 | R31=10008 R2=5 pc=20000 slot=0 ; jal 0x20000; ori v0,zero,5
0320f809 | R25=20000 | R31=10008 pc=10004 slot=1 pending=20000 ; jalr t9
03e00008 | R31=20000 | pc=10004 slot=1 pending=20000 ; jr ra
04110002 27ff0008 | count=2 | R31=10010 pc=1000c slot=0 ; bal; addiu ra,ra,8
10850002 | | pc=10004 slot=1 pending=1000c ; beq a0,a1, taken
10850002 | R4=1 | pc=10004 slot=1 pending=10008 ; beq a0,a1, not taken: it has a slot all the same
54850002 | R4=1 | pc=10004 slot=1 pending=1000c ; bnel a0,a1, taken
54850002 | | pc=10008 slot=0 ; bnel a0,a1, not taken: its slot is nullified
0c008000 8c820000 | R4=1000 count=2 | R31=10008 pc=10004 slot=1 pending=20000 stop=fault:unmapped ; jal; lw v0,0(a0)
0c008000 00000034 | count=2 | R31=10008 pc=10004 slot=1 pending=20000 stop=trap:0 ; jal; teq zero,zero
0c008000 0000000c | count=2 | R31=10008 pc=20000 slot=0 stop=syscall ; jal; syscall
0c008000 10850002 | count=2 | R31=10008 pc=10004 slot=1 pending=20000 stop=illegal:0 ; jal; beq: a branch in a slot

# A store-conditional fails where the link is broken or another address's, and succeeds once.
e0820000 | R4=30000 R2=7 LLaddr=30000 [30000]=0101010102020202 | R2=0 ; sc v0,0(a0)
c0820000 e0c20000 | R4=30000 R6=30004 [30000]=0101010102020202 count=2 | R2=0 LLaddr=30000 ; ll v0,0(a0); sc v0,0(a2)
c0820000 e0830000 e0850000 | R4=30000 R3=3030303 R5=5050505 [30000]=0101010102020202 count=3 | R2=1010101 R3=1 R5=0 LLaddr=30000 [30000]=0303030302020202 ; ll v0,0(a0); sc v1,0(a0); sc a1,0(a0)

# NaNs (MIPS64 vol. I, 6.3.1.3 and 6.7.2.2): a quiet operand comes through, the first of two; a signalling one gives the default NaN.
46062080 | F4=7f812345 F6=7fb00001 | F2=7f812345 ; add.s $f2,$f4,$f6
46062080 | F4=3f800000 F6=ffb00001 | F2=ffb00001 ; add.s $f2,$f4,$f6
46062080 | F4=7f812345 F6=7fc00001 | F2=7fbfffff ; add.s $f2,$f4,$f6
46062082 | F4=0 F6=7f800000 | F2=7fbfffff ; mul.s $f2,$f4,$f6: 0 times infinity
46002084 | F4=bf800000 | F2=7fbfffff ; sqrt.s $f2,$f4: of −1
46002084 | F4=ff812345 | F2=ff812345 ; sqrt.s $f2,$f4
4c8830a0 | F4=3f800000 F6=7f812345 F8=3f800000 | F2=7f812345 ; madd.s $f2,$f4,$f6,$f8
`;

const NARROW = `
44420000 | | R2=739300 ; cfc1 v0,$0: FIR

# Doubles lie in pairs of registers; an odd one is a reserved instruction, and so is all that only wider targets have.
46262080 | F4=123 F5=7ff00000 F6=0 F7=3ff00000 | F2=123 F3=7ff00000 ; add.d $f2,$f4,$f6
462020a0 | F4=40000000 F5=7ff01234 | F2=7f8091a2 ; cvt.s.d $f2,$f4
460020a1 | F4=7f8091a2 | F2=40000000 F3=7ff01234 ; cvt.d.s $f2,$f4
46262040 | | stop=illegal:0 ; add.d $f1,$f4,$f6
d4810000 | R4=1000 | stop=illegal:0 ; ldc1 $f1,0(a0)
64420001 | | stop=illegal:0 ; daddiu v0,v0,1
46002089 | | stop=illegal:0 ; trunc.l.s $f2,$f4
`;

const WIDE = `
44420000 | | R2=738900 ; cfc1 v0,$0: FIR
46262080 | F4=7ff0000000000123 F6=3ff0000000000000 | F2=7ff0000000000123 ; add.d $f2,$f4,$f6
462020a0 | F4=7ff0123440000000 | F2=7f8091a2 ; cvt.s.d $f2,$f4
460020a1 | F4=7f8091a2 | F2=7ff0123440000000 ; cvt.d.s $f2,$f4
46262040 | F4=3ff0000000000000 F6=3ff0000000000000 | F1=4000000000000000 ; add.d $f1,$f4,$f6
`;

/** The cases that apply to a target, their code in its byte order. */
export function casesByHand(variant: Variant): Case[] {
  const text = ALL + (variant.width === 64 ? WIDE : NARROW);
  return text
    .split('\n')
    .map((line) => parseCase(line))
    .filter((c) => c !== undefined)
    .map((c) => (variant.bigEndian ? c : { ...c, code: Uint8Array.from(Buffer.from(c.code).swap32()) }));
}
