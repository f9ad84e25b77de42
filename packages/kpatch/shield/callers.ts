/** Who calls a function, and what the callers do with its result: which return values they understand. */
import { type CFunction, callsIn, functionsIn } from '../source/c-functions.ts';
import { lockCalls } from '../source/locks.ts';
import type { Problem } from './early-return.ts';
import type { SourceText } from './locate.ts';

export interface Caller {
  readonly function: string;
  /** Such as `sound/core/control.c:1632`. */
  readonly place: string;
  /** What happens to the result. */
  readonly result: 'returned' | 'tested' | 'ignored' | 'asserted' | 'used';
}

/** A place that takes the address of the function. */
export interface Reference {
  readonly place: string;
  /** `.ioctl` of a table, or the function that it is passed to. */
  readonly through: string;
}

export interface Callers {
  readonly callers: readonly Caller[];
  readonly references: readonly Reference[];
  /** Values that a caller compares the result with, such as `-EAGAIN`: they have a meaning of their own. */
  readonly special: readonly string[];
  /** Values that the function itself returns. */
  readonly own: readonly string[];
  readonly problems: readonly Problem[];
}

/** Functions that call what they are given where no caller learns of an error. */
const noCaller =
  /^_*(?:kthread_\w+|INIT_(?:DELAYED_)?WORK\w*|timer_setup\w*|setup_timer|hrtimer_\w+|request_(?:threaded_)?irq|devm_request\w*irq|register_\w*notifier\w*|call_rcu\w*|call_srcu|smp_call_function\w*|on_each_cpu\w*|stop_machine\w*|tasklet_\w+|task_work_\w+|init_task_work|init_irq_work|irq_work_\w+|kref_put\w*|queue_work\w*)$/;

const badField =
  /^(?:release|destroy|free\w*|exit|remove|close|shutdown|disconnect|kill_sb|put_super|evict_inode|ndo_start_xmit|ndo_stop|ndo_uninit|dellink|func|function|handler|notifier_call|thread_fn|rcv|hook|poll|detach|unbind|stop|cleanup|fini|deactivate|disable|suspend|resume|complete|end_io|bi_end_io|callback)$/;

/** Looks at every mention of the function in the given files. */
export function callersOf(mentions: readonly SourceText[], definition: CFunction, isSystemCall: boolean): Callers {
  const { name } = definition;
  const callers: Caller[] = [];
  const references: Reference[] = [];
  const special = new Set<string>();
  const problems: Problem[] = [];
  for (const { file, text } of mentions) {
    const functions = functionsIn(text);
    if (!file.endsWith('.c') || isShadowed(functions, name, definition, text)) continue;
    for (const one of functions) {
      for (const call of callsIn(one.body).filter((candidate) => candidate.name === name)) {
        if (one.start === definition.start && one.name === name) continue;
        const use = resultOf(one.body, call.at, call.end);
        for (const value of use.compared) special.add(value);
        const place = `${file}:${lineAt(text, one.open + call.at)}`;
        callers.push({ function: one.name, place, result: use.result });
        problems.push(...callerProblems(one, call.at, call.end, place));
      }
    }
    references.push(...referencesIn(file, text, name));
  }
  problems.push(...resultProblems(callers), ...referenceProblems(references));
  if (callers.length === 0 && references.length === 0 && !isSystemCall)
    problems.push({ kind: 'callers', text: 'nothing in the source was found that calls it' });
  const own = [...new Set([...definition.body.matchAll(/-E[A-Z][A-Z0-9]+/g)].map(([value]) => value))].sort();
  return { callers, references, special: [...special].sort(), own, problems: unique(problems) };
}

/** True if the file has a static function of the same name, so that its calls are of that one. */
function isShadowed(functions: readonly CFunction[], name: string, definition: CFunction, text: string): boolean {
  const own = functions.find((one) => one.name === name);
  return (
    own !== undefined &&
    (own.start !== definition.start || text.slice(own.start, own.end).length !== definition.end - definition.start)
  );
}

interface Use {
  readonly result: Caller['result'];
  readonly compared: readonly string[];
}

