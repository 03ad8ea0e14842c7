// Where things lie in the one WebAssembly memory that guest pages, registers and both engines share. Byte offsets.

/** The running thread's registers, laid out by the isa's register file. */
export const STATE = 0;
export const STATE_SIZE = 0x400;

/** i64: where control goes after the current instruction. */
export const NEXT = 0x400;
/** i32: the instruction was a branch (on targets with delay slots: taken or not). */
export const BRANCHED = 0x408;
/** i32: the delay slot is skipped. */
export const NULLIFIED = 0x40c;
/** i32: instructions left of the current stretch of a run. */
export const REMAINING = 0x410;
/** i32: number of the exit by which compiled code has left to the evaluator, or 0; or LEFT_HERE, where PC stands in the state block. */
export const LEFT_FLAG = 0x414;
export const LEFT_HERE = -1;
/** i64: instructions executed up to the end of the current stretch, for compiled code that reads the clock. */
export const STRETCH_END = 0x418;
/** 16 bytes: the value of an access that compiled code hands to the out-of-line path. */
export const SCRATCH = 0x420;

/** i32: which instruction's flags are still to be computed, or 0; then its inputs, 8 bytes each. */
export const FLAGS_KIND = 0x430;
export const FLAGS_INPUTS = 0x438;
export const FLAGS_INPUT_COUNT = 4;
/** i32: the table slot of what computes flags for compiled code, negative while that is the host. */
export const FLAGS_SETTLER = 0x458;
/** i32 twice: how near to the end of its budget compiled code stops at switch points (`Machine.run`), less one and less two. */
export const WINDOW = 0x45c;
/**
 * Interrupts that compiled code may take by itself (`Along.until`): f64: the instruction count up to which it may, 0 where it may not; i32: after
 * how many instructions the next one comes; i32: what it has done of that since the host last looked, by bits.
 */
export const TAKE_UNTIL = 0x468;
export const TAKE_EVERY = 0x470;
export const TAKEN = 0x474;
/** Stretches have begun: STRETCH_END says where the present one ends. */
export const TAKEN_STRETCHES = 1;
/** What a handler keeps has changed. */
export const TAKEN_STATE = 2;
/**
 * System calls that compiled code may make by itself, f64 each: the instruction count up to which nothing else can be due, 0 where it may not;
 * nanoseconds since boot when no instruction had been executed; how many it has made.
 */
export const CALL_UNTIL = 0x478;
export const CALL_CLOCK = 0x480;
export const CALLS_TAKEN = 0x488;

/** Temporaries of the instruction being evaluated, 16 bytes each. */
export const TEMPS = 0x800;
export const TEMP_COUNT = 896;

/** Constants of op lists, kept from one execution to the next. */
export const CONSTANTS = 0x10000;
export const CONSTANTS_SIZE = 0x30000;

/** Compiled code's link cells: table slot (4, negative while nothing is compiled) and entry number (4) of a known address. */
export const CELLS = 0x40000;
export const CELL_SIZE = 8;
export const CELLS_END = 0x90000;
/** i32 for each slot of the table: how often control came by in a unit that is short. */
export const VISITS = 0x90000;
export const VISITS_END = 0xa0000;
/** i32 for each address that has ever been a breakpoint: whether compiled code is to stop before it now. */
export const STOPS = 0xa0000;
export const STOPS_END = 0xa4000;
/** i32 for each block of compiled code that counts: how often it was begun. */
export const COUNTS = 0xa4000;
export const COUNTS_END = 0xe0000;

/** The software TLB: direct-mapped by page number. */
export const TLB = 0xe0000;
export const TLB_ENTRIES = 4096;
export const TLB_ENTRY = 32;
/** Fields of an entry. A tag is the page's address; INVALID_TAG matches no access. */
export const TLB_READ = 0;
export const TLB_WRITE = 8;
/** i32: host address = low half of the guest address + addend, modulo 2^32. */
export const TLB_ADDEND = 16;
/** Low word of a tag that matches nothing: its low bits are set, those of a masked address in the same page are not. */
export const INVALID_TAG = -1;

/**
 * A second one, of more entries, by another hash of the page number: where pages are found that had to give way to others in the first one.
 * It is looked at out of line.
 */
export const TLB_SECOND = 0x100000;
export const TLB_SECOND_ENTRIES = 32768;
/** Its index is the page number XOR that shifted to the right by so much. */
export const SECOND_SHIFT = 12;

/** Compiled code's jump cache: address (8 bytes), table slot (4), entry number (4), direct-mapped by address. */
export const JUMPS = 0x200000;
export const JUMP_BITS = 16;
export const JUMP_ENTRY = 16;

/**
 * The same of exact bridges, for what goes on where it was interrupted. That is at nearly every address of a loop sooner or later: each may stand
 * in any of so many entries, whose indexes differ in the highest bits alone.
 */
export const BRIDGE_JUMPS = 0x300000;
const WAY_BITS = 2;
export const BRIDGE_WAYS = 1 << WAY_BITS;
/** What the offsets of an address's entries differ in, from the first one to the next. */
export const BRIDGE_WAY = JUMP_ENTRY << (JUMP_BITS - WAY_BITS);

/**
 * Exits at which compiled code goes on by itself, direct-mapped by half of their numbers, which are even: the number (4); table slot (4,
 * negative where there is none) and entry number (4, with PASSED where something is to be done first) of what goes on there; how many of the
 * instructions that were counted are not executed (4).
 */
export const PLACES = 0x400000;
export const PLACE_BITS = 17;
export const PLACE_ENTRY = 16;
export const PLACE_SLOT = 4;
export const PLACE_NUMBER = 8;
export const PLACE_UNDONE = 12;
export const PASSED = 1 << 31;
/**
 * What else there is of each, which is asked for where a budget ends, and mostly not in the processor's caches: the address (8), and where an
 * interrupt there returns to (8); what is decided of one (4), and of one that finds a call half executed (4), LR being the address behind its
 * slot; where the thread resumes if that is to inject (8 and 8).
 */
export const DECISIONS = 0x600000;
export const DECISION_ENTRY = 64;
export const PLACE_PC = 0;
export const PLACE_RETURN = 8;
export const PLACE_DECISION = 16;
export const PLACE_HALF = 20;
export const PLACE_RESUME = 24;
export const PLACE_HALF_RESUME = 32;
/** Decisions: the exit is a system call; a breakpoint; nothing is known; to inject; from here on, refused by the check of that number less this. */
export const DECIDED_CALL = -2;
export const DECIDED_STOP = -1;
export const DECIDED_NOTHING = 0;
export const DECIDED_SAFE = 1;
export const DECIDED_REFUSED = 2;

/** What who handles interrupts keeps where compiled code can handle them as well (src/debug/handler-state.ts). */
export const HANDLER = 0xe00000;
export const HANDLER_SIZE = 0x10000;

/** Guest page frames from here on. */
export const FRAMES = 0xe10000;
export const PAGE_BITS = 12;
export const PAGE_SIZE = 1 << PAGE_BITS;
/** Decoded instructions are kept by blocks of so many bytes of code: a program executes a little of very many pages. */
export const BLOCK_SIZE = 1024;
