/**
 * Shows a running plan. On a terminal, finished checks scroll by; below them is a line for each guest with its current
 * step, and the last line of its console. Elsewhere it prints plain lines.
 */
import { plural } from '../base/errors/plural.ts';
import { printableLine } from '../base/text/printable.ts';
import { line, type Role, render, type Span, span, terminalOf } from '../base/text/terminal.ts';
import { seconds } from './proof-text.ts';
import type { ProofEvent } from './run/event.ts';

/** Interval at which a long check prints a line to a plain log. */
const REMIND_MS = 5000;
const REDRAW_MS = 200;

export interface LiveView {
  readonly onEvent: (event: ProofEvent) => void;
  /** Erases the changing lines. The view must not be used afterwards. */
  close(): void;
}

/** The current activity in one boot (or in the file checks). */
interface Activity {
  readonly title: string;
  readonly begun: number;
  /** Its current progress. */
  text: string;
  /** The last console line of the guest. */
  console: string;
}

const marks: Readonly<Record<'held' | 'failed' | 'not run', readonly [string, Role]>> = {
  held: ['✓', 'good'],
  failed: ['✗', 'bad'],
  'not run': ['–', 'warning'],
};

/** A line that stays; `indent` is the column at which it continues. */
interface Row {
  readonly indent: number;
  readonly parts: readonly (string | Span)[];
}

function row(part: string | Span, indent = 0): Row {
  return { indent, parts: [part] };
}

/** `label` is a prefix for every line, used when several proofs run at once. */
export function liveView(stream: NodeJS.WriteStream = process.stderr, label = ''): LiveView {
  const shown = terminalOf(stream);
  const terminal = shown.interactive && label === '';
  const colours = terminal && shown.colours;
  const paint = (code: number, text: string): string => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
  const prefix = label === '' ? '' : `[${label}] `;
  const begun = Date.now();
  const activities = new Map<string, Activity>();
  const facts = new Map<string, string[]>();
  const titles = new Map<string, { title: string; boot: string }>();
  let idWidth = 0;
  let done = 0;
  let drawn = 0;
  const since = (start: number): string => seconds(Date.now() - start);

  const erase = (): void => {
    if (drawn > 0) stream.write(`\x1b[${drawn}A\r\x1b[J`);
    drawn = 0;
  };
  const draw = (): void => {
    if (!terminal || activities.size === 0) return;
    const width = terminalOf(stream).width - 1;
    const lines = [paint(1, cut(`${done} of ${titles.size} checks, ${since(begun)}`, width))];
    for (const [boot, { title, begun: start, text, console }] of activities) {
      lines.push(cut(`${boot.padEnd(idWidth)}  ${title} … ${since(start)}  ${text}`.trimEnd(), width));
      if (console !== '') lines.push(paint(2, cut(`${' '.repeat(idWidth)}  | ${console}`, width)));
    }
    stream.write(`${lines.join('\n')}\n`);
    drawn = lines.length;
  };
  const print = (lines: readonly Row[]): void => {
    erase();
    const rows = lines.map(({ indent, parts }) => line([prefix, ...parts], prefix.length + indent));
    stream.write(`${render(rows, { interactive: terminal, colours, width: terminalOf(stream).width })}\n`);
    draw();
  };
  const remind = (): void => {
    for (const [boot, { title, begun: start, text }] of activities)
      print([row(`  ${boot.padEnd(idWidth)}  ${title} … ${since(start)} so far  ${text}`.trimEnd(), idWidth + 4)]);
  };
  const redraw = (): void => {
    erase();
    draw();
  };
  const timer = setInterval(terminal ? redraw : remind, terminal ? REDRAW_MS : REMIND_MS);
  timer.unref();
  const begin = (boot: string, title: string): void => {
    const console = activities.get(boot)?.console ?? '';
    activities.set(boot, { title, begun: Date.now(), text: '', console });
  };
  const say = (check: string, text: string): void => {
    const activity = activities.get(bootOf(check));
    if (activity !== undefined) activity.text = text;
  };

  return {
    onEvent(given) {
      const event = printableStrings(given);
      switch (event.type) {
        case 'plan':
          for (const { check, title, boot } of event.checks) titles.set(check, { title, boot });
          idWidth = Math.max(...event.checks.map(({ boot }) => boot.length));
          return print([row(`plan "${event.plan}" on ${event.release}: ${plural(event.checks.length, 'check')}`)]);
        case 'boot':
          return begin(event.boot, `boot ${event.title}`);
        case 'booted': {
          activities.delete(event.boot);
          const how = event.acceleration === 'kvm' ? 'KVM' : 'software emulation';
          const begun = event.kept === undefined ? 'booted' : `resumed from the kept guest ${event.kept.slice(0, 12)}…`;
          return print([
            row(
              span('quiet', `  ${event.boot.padEnd(idWidth)}  ${begun} in ${seconds(event.ms)} (${how})`),
              idWidth + 4,
            ),
          ]);
        }
        case 'begin':
          return begin(event.boot, event.title);
        case 'progress':
          return say(event.check, event.text);
        case 'console': {
          const activity = activities.get(event.boot);
          if (activity !== undefined && event.line.trim() !== '') activity.console = event.line.trim();
          return;
        }
        case 'evidence':
          facts.set(event.check, [...(facts.get(event.check) ?? []), event.text]);
          return say(event.check, event.text);
        case 'end': {
          const { title, boot } = titles.get(event.check)!;
          activities.delete(boot);
          done++;
          if (event.outcome === 'not run') return;
          const [mark, role] = marks[event.outcome];
          const indent = idWidth + 4;
          const gap = ' '.repeat(indent);
          const why = event.reason === undefined ? [] : [row(span(role, `${gap}${event.reason}`), indent)];
          const seen = facts.get(event.check) ?? [];
          return print([
            { indent, parts: [span(role, mark), ` ${boot.padEnd(idWidth)}  ${title}  (${seconds(event.ms)})`] },
            ...why,
            ...seen.map((fact) => row(span('quiet', `${gap}${fact}`), indent)),
          ]);
        }
        case 'verdict':
          activities.clear();
          return;
      }
    },
    close() {
      clearInterval(timer);
      erase();
    },
  };
}

/** Evidence and consoles contain guest output, which is untrusted. */
function printableStrings<T>(value: T): T {
  if (typeof value === 'string') return printableLine(value) as T;
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(printableStrings) as T;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, printableStrings(item)])) as T;
}

function bootOf(check: string): string {
  return check.slice(0, check.lastIndexOf('/'));
}

function cut(line: string, width: number): string {
  return line.length > width ? `${line.slice(0, width - 1)}…` : line;
}
