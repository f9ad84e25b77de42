/** A plan as it runs, for people: on a terminal one line that changes for what is going on, elsewhere plain lines. */
import type { ProofEvent } from './event.ts';

/** On a plain log a check that takes longer says so again this often, so that there is no silent stretch. */
const REMIND_MS = 5000;

export interface LiveView {
  readonly onEvent: (event: ProofEvent) => void;
  /** Ends the changing line; the view is not used after that. */
  close(): void;
}

const marks = { held: '✓', failed: '✗', 'not run': '–' } as const;

/** `label` stands before every line where several proofs run at once. */
export function liveView(stream: NodeJS.WriteStream = process.stderr, label = ''): LiveView {
  const terminal = stream.isTTY === true && label === '';
  const prefix = label === '' ? '' : `[${label}] `;
  let current: { title: string; start: number } | undefined;
  let text = '';
  const titles = new Map<string, string>();
  const seen: string[] = [];
  let total = 0;
  let done = 0;
  const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
  const erase = (): void => void (terminal && stream.write('\r\x1b[2K'));
  const line = (words: string): void => {
    erase();
    stream.write(`${prefix}${words}\n`);
    draw();
  };
  const draw = (): void => {
    if (!terminal || current === undefined) return;
    const width = Math.max(20, stream.columns ?? 80) - 1;
    const words = `  [${done}/${total}] ${current.title} … ${seconds(Date.now() - current.start)}  ${text}`;
    stream.write(`\r\x1b[2K${words.length > width ? `${words.slice(0, width - 1)}…` : words}`);
  };
  const timer = setInterval(
    () => {
      if (terminal) draw();
      else if (current !== undefined) {
        stream.write(`${prefix}  ${current.title} … ${seconds(Date.now() - current.start)} so far  ${text}\n`);
      }
    },
    terminal ? 200 : REMIND_MS,
  );
  timer.unref();
  const begin = (title: string): void => {
    current = { title, start: Date.now() };
    text = '';
    draw();
  };
  return {
    onEvent(event) {
      switch (event.type) {
        case 'plan':
          total = event.checks.length;
          for (const { check, title } of event.checks) titles.set(check, title);
          return line(`plan "${event.plan}" on ${event.release}: ${total} checks`);
        case 'boot':
          return begin(`boot ${event.title}`);
        case 'booted':
          return line(`  ${event.boot}: up after ${seconds(event.ms)} (${emulation(event.acceleration)})`);
        case 'begin':
          return begin(event.title);
        case 'progress':
          text = event.text;
          return draw();
        case 'console':
          // The guest's last line is shown while nothing better is known.
          if (terminal && event.line.trim() !== '') text = event.line.trim();
          return;
        case 'evidence':
          seen.push(event.text);
          text = event.text;
          return draw();
        case 'end': {
          current = undefined;
          done++;
          if (event.outcome === 'not run') return;
          const reason = event.reason === undefined ? '' : `: ${event.reason}`;
          const facts = seen.splice(0).map((fact) => `\n${prefix}      ${fact}`);
          return line(
            `${marks[event.outcome]} ${titles.get(event.check)}${reason}  (${seconds(event.ms)})${facts.join('')}`,
          );
        }
        case 'verdict':
          current = undefined;
          return;
      }
    },
    close() {
      clearInterval(timer);
      erase();
    },
  };
}

function emulation(acceleration: string): string {
  return acceleration === 'kvm' ? 'KVM' : 'software emulation';
}
