/** Changes that cannot be made in a running kernel. All are collected, so that one run tells the person all of them. */
import type { ErrorCode, ParamsOf } from '../errors/catalogue.ts';
import { fail, type KpatchError, renderWhere, type Value, type Where } from '../errors/error.ts';

export class Refusals {
  readonly #all = new Map<string, (detail?: string) => KpatchError>();

  /** Adds one; the same one is kept once. */
  add<C extends ErrorCode>(code: C, params: Readonly<Record<ParamsOf<C>, Value>>, where: Where): void {
    const make = (detail?: string): KpatchError =>
      fail(code, params, detail === undefined ? { where } : { where, detail });
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
    throw first([`${all.length} changes cannot be made in a running kernel:`, ...lines].join('\n'));
  }
}
