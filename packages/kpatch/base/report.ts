/**
 * Progress output on standard error: stages with their duration, notes, warnings. On a terminal the current stage is one
 * changing line. Elsewhere each stage prints a line when it starts and when it ends, and a long one prints that it is still
 * running every few seconds. With `--json` only warnings are kept, for the document.
 */
import { printable, printableLine } from './text/printable.ts';
import { terminalOf } from './text/terminal.ts';

export interface StageTime {
  readonly name: string;
  readonly ms: number;
}

export interface Reporter {
  /** Runs `work` as a named stage and shows its progress and duration. `update` changes the text next to the name. */
  stage<T>(name: string, work: (update: (text: string) => void) => Promise<T> | T): Promise<T>;
  note(text: string): void;
  warn(text: string): void;
  readonly times: readonly StageTime[];
  readonly warnings: readonly string[];
}

/** Interval at which a long stage prints a line to a plain log. */
const REMIND_MS = 5000;

interface Sink {
  begin(name: string): void;
  update(name: string, text: string, ms: number): void;
  end(name: string, ms: number, ok: boolean): void;
  /** `current` is the newest stage that has not ended. */
  line(text: string, current?: string): void;
}

function reporter(sink: Sink, interactive = false): Reporter {
  const times: StageTime[] = [];
  const warnings: string[] = [];
  /** The stages that have begun, the newest last: only that one says that it still runs. */
  const open: string[] = [];
  const line = (text: string): void => sink.line(text, open.at(-1));
  return {
    times,
    warnings,
    async stage(name, work) {
      const start = performance.now();
      let text = '';
      const elapsed = (): number => performance.now() - start;
      const update = (): void => {
        if (open.at(-1) === name) sink.update(name, text, elapsed());
      };
      open.push(name);
      sink.begin(name);
      const timer = setInterval(update, interactive ? 200 : REMIND_MS);
      timer.unref();
      let ok = false;
      try {
        const result = await work((next) => {
          text = next;
          if (interactive) update();
        });
        ok = true;
        return result;
      } finally {
        clearInterval(timer);
        times.push({ name, ms: elapsed() });
        open.splice(open.lastIndexOf(name), 1);
        sink.end(name, elapsed(), ok);
      }
    },
    note: line,
    warn(text) {
      warnings.push(text);
      line(`warning: ${text}`);
    },
  };
}

/** A reporter that prints nothing. */
export function silentReporter(): Reporter {
  return reporter({ begin() {}, update() {}, end() {}, line() {} });
}

/** The reporter for people; `stream` is standard error by default. */
export function consoleReporter(stream: NodeJS.WriteStream = process.stderr): Reporter {
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  // Contains names of tasks, modules and files, which are untrusted.
  const write = (line: string): void => void stream.write(`${printable(line)}\n`);
  if (!terminalOf(stream).interactive) {
    return reporter({
      begin: (name) => write(`${name} ...`),
      update: (name, text, ms) => write(`${name} ... ${text}${text === '' ? '' : ', '}${seconds(ms)} so far`),
      end: (name, ms, ok) => write(`${name}: ${ok ? 'done' : 'failed'} in ${seconds(ms)}`),
      line: write,
    });
  }
  const draw = (line: string): void => {
    const text = printableLine(line);
    const { width } = terminalOf(stream);
    stream.write(`\r\x1b[2K${text.length < width ? text : `${text.slice(0, width - 2)}…`}`);
  };
  return reporter(
    {
      begin: (name) => draw(`  ${name} ...`),
      update: (name, text, ms) => draw(`  ${name} ... ${seconds(ms)}  ${text}`),
      end(name, ms, ok) {
        draw(`${ok ? '✓' : '✗'} ${name}  ${seconds(ms)}`);
        write('');
      },
      line(text, current) {
        stream.write('\r\x1b[2K');
        write(text);
        if (current !== undefined) draw(`  ${current} ...`);
      },
    },
    true,
  );
}
