/** A file that is being rewritten, and the callbacks that rules add to it. */
import { type CFunction, callsIn, functionsIn } from '../source/c-functions.ts';
import { onlyFiles, type Surroundings } from './surroundings.ts';

/** Moments at which the kernel calls a live patch, see Documentation/livepatch/callbacks.rst. */
export type Phase = 'pre_patch' | 'post_patch' | 'pre_unpatch' | 'post_unpatch';

/** What a rule did or why it did not. */
export interface RuleNote {
  readonly rule: string;
  readonly file: string;
  /** What it is about: a variable, member, table or key. */
  readonly name: string;
  readonly outcome: 'applied' | 'refused';
  /** One sentence without a full stop. */
  readonly text: string;
  /** What must be true for the result to be right; empty if it was refused. */
  readonly assumes: string;
}

/** A rule looks at one file, or at all files of the patch together. */
export type Rule = { readonly name: string } & (
  | {
      /** Changes the draft if the rule applies to it. */
      apply(draft: Draft): void;
    }
  | { applyAll(drafts: readonly Draft[]): void }
);

export class Draft {
  readonly file: string;
  readonly before: string;
  /** The text after the patch, changed by the rules. */
  text: string;
  readonly notes: RuleNote[] = [];
  readonly surroundings: Surroundings;
  readonly #callbacks = new Map<Phase, string[]>();
  readonly #states: string[] = [];
  readonly #unable: RuleNote[] = [];

  constructor(file: string, before: string, after: string, surroundings = onlyFiles([{ file, text: after }])) {
    this.file = file;
    this.before = before;
    this.text = after;
    this.surroundings = surroundings;
  }

  get functions(): CFunction[] {
    return functionsIn(this.text);
  }

  applied(rule: string, name: string, text: string, assumes: string): void {
    this.notes.push({ rule, file: this.file, name, outcome: 'applied', text, assumes });
  }

  refused(rule: string, name: string, text: string): void {
    this.notes.push({ rule, file: this.file, name, outcome: 'refused', text, assumes: '' });
  }

  /** Like `refused`, but another rule may still help; then nothing is said. */
  unable(rule: string, name: string, text: string): void {
    this.#unable.push({ rule, file: this.file, name, outcome: 'refused', text, assumes: '' });
  }

  /** What rules did, and what none of them could. */
  conclusions(): RuleNote[] {
    const done = new Set(this.notes.filter(({ outcome }) => outcome === 'applied').map(({ name }) => name));
    const known = new Set(this.notes.filter(({ outcome }) => outcome === 'refused').map(({ name }) => name));
    const open = this.#unable.filter(({ name }) => !done.has(name));
    return [...this.notes, ...open.sort((a, b) => Number(known.has(a.name)) - Number(known.has(b.name)))];
  }

  /** Adds a C statement to a callback. */
  callback(phase: Phase, statement: string): void {
    this.#callbacks.set(phase, [...(this.#callbacks.get(phase) ?? []), statement]);
  }

  /** Declares a state of the system that a later patch must know. */
  state(id: number): void {
    this.#states.push(`KPATCH_STATE(${id}, 1);`);
  }

  /** Replaces the part of the text from `start` to `end`. */
  replace(start: number, end: number, by: string): void {
    this.text = this.text.slice(0, start) + by + this.text.slice(end);
  }

  /** The finished text: callbacks stand at its end, their header in front of the first function or after the includes. */
  finish(): string {
    if (this.#callbacks.size === 0 && this.#states.length === 0) return this.text;
    const macro = (phase: Phase): string => `KPATCH_${phase.toUpperCase()}_CALLBACK`;
    const bodies = [...this.#callbacks].map(([phase, statements]) => {
      const lines = statements.map((one) => `\t${one}\n`).join('');
      const [type, end] = phase === 'pre_patch' ? ['int', '\treturn 0;\n'] : ['void', ''];
      return `\nstatic ${type} kpatch_${phase}(patch_object *object)\n{\n${lines}${end}}\n${macro(phase)}(kpatch_${phase});\n`;
    });
    const states = this.#states.map((one) => `${one}\n`).join('');
    return `${this.text}\n/* Added by kpatch rewrite. */\n#include "kpatch-macros.h"\n${states}${bodies.join('')}`;
  }
}

/** The function around an offset of the text; undefined outside of functions. */
export function functionAt(functions: readonly CFunction[], at: number): CFunction | undefined {
  return functions.find((one) => one.open <= at && at < one.end);
}

/** True if something in the text calls the function. */
export function isCalled(functions: readonly CFunction[], name: string): boolean {
  return functions.some((one) => callsIn(one.body).some((call) => call.name === name));
}
