/** The source patch of a shield: one test at the start of the function, on the line of its opening brace. */
import { createTwoFilesPatch } from 'diff';
import type { CFunction } from '../source/c-functions.ts';

export interface ShieldGuard {
  readonly definition: CFunction;
  /** C expression; undefined to refuse every call. */
  readonly condition?: string;
  /** C expression to return. */
  readonly returns: string;
  readonly log: boolean;
  /** Seconds since 1970 after which calls pass again. */
  readonly until?: number;
}

const headers = ['err.h', 'printk.h', 'ratelimit.h', 'sched.h', 'cred.h', 'uidgid.h', 'timekeeping.h', 'capability.h'];

/** The test as C code without a line break, so that no line of the function moves. */
export function guardCode({ definition, condition, returns, log, until }: ShieldGuard): string {
  const tests = [
    ...(until === undefined ? [] : [`ktime_get_real_seconds() < ${until}LL`]),
    ...(condition === undefined ? [] : [`(${condition})`]),
  ];
  const message =
    `printk_ratelimited(KERN_NOTICE "kpatch shield: ${definition.name} refused: pid %d comm %.16s uid %u\\n", ` +
    'task_pid_nr(current), current->comm, from_kuid(&init_user_ns, current_uid()));';
  const refusal = `${log ? `${message} ` : ''}return ${returns};`;
  // The compiler must not see that the rest is never reached: it would drop it, and compile its callees differently.
  const always = 'int kpatch_always = 1; OPTIMIZER_HIDE_VAR(kpatch_always);';
  const body =
    tests.length === 0
      ? `${always} if (kpatch_always) { ${refusal} }`
      : `if (unlikely(${tests.join(' && ')})) { ${refusal} }`;
  // A declaration may stand before the function's own declarations, and its value is computed before theirs.
  return `int kpatch_shield __maybe_unused = ({ ${body} 0; });`;
}

/** The unified diff that puts the guard into the text of `file`. */
export function guardPatch(file: string, text: string, guard: ShieldGuard, description: string): string {
  const { definition } = guard;
  const guarded = `${text.slice(0, definition.open + 1)} ${guardCode(guard)}${text.slice(definition.open + 1)}`;
  const changed = withHeaders(guarded, text, definition);
  const diff = createTwoFilesPatch(`a/${file}`, `b/${file}`, text, changed, '', '', { context: 3 });
  return `${description}\n---\n${diff.replace(/^=+\n/, '')}`;
}

/** Includes what the guard uses after the last plain #include; `#line` keeps the numbers of the lines that follow. */
function withHeaders(guarded: string, text: string, definition: CFunction): string {
  const place = lastInclude(text.slice(0, definition.start));
  if (place === undefined) return guarded;
  const line = text.slice(0, place).split('\n').length;
  const includes = headers.map((name) => `#include <linux/${name}>\n`).join('');
  return `${guarded.slice(0, place)}${includes}#line ${line}\n${guarded.slice(place)}`;
}

/** The place after the last #include that no conditional surrounds. */
function lastInclude(text: string): number | undefined {
  let depth = 0;
  let at = 0;
  let found: number | undefined;
  for (const line of text.split('\n')) {
    at += line.length + 1;
    if (/^\s*#\s*if/.test(line)) depth++;
    else if (/^\s*#\s*endif/.test(line)) depth--;
    else if (depth === 0 && /^\s*#\s*include\s*[<"]/.test(line)) found = at;
  }
  return found;
}
