/** Tells what happens, step by step, and counts what was not seen. */
import type { Guest } from '#kpatch/vm/guest.ts';

export interface Shown {
  readonly output: string;
}

export interface Story {
  say(text: string): void;
  /** Notes whether something was seen. */
  seen(what: string, yes: boolean): void;
  /** Runs a script in the guest and looks for what it has to show. */
  step(guest: Guest, what: string, script: string, shows: RegExp | readonly RegExp[], minutes?: number): Promise<Shown>;
  missed(): number;
}

export function story(): Story {
  let missing = 0;
  const say = (text: string): void => void process.stdout.write(`${text}\n`);
  const seen = (what: string, yes: boolean): void => {
    if (!yes) missing++;
    say(`${yes ? '✓' : '✗'} ${what}`);
  };
  return {
    say,
    seen,
    missed: () => missing,
    async step(guest, what, script, shows, minutes = 10) {
      // Through a pipe, so that programs print plain lines rather than draw on the guest's terminal.
      const { output } = await guest.run(`{ ${script}\n} 2>&1 | cat`, { step: what, deadlineMs: minutes * 60_000 });
      for (const line of output.trimEnd().split('\n')) say(`    ${line}`);
      const wanted = Array.isArray(shows) ? (shows as readonly RegExp[]) : [shows as RegExp];
      seen(
        what,
        wanted.every((pattern) => pattern.test(output)),
      );
      return { output };
    },
  };
}
