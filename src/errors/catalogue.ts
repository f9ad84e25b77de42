/** The one catalogue of errors: the tables of all rooms, joined. `docs/errors.md` is printed from it. */
import { buildErrors } from './build.ts';
import { channelErrors } from './channel.ts';
import { diffErrors } from './diff.ts';
import { elfErrors } from './elf.ts';
import { generalErrors } from './general.ts';
import { hostErrors } from './host.ts';
import { kernelErrors } from './kernel.ts';
import { moduleErrors } from './module.ts';
import { proveErrors } from './prove.ts';
import { vmErrors } from './vm.ts';

export const catalogue = {
  ...generalErrors,
  ...elfErrors,
  ...diffErrors,
  ...kernelErrors,
  ...buildErrors,
  ...moduleErrors,
  ...vmErrors,
  ...proveErrors,
  ...hostErrors,
  ...channelErrors,
} as const;

export type ErrorCode = keyof typeof catalogue;

type Entry<C extends ErrorCode> = (typeof catalogue)[C];
type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}`
  ? Name | Placeholders<Rest>
  : never;

/** The names in braces in the texts of an entry. */
export type ParamsOf<C extends ErrorCode> = Placeholders<Entry<C>['what'] | Entry<C>['why'] | Entry<C>['fix']>;

export function entryOf(code: ErrorCode): import('./entry.ts').CatalogueEntry {
  return catalogue[code];
}
