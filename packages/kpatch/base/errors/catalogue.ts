/** The catalogue of all errors: the tables of all folders, joined. `docs/errors.md` is generated from it. */
import { buildErrors } from './entries/build.ts';
import { channelErrors } from './entries/channel.ts';
import { diffErrors } from './entries/diff.ts';
import { elfErrors } from './entries/elf.ts';
import { factoryErrors } from './entries/factory.ts';
import { generalErrors } from './entries/general.ts';
import { hostErrors } from './entries/host.ts';
import { kernelErrors } from './entries/kernel.ts';
import { moduleErrors } from './entries/module.ts';
import { proveErrors } from './entries/prove.ts';
import { provenanceErrors } from './entries/provenance.ts';
import { reviewErrors } from './entries/review.ts';
import { sandboxErrors } from './entries/sandbox.ts';
import { shieldErrors } from './entries/shield.ts';
import { tufErrors } from './entries/tuf.ts';
import { vmErrors } from './entries/vm.ts';

export const catalogue = {
  ...generalErrors,
  ...elfErrors,
  ...diffErrors,
  ...kernelErrors,
  ...buildErrors,
  ...moduleErrors,
  ...reviewErrors,
  ...sandboxErrors,
  ...shieldErrors,
  ...vmErrors,
  ...proveErrors,
  ...provenanceErrors,
  ...hostErrors,
  ...channelErrors,
  ...tufErrors,
  ...factoryErrors,
} as const;

export type ErrorCode = keyof typeof catalogue;

type Entry<C extends ErrorCode> = (typeof catalogue)[C];
type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}`
  ? NameOf<Name> | Placeholders<Rest>
  : never;
/** `{count function}` names the parameter `count`. */
type NameOf<S extends string> = S extends `${infer Name} ${string}` ? Name : S;

/** The names in braces in the texts of an entry. */
export type ParamsOf<C extends ErrorCode> = Placeholders<Entry<C>['what'] | Entry<C>['why'] | Entry<C>['fix']>;

export function entryOf(code: ErrorCode): import('./entry.ts').CatalogueEntry {
  return catalogue[code];
}
