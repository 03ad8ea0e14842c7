// Shows ablations by sweeping, and writes the table of them.
import { type SweepFailure, type SweepResult, sweep } from '../../src/index.ts';
import { fixtureSpec, type Goarch, loadFixture } from '../support/fixtures.ts';
import { type Ablation, ALL, MIPS, UNSHOWN } from './cases.ts';

/** What removing a check did, on one program. */
export interface Shown {
  readonly check: string;
  readonly without: readonly string[];
  readonly fixture: string;
  readonly goarch: Goarch;
  readonly release: string;
  /** Injections with the check in place, and objections to them. */
  readonly kept: { readonly injections: number; readonly failures: number };
  /** Injections without it, and what was wrong with the first that did harm. */
  readonly removed: { readonly injections: number; readonly failures: number };
  readonly harm: Pick<SweepFailure, 'at' | 'pc' | 'func' | 'oracle' | 'detail' | 'reproduce'> | undefined;
}

/** Harm that a user would see comes first. */
const VISIBLE = ['end', 'output', 'registers', 'stack', 'path', 'progress', 'unwind', 'scan', 'locks'];

export function run(ablation: Ablation, goarch: Goarch, release: string, removed: boolean): Promise<SweepResult> {
  const { args, env } = fixtureSpec(ablation.fixture);
  return sweep(loadFixture(ablation.fixture, goarch, release), {
    path: ablation.fixture,
    args,
    env: Object.entries(env).map(([name, value]) => `${name}=${value}`),
    patience: 5_000_000,
    sample: 1,
    ...ablation.places(goarch),
    ...(removed ? { without: new Set(ablation.without) } : {}),
  });
}

/** Sweeps the places of an ablation with the check and without it. */
export async function show(ablation: Ablation, goarch: Goarch, release: string): Promise<Shown> {
  const kept = await run(ablation, goarch, release, false);
  const removed = await run(ablation, goarch, release, true);
  const worst = removed.failures.toSorted((a, b) => VISIBLE.indexOf(a.oracle) - VISIBLE.indexOf(b.oracle))[0];
  const { check, without, fixture } = ablation;
  let harm: Shown['harm'];
  if (worst !== undefined) {
    const { at, pc, func, oracle, detail, reproduce } = worst;
    harm = { at, pc, func, oracle, detail, reproduce };
  }
  return {
    check,
    without,
    fixture,
    goarch,
    release,
    kept: { injections: kept.injections, failures: kept.failures.length },
    removed: { injections: removed.injections, failures: removed.failures.length },
    harm,
  };
}

const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
const shortened = (text: string, length: number): string =>
  text.length <= length ? text : `${text.slice(0, length)}…`;

/** The table as Markdown. */
export function markdown(shown: readonly Shown[], ablations: readonly Ablation[]): string {
  const lines = [
    '# What each check is for',
    '',
    '<!-- Written by `npx tsx test/ablation/generate.ts`. -->',
    '',
    'Each guard of `isAsyncSafePoint` is switched off (`--without`), and `safepoint sweep` preempts a program at places that it refused.',
    'With all checks in place the same sweeps find nothing. Where another check would refuse in its place, that one is off too, and said to stand behind it.',
    'The place is the first at which harm was done; the program is that of `fixtures/`, and the command makes the injection alone.',
    '',
  ];
  for (const check of new Set(ablations.map((a) => a.check))) {
    lines.push(`## \`${check}\``, '');
    for (const { why, without, releases } of ablations.filter((a) => a.check === check)) {
      lines.push(`- Go ${releases.join(', ')}, without \`${without.join(',')}\`: ${why}.`);
    }
    for (const { goarches, releases, reason } of UNSHOWN.filter((u) => u.check === check)) {
      lines.push(`- ${goarches.join(', ')}, Go ${releases.join(', ')}: cannot be shown: ${reason}.`);
    }
    lines.push('', '| GOARCH | Go | at | harm |', '|---|---|---|---|');
    for (const { goarch, release, harm, removed } of shown.filter((s) => s.check === check)) {
      if (harm === undefined) {
        lines.push(`| ${goarch} | ${release} | | none in ${removed.injections} injections |`);
      } else {
        const { oracle, detail, func, at } = harm;
        lines.push(
          `| ${goarch} | ${release} | \`${cell(func)}\`, instruction ${at} | ${oracle}: ${cell(shortened(detail, 240))} |`,
        );
      }
    }
    const first = shown.find((s) => s.check === check && s.harm !== undefined);
    if (first?.harm !== undefined) {
      lines.push('', `\`${first.harm.reproduce}\` (${first.goarch}, Go ${first.release})`);
    }
    lines.push('');
  }
  return `${lines.join('\n').trimEnd()}\n`;
}

/** Sets of targets that a short table can name. */
const SETS: readonly (readonly [name: string, goarches: readonly Goarch[]])[] = [
  ['all five', ALL],
  ['the four MIPS', MIPS],
];

/** The release and target whose row stands for all in the short table, where the check is shown there. */
const TYPICAL = { release: '1.27', goarch: 'mips' };

/** One row for each check: what was removed, where that is shown to do harm, and the harm on one target. */
export function compactRows(shown: readonly Shown[]): string[][] {
  const harmful = shown.filter((s) => s.harm !== undefined);
  return [...new Set(shown.map((s) => s.check))].map((check) => {
    const rows = harmful.filter((s) => s.check === check);
    const behind = new Set(rows.map((s) => s.without.filter((c) => c !== check).join(' ')));
    const alone = [...behind].map((text) => (text === '' ? 'nothing' : `\`${text}\``)).join(' or ');
    const goarches = new Set(rows.map((s) => s.goarch));
    const targets = SETS.find(([, all]) => all.length === goarches.size && all.every((g) => goarches.has(g)))?.[0];
    const releases = [...new Set(rows.map((s) => s.release))].sort().join(', ');
    const unshown = UNSHOWN.filter((u) => u.check === check).flatMap((u) => u.goarches);
    const missing =
      unshown.length === 0 ? '' : `; [not ${unshown.join(' ')}](test/ablation/README.md#${check.toLowerCase()})`;
    const typical =
      rows.find((s) => s.release === TYPICAL.release && s.goarch === TYPICAL.goarch) ??
      rows.find((s) => s.goarch === TYPICAL.goarch) ??
      rows[0];
    const { func = '', at = 0, oracle = '', detail = '' } = typical?.harm ?? {};
    return [
      `\`${check}\``,
      alone,
      `${targets ?? [...goarches].join(' ')}, Go ${releases}${missing}`,
      typical === undefined
        ? ''
        : `${typical.goarch} ${typical.release}, ${typical.fixture}: \`${cell(func)}\`, instruction ${at}`,
      `${oracle}: ${cell(shortened(detail.replace('before the goroutine is back: ', '').replace(/; undisturbed: .*/, ''), 90))}`,
    ];
  });
}
