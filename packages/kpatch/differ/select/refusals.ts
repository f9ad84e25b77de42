/** Changes that cannot be made in a running kernel. All are collected, so that one run tells the user all of them. */

import type { ErrorCode, ParamsOf } from '../../base/errors/catalogue.ts';
import { failure, type KpatchError, renderWhere, type Value, type Where } from '../../base/errors/error.ts';
import { type Part, sourceOf } from '../parts/part.ts';

/** The place with the source file and line; the object file moves to `object`. */
function withSource(where: Where, part: Part, offset: number | undefined): Where {
  const source = sourceOf(part, offset);
  if (source === undefined) return where;
  const { file, ...rest } = where;
  return { ...(file === undefined ? {} : { object: file }), ...rest, ...source };
}

export class Refusals {
  readonly #all = new Map<string, (detail?: string) => KpatchError>();

  /**
   * Adds one; the same one is kept once. Where code is meant, `part` and the offset in its section tell the source line, if
   * debug information has it.
   */
  add<C extends ErrorCode>(
    code: C,
    params: Readonly<Record<ParamsOf<C>, Value>>,
    place: Where,
    part?: Part,
    offset?: number,
  ): void {
    const where = part === undefined ? place : withSource(place, part, offset);
    const make = (detail?: string): KpatchError =>
      failure(code, params, detail === undefined ? { where } : { where, detail });
    const key = `${code} ${make().message}`;
    if (!this.#all.has(key)) this.#all.set(key, make);
  }

  get count(): number {
    return this.#all.size;
  }

  /** Throws the first; where there are several, its detail lists all of them, each with its way out. */
  check(): void {
    const all = [...this.#all.values()];
    const [first] = all;
    if (first === undefined) return;
    if (all.length === 1) throw first();
    const lines = all.flatMap((make) => {
      const error = make();
      const where = renderWhere(error.where);
      return [`${error.message} [${error.code}]${where === '' ? '' : `, ${where}`}`, `    do: ${error.fix}`];
    });
    throw first([`${all.length} changes cannot be live patched:`, ...lines].join('\n'));
  }
}
