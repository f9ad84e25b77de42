/** The table of kernels and build machines that were tried, in docs/kernels.md. `make corpus RECORD=1` adds a run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', '..');

/** What was tried: real fixes of a kernel, or a command on a machine. */
export interface TriedKernel {
  /** Like `debian:11`. */
  readonly distribution: string;
  readonly kernel: string;
  /** Like `debian:12`. */
  readonly machine: string;
  readonly command: string;
  readonly date: string;
  /** How many fixes had which outcome; absent if another command was tried. */
  readonly fixes?: Readonly<Record<string, number>>;
  /** The outcome of another command. */
  readonly outcome?: string;
}

/** This machine by its os-release(5), like `debian:12`. */
export function machineHere(): string {
  const text = readFileSync('/etc/os-release', 'utf8');
  const field = (name: string): string => new RegExp(`^${name}="?([^"\n]*)`, 'm').exec(text)?.[1] ?? 'unknown';
  return `${field('ID')}:${field('VERSION_ID')}`;
}

/** docs/kernels.md with the table of docs/kernels-tried.json. */
export function triedPage(): string {
  const page = readFileSync(join(root, 'docs/kernels.md'), 'utf8');
  const tried = JSON.parse(readFileSync(join(root, 'docs/kernels-tried.json'), 'utf8')) as TriedKernel[];
  const rows = tried.map(
    (one) =>
      `| ${[one.distribution, one.kernel, one.machine, outcomeOf(one), one.date, `\`${one.command}\``].join(' | ')} |`,
  );
  const table = [
    '| distribution | kernel | build machine | outcome | date | command |',
    '|---|---|---|---|---|---|',
    ...rows,
  ];
  return page.replace(
    /(<!-- tried: .*? -->\n).*?(<!-- \/tried -->)/s,
    (_, start: string, end: string) => `${start}${table.join('\n')}\n${end}`,
  );
}

function outcomeOf({ fixes, outcome }: TriedKernel): string {
  if (fixes === undefined) return outcome ?? '';
  const sum = (pattern: RegExp): number =>
    Object.entries(fixes).reduce((total, [name, count]) => (pattern.test(name) ? total + count : total), 0);
  const reasons = Object.keys(fixes).flatMap((name) => /^refused: (.*)/.exec(name)?.[1] ?? []);
  const why = reasons.length === 0 ? '' : ` (${reasons.sort().join(', ')})`;
  return `${sum(/./)} fixes: ${sum(/^built/)} built and loaded, ${sum(/^(?:nothing|not in)/)} with nothing to do, ${sum(/^refused/)} refused${why}, ${sum(/^failed/)} failed`;
}
