/** All documents. docs/json.md and the JSON Schema files are generated from this list. */
import * as caches from './definitions/caches.ts';
import * as channel from './definitions/channel.ts';
import * as cve from './definitions/cve.ts';
import * as fleet from './definitions/fleet.ts';
import * as general from './definitions/general.ts';
import * as host from './definitions/host.ts';
import * as make from './definitions/make.ts';
import * as proof from './definitions/proof.ts';
import * as provenance from './definitions/provenance.ts';
import * as shield from './definitions/shield.ts';
import * as stored from './definitions/stored.ts';
import * as tuf from './definitions/tuf.ts';
import type { Content, DocumentDefinition } from './document.ts';

const areas = { general, make, shield, proof, provenance, host, cve, channel, tuf, fleet, stored, caches } as const;

function isDocument(value: unknown): value is DocumentDefinition {
  return typeof value === 'object' && value !== null && 'origin' in value && 'schema' in value;
}

/** Every document with the area of the documentation that it belongs to. */
export const documents: readonly (DocumentDefinition & { readonly area: keyof typeof areas })[] = Object.entries(
  areas,
).flatMap(([area, module]) =>
  (Object.values(module) as unknown[]).filter(isDocument).map((one) => ({ ...one, area: area as keyof typeof areas })),
);

/** The definition of a printed document by its name; undefined if there is none. */
export function printedDocument(name: string): DocumentDefinition | undefined {
  return documents.find((one) => one.name === name && one.origin.kind === 'printed');
}

type Areas = typeof areas;
type Definitions = { [A in keyof Areas]: Areas[A][keyof Areas[A]] }[keyof Areas];
/** Those that kpatch reads. */
export type StoredDefinitions = Extract<Definitions, { readonly origin: { readonly kind: 'stored' | 'given' } }>;
type PrintedDefinition = Extract<Definitions, { readonly origin: { readonly kind: 'printed' } }>;

/** A value that becomes the document when it is written as JSON: members may be undefined, and errors know their own form. */
export type Writable<T> = T extends readonly (infer I)[]
  ? readonly Writable<I>[]
  : T extends object
    ? { readonly [K in keyof T]: Writable<T[K]> | (undefined extends T[K] ? undefined : never) } | { toJSON(): object }
    : T;

/** What commands print, by document name: the members without `schema` and `warnings`, which are added. */
export type Printed = {
  [D in PrintedDefinition as D['name']]: Writable<Omit<Content<D>, 'schema' | 'warnings'>>;
};
