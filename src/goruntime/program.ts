// A Go program as the rest of the project sees it: release, target, tables, rules, offsets and the addresses by name.

import { type Arch, archOf } from '../arch/arch.ts';
import { type BuildInfo, readBuildInfo } from '../object/buildinfo.ts';
import type { Elf } from '../object/elf.ts';
import { type FoundOffsets, findOffsets } from './facts/dwarf-offsets.ts';
import { NEWEST_RELEASE, type StructOffsets, structOffsets } from './facts/structs.ts';
import type { AllgsSymbols } from './goroutines.ts';
import { type Location, locate } from './locate.ts';
import { type Rules, releaseNote, rulesFor } from './preempt-rules.ts';
import { type Func, findPclntab, type GoTables, openTables } from './tables.ts';
import { type FoundRelease, findRelease, parseRelease, type Release } from './version.ts';
import { type GuestMemory, GuestReadError, ImageView } from './view.ts';

/** The program has no Go tables that can be read. One line: what is wrong; what to try. */
export class NotGoError extends Error {
  override readonly name = 'NotGoError';
}

/** One Go program. Everything here follows from its file. */
export class GoProgram {
  readonly elf: Elf;
  readonly arch: Arch;
  /** The program's memory as its file has it. */
  readonly image: ImageView;
  readonly buildInfo: BuildInfo | undefined;
  readonly release: Release;
  readonly releaseSource: FoundRelease['source'];
  readonly tables: GoTables;
  /** The rules of the release that built the program. */
  readonly rules: Rules;
  readonly #notes: readonly string[];
  #offsets: FoundOffsets | undefined;
  #asyncPreempt: number | undefined;
  /** Where the program's variable of that name is; undefined until it is looked for. */
  #ownAsyncPreemptStack: { readonly addr: number | undefined } | undefined;

  private constructor(
    elf: Elf,
    image: ImageView,
    buildInfo: BuildInfo | undefined,
    found: FoundRelease,
    tables: GoTables,
  ) {
    this.elf = elf;
    this.arch = archOf(elf.goarch);
    this.image = image;
    this.buildInfo = buildInfo;
    this.release = found.release;
    this.releaseSource = found.source;
    this.tables = tables;
    this.rules = rulesFor(found.release, elf.goarch);
    const notes: string[] = [];
    const note = releaseNote(found.release);
    if (note !== undefined) notes.push(note);
    if (found.source === 'pclntab magic') {
      notes.push(
        `nothing in the program names its release; ${found.release.text} is assumed from the layout of its tables`,
      );
    }
    if (tables.module === undefined) notes.push('runtime.firstmoduledata was not found');
    this.#notes = notes;
  }

  /** Where fields of g, m and p are: by the program's own DWARF, else by the table of its release. */
  get offsets(): StructOffsets {
    return this.#foundOffsets.offsets;
  }

  get #foundOffsets(): FoundOffsets {
    this.#offsets ??= findOffsets(this.elf, structOffsets(this.arch, this.release));
    return this.#offsets;
  }

  /** What a user should know about how much of this is certain. */
  get notes(): readonly string[] {
    const { disagreements } = this.#foundOffsets;
    if (disagreements.length === 0) return this.#notes;
    return [...this.#notes, `DWARF and the offsets known for its release: ${disagreements.join('; ')}`];
  }

  /**
   * Reads the Go tables of an executable.
   * @throws NotGoError if it has none
   */
  static open(elf: Elf): GoProgram {
    const image = new ImageView(elf);
    const table = findPclntab(elf, image);
    if (table === undefined)
      throw new NotGoError('not a Go program: it has no pclntab; what needs Go tables cannot be done with it');
    const buildInfo = readBuildInfo(elf);
    // Read for this alone: the image would keep them, and they are most of the file.
    const readOnly = (): Uint8Array[] =>
      elf.loads.filter((s) => !s.writable).map((s) => elf.file.range(s.offset, s.filesz));
    const found = findRelease(buildInfo, table.magic, readOnly, NEWEST_RELEASE);
    if (found === undefined) throw new NotGoError('a Go program of an unknown release');
    return new GoProgram(elf, image, buildInfo, found, openTables(elf, image, table, found.release));
  }

  /** Address of the function that an interrupt injects a call of: the assembly body, not an ABI wrapper. */
  get asyncPreempt(): number {
    this.#asyncPreempt ??= this.#body('runtime.asyncPreempt')?.entry;
    if (this.#asyncPreempt === undefined) {
      throw new NotGoError('the program has no runtime.asyncPreempt; asynchronous preemption came with Go 1.14');
    }
    return this.#asyncPreempt;
  }

  /** The function of that name that is no ABI wrapper. */
  #body(name: string): Func | undefined {
    const found = this.tables.funcsNamed(name);
    return found.find((f) => f.funcIDName === 'asyncPreempt') ?? found[0];
  }

  /** Entry address of the function of that name; undefined if the program has none. */
  addressOf(name: string): number | undefined {
    return this.#body(name)?.entry;
  }

  /**
   * The value that the runtime's init gives to asyncPreemptStack: the deepest stack of asyncPreempt and what it calls,
   * plus eight words for return PCs and the like.
   */
  asyncPreemptStack(rules: Rules = this.rules): number {
    const names = ['runtime.asyncPreempt', 'runtime.asyncPreempt2'];
    if (rules.xRegRestore) names.push('runtime.xRegRestore');
    let total = 8 * this.arch.pointerSize;
    for (const name of names) {
      const f = this.#body(name);
      if (f !== undefined) total += this.tables.funcMaxSPDelta(f);
    }
    return total;
  }

  /**
   * Whether the running program has computed its own asyncPreemptStack; until then it holds all ones and nothing is
   * preempted. Without symbols the variable cannot be found, and the answer is yes.
   */
  asyncPreemptStackIsSet(memory: GuestMemory): boolean {
    this.#ownAsyncPreemptStack ??= { addr: this.elf.symbol('runtime.asyncPreemptStack')?.value };
    const { addr } = this.#ownAsyncPreemptStack;
    if (addr === undefined) return true;
    try {
      return memory.readU32(addr) !== 0xffffffff;
    } catch (error) {
      if (error instanceof GuestReadError) return true;
      throw error;
    }
  }

  /** What the file has of the program's memory besides code and what it writes to, by segments: all that the tables say stands there. */
  get constants(): readonly Uint8Array[] {
    const { table } = this.tables;
    const constant = this.image.areas().filter(({ addr, end, executable, writable }) => {
      const hasTable = table.addr >= addr && table.addr < end;
      return hasTable || !(executable || writable);
    });
    return constant.flatMap(({ addr }) => this.image.bytesFrom(addr) ?? []);
  }

  /** Where the list of all goroutines is, if the program has symbols. */
  get allgs(): AllgsSymbols | undefined {
    const symbol = this.elf.symbol('runtime.allgs');
    return symbol && { allgs: symbol.value };
  }

  /**
   * The rules by their name on the command line: `auto`, `seed`, or a release such as `1.19`.
   * @returns undefined if it names none
   */
  rulesNamed(name: string): Rules | undefined {
    if (name === 'auto') return this.rules;
    if (name === 'seed') return rulesFor('seed', this.arch.goarch);
    const release = /^(?:go)?1\.\d+(\.\d+)?$/.test(name) ? parseRelease(name) : undefined;
    return release && rulesFor(release, this.arch.goarch);
  }

  /**
   * The PCs that a LOC names: `0xADDR`, `func`, `func+0xOFF` or `file.go:LINE`.
   * @throws LocationError with near names if there is none
   */
  locate(text: string): Location {
    return locate(this.tables, text);
  }
}