function resultOf(body: string, at: number, end: number): Use {
  const before = body.slice(Math.max(0, body.slice(0, at).search(/[;{}][^;{}]*$/) + 1), at).trim();
  const after = body.slice(end, end + 600);
  const compared = [...body.slice(end, end + 60).matchAll(/^\s*[!=]=\s*(-E[A-Z0-9]+)/g)].map(([, value]) => value!);
  if (/\b(?:BUG_ON|WARN_ON|WARN|panic|VM_BUG_ON)\w*\s*\([^;]*$/.test(before)) return { result: 'asserted', compared };
  if (/\breturn\b[^;]*$/.test(before)) return { result: 'returned', compared };
  const variable = /([A-Za-z_][\w.>-]*)\s*(?:\|)?=\s*(?:\([^()]*\)\s*)?$/.exec(before)?.[1];
  if (variable !== undefined) {
    const name = variable.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    const uses = [...after.matchAll(new RegExp(`\\b${name}\\s*[!=]=\\s*(-E[A-Z0-9]+)`, 'g'))].map(
      ([, value]) => value!,
    );
    const read = new RegExp(`\\b${name}\\b`).test(after) || /\b(?:if|while)\s*\([^;]*$/.test(before);
    return { result: read ? 'tested' : 'used', compared: [...compared, ...uses] };
  }
  if (/\b(?:if|while|for|switch)\s*\(/.test(before) || /[!&|?:=<>(,]\s*$/.test(before))
    return { result: 'tested', compared };
  return { result: 'ignored', compared };
}

/** A caller that holds a lock over the call and does not release it afterwards leaves that to the function. */
function callerProblems(caller: CFunction, at: number, end: number, place: string): Problem[] {
  const calls = lockCalls(caller.body);
  const before = calls.filter((one) => one.at < at);
  const held = before.filter(
    (one, index) =>
      one.kind === 'take' && !before.slice(index + 1).some(({ kind, key }) => kind === 'release' && key === one.key),
  );
  const kept = held.filter(
    (one) => !calls.some(({ kind, key, at: later }) => kind === 'release' && key === one.key && later > end),
  );
  const annotated = /\b__acquires?\s*\(/.test(caller.head);
  return kept
    .filter(() => !annotated)
    .slice(0, 1)
    .map(({ text }) => {
      const where = `${caller.name} (${place})`;
      return { kind: 'lock', text: `${where} calls it with ${text} held and does not release that itself` };
    });
}

function referencesIn(file: string, text: string, name: string): Reference[] {
  const found: Reference[] = [];
  for (const match of text.matchAll(new RegExp(`\\b${name}\\b(?!\\s*\\()`, 'g'))) {
    const line = lineAt(text, match.index);
    const place = `${file}:${line}`;
    const before = text.slice(Math.max(0, match.index - 300), match.index);
    const field = /\.(\w+)\s*=\s*&?$/.exec(before)?.[1];
    if (field !== undefined) found.push({ place, through: `.${field}` });
    else {
      const call = /\b(\w+)\s*\((?:[^();]|\([^()]*\))*$/.exec(before)?.[1];
      const code = !/^\s*(?:\*|\/\*|\/\/)/.test(text.split('\n')[line - 1] ?? '') && !/\/\*[^/]*$/.test(before);
      if (call !== undefined && code && !/^EXPORT_SYMBOL/.test(call) && !/^(?:if|return|while)$/.test(call))
        found.push({ place, through: call });
    }
  }
  return found;
}

function resultProblems(callers: readonly Caller[]): Problem[] {
  const ignoring = callers.filter(({ result }) => result === 'ignored');
  const asserting = callers.filter(({ result }) => result === 'asserted');
  const problem = (text: string): Problem => ({ kind: 'callers', text });
  return [
    ...ignoring
      .slice(0, 2)
      .map((one) => problem(`${one.function} (${one.place}) ignores its result and goes on as after a success`)),
    ...asserting
      .slice(0, 1)
      .map((one) => problem(`${one.function} (${one.place}) treats an error as a fault of the kernel`)),
  ];
}

function referenceProblems(references: readonly Reference[]): Problem[] {
  return references.flatMap(({ place, through }): Problem[] => {
    if (through.startsWith('.') && badField.test(through.slice(1)))
      return [
        {
          kind: 'callers',
          text: `it is called through ${through} (${place}), where an error is not expected or means that something stays`,
        },
      ];
    if (noCaller.test(through))
      return [{ kind: 'callers', text: `it is passed to ${through} (${place}), so nobody learns of its error` }];
    return [];
  });
}

function unique(problems: readonly Problem[]): Problem[] {
  return problems.filter((one, at) => problems.findIndex(({ text }) => text === one.text) === at);
}

function lineAt(text: string, at: number): number {
  let line = 1;
  for (let index = text.indexOf('\n'); index >= 0 && index < at; index = text.indexOf('\n', index + 1)) line++;
  return line;
}
