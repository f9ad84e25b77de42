/** The catalogue of all errors (entries/all.ts): its codes and the parameters of their texts. */
import { createRequire } from 'node:module';
import type { catalogue } from './entries/all.ts';
import type { CatalogueEntry } from './entry.ts';

export type Catalogue = typeof catalogue;

export type ErrorCode = keyof Catalogue;

type Entry<C extends ErrorCode> = Catalogue[C];
type Placeholders<S extends string> = S extends `${string}{${infer Name}}${infer Rest}`
  ? NameOf<Name> | Placeholders<Rest>
  : never;
/** `{count function}` names the parameter `count`. */
type NameOf<S extends string> = S extends `${infer Name} ${string}` ? Name : S;

/** The names in braces in the texts of an entry. */
export type ParamsOf<C extends ErrorCode> = Placeholders<Entry<C>['what'] | Entry<C>['why'] | Entry<C>['fix']>;

let loaded: Catalogue | undefined;

/** An entry. The texts are loaded with the first error: most commands need none, and start faster without them. */
export function entryOf(code: ErrorCode): CatalogueEntry {
  loaded ??= (createRequire(import.meta.url)('./entries/all.ts') as { catalogue: Catalogue }).catalogue;
  return loaded[code];
}
