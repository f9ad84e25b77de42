/** Functions that some task never leaves, or that run only once: the transition does not complete, or the fix has no effect. */
import { isHiddenFromStacks, neverLeft } from '../../module/always-on-stack.ts';
import { type CCall, type CFunction, callsIn, functionsIn } from '../../source/c-functions.ts';
import { type Change, type FunctionChange, placeOf } from '../change.ts';
import type { Hazard, HazardKind } from '../hazard.ts';

export const never: HazardKind = {
  kind: 'never-left',
  title: 'A changed function is always on some stack, is never traced, or has already run for the last time.',
  find: (change) =>
    change.functions
      .filter(({ before, after }) => before !== undefined && after !== undefined)
      .flatMap((one) => look(one, change)),
};

const starts =
  /^_*(?:kthread_(?:run|create|create_on_node|create_on_cpu|run_on_cpu|create_worker)|kernel_thread|user_mode_thread|create_io_thread|vhost_task_create|smpboot_register_percpu_thread)$/;

function look(change: FunctionChange, { files, mentions, unchanged, functions }: Change): Hazard[] {
  const make = (reason: string, remedy: string): Hazard[] => {
    return [
      {
        kind: 'never-left',
        place: placeOf(change, change.added[0] ?? change.removed[0]),
        function: change.name,
        reason,
        remedy,
      },
    ];
  };
  const texts = [...files.map(({ after }) => after), ...mentions.values()];
  const name = change.name;
  const known = neverLeft('vmlinux', name);
  if (known !== undefined || isHiddenFromStacks(name))
    return make(
      `the transition cannot complete: ${known ?? 'sleeping tasks are in it'}`,
      'move the change into a function that it calls',
    );
  const thread = texts.some((text) => isThread(text, name));
  if (thread && /\b(?:while|for)\s*\(/.test(change.after!.body))
    return make(
      'it is the main function of a kernel thread: the transition waits until no such thread runs, and a running one keeps the old code',
      'move the change into a function that the loop calls',
    );
  if (/\b(?:notrace|noinstr|__kprobes|__entry_text)\b/.test(change.after!.head))
    return make(
      'ftrace does not trace it, so a live patch cannot redirect it',
      'move the change into a caller that is traced',
    );
  const callers = [...unchanged, ...functions.flatMap((one) => (one.after === undefined ? [] : [one.after]))].filter(
    (one) => one.name !== name && callsWith(one, name).some((call) => call.name === name),
  );
  const isStatic = /\bstatic\b/.test(change.after!.head);
  const taken = texts.some((text) => new RegExp(`[=,(]\\s*&?${name}\\s*[,;)}]`).test(text));
  if (isStatic && !taken && callers.length > 0 && callers.every(({ head }) => /\b__(?:init|exit|meminit)\b/.test(head)))
    return make(
      `only initialisation code calls it (${callers[0]!.name}), which has already run`,
      'do what the new code would have done in a callback, or boot a fixed kernel',
    );
  return [];
}

function isThread(text: string, name: string): boolean {
  if (new RegExp(`\\.thread_fn\\s*=\\s*&?${name}\\b`).test(text)) return true;
  if (!new RegExp(`\\(\\s*&?${name}\\s*,`).test(text)) return false;
  return functionsIn(text).some((one) =>
    callsWith(one, name).some((call) => starts.test(call.name) && call.arguments[0]?.replace(/^&/, '') === name),
  );
}

/** The calls in a function's body, if the word occurs in it at all: most bodies of a large series are never taken apart. */
function callsWith({ body }: CFunction, word: string): CCall[] {
  return body.includes(word) ? callsIn(body) : [];
}
