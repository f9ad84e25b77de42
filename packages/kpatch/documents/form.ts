/**
 * Checks a document that is read against its definition, without loading the library that the definitions are written in:
 * `kpatch list`, status and the boot unit read documents too, and have no 20 ms for it. `forms.ts` is generated from the
 * definitions by `make docs`; this file understands as much of JSON Schema as the definitions need.
 */
import type { Content, DocumentDefinition } from './document.ts';
import { forms } from './forms.ts';
import type { StoredDefinitions } from './registry.ts';

/** The part of JSON Schema that the definitions need. `title` says what a text must be, after "must be". */
export interface Form {
  readonly title?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Form[];
  readonly items?: Form;
  readonly properties?: Readonly<Record<string, Form>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Form;
  readonly pattern?: string;
  readonly format?: string;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

type Frozen<T> = T extends readonly (infer I)[]
  ? readonly Frozen<I>[]
  : T extends object
    ? string extends keyof T
      ? object
      : { readonly [K in keyof T]: Frozen<Exclude<T[K], undefined>> }
    : T;

/** The content of a stored document as it was read: nobody changes it. */
export type Stored<D extends DocumentDefinition> = Frozen<Content<D>>;

type Definition<N> = Extract<StoredDefinitions, { readonly name: N }>;
export type StoredName = StoredDefinitions['name'];

/** A document that does not have its form; the message says where and why. */
export class FormError extends Error {}

/** The value as the stored document of that name. Error: `FormError`. */
export function storedDocument<const N extends StoredName>(name: N, value: unknown): Stored<Definition<N>> {
  const problem = formProblem(name, value);
  if (problem !== undefined) throw new FormError(problem);
  return value as Stored<Definition<N>>;
}

/** What is wrong with a value that should be a stored document, as `functions[2].name: must be text`; undefined if it fits. */
export function formProblem(name: StoredName, value: unknown): string | undefined {
  const form = (forms as Readonly<Record<string, Form>>)[name]!;
  return versionProblem(form, value) ?? problemOf(form, value, '');
}

/** Another version is said as such: its other members mean nothing here. */
function versionProblem(form: Form, value: unknown): string | undefined {
  const wanted = form.properties?.schema?.const;
  if (typeof wanted !== 'string' || typeof value !== 'object' || value === null) return undefined;
  const { schema } = value as { readonly schema?: unknown };
  if (typeof schema !== 'string' || schema === wanted) return undefined;
  const [name] = wanted.split('/');
  if (!schema.startsWith(`${name}/`)) return `schema: must be "${wanted}"`;
  return `schema: it has the form ${JSON.stringify(schema)}, but this version of kpatch knows only "${wanted}"`;
}

type Check = (form: Form, value: unknown) => string | undefined;

const simple: Readonly<Record<string, Check>> = {
  null: (_, value) => (value === null ? undefined : 'must be null'),
  boolean: (_, value) => (typeof value === 'boolean' ? undefined : 'must be true or false'),
  number: (form, value) => (typeof value === 'number' && inRange(form, value) ? undefined : 'must be a number'),
  integer: (form, value) =>
    Number.isSafeInteger(value) && inRange(form, value as number) ? undefined : `must be ${wholeNumber(form)}`,
  string: (form, value) => {
    if (typeof value !== 'string') return `must be ${form.title ?? 'text'}`;
    const fits =
      (form.maxLength === undefined || value.length <= form.maxLength) &&
      (form.pattern === undefined || patternOf(form.pattern).test(value)) &&
      (form.format !== 'date-time' || isTime(value));
    return fits
      ? undefined
      : `must be ${form.title ?? (form.format === 'date-time' ? 'a time' : 'text of another form')}`;
  },
};

function problemOf(form: Form, value: unknown, at: string): string | undefined {
  const say = (problem: string | undefined): string | undefined =>
    problem === undefined || at === '' ? problem : `${at}: ${problem}`;
  if (form.anyOf !== undefined) {
    const problems = form.anyOf.map((one) => problemOf(one, value, at));
    return problems.includes(undefined) ? undefined : problems[0];
  }
  if ('const' in form) return value === form.const ? undefined : say(`must be ${JSON.stringify(form.const)}`);
  if (form.enum !== undefined)
    return form.enum.includes(value) ? undefined : say(`must be one of ${form.enum.join(', ')}`);
  if (form.type === 'array') return listProblem(form, value, at, say);
  if (form.type === 'object') return membersProblem(form, value, at, say);
  return form.type === undefined ? undefined : say(simple[form.type]?.(form, value));
}

type Say = (problem: string) => string | undefined;

function listProblem(form: Form, value: unknown, at: string, say: Say) {
  const { items = {}, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = form;
  if (!Array.isArray(value)) return say('must be a list');
  if (value.length < minItems) return say(`must be a list of at least ${minItems}`);
  if (value.length > maxItems) return say(`must be a list of at most ${maxItems}`);
  for (const [index, item] of value.entries()) {
    const problem = problemOf(items, item, `${at}[${index}]`);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function membersProblem(form: Form, value: unknown, at: string, say: Say): string | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return say('must be an object');
  const { properties = {}, required = [], additionalProperties = true } = form;
  const members = value as Readonly<Record<string, unknown>>;
  const missing = required.find((name) => members[name] === undefined);
  const place = (name: string): string => (at === '' ? name : `${at}.${name}`);
  if (missing !== undefined) {
    const wanted = properties[missing]?.const;
    return `${place(missing)}: ${wanted === undefined ? 'is missing' : `must be ${JSON.stringify(wanted)}`}`;
  }
  for (const [name, member] of Object.entries(members)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    if (known === true || member === undefined) continue;
    if (known === false) {
      const names = Object.keys(properties).join(', ');
      return say(`the member ${JSON.stringify(name)} is not known (known: ${names})`);
    }
    const problem = problemOf(known!, member, place(name));
    if (problem !== undefined) return problem;
  }
  return undefined;
}

/** ISO 8601. Date.parse alone also takes text with remarks in parentheses. */
function isTime(value: string): boolean {
  const iso = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:Z|[+-]\d{2}(?::?\d{2})?)$/;
  return iso.test(value) && !Number.isNaN(Date.parse(value));
}

function inRange({ minimum = -Infinity, maximum = Infinity }: Form, value: number): boolean {
  return Number.isFinite(value) && value >= minimum && value <= maximum;
}

function wholeNumber({ minimum, maximum }: Form): string {
  if (minimum === undefined || minimum === Number.MIN_SAFE_INTEGER) return 'a whole number';
  if (maximum === undefined || maximum === Number.MAX_SAFE_INTEGER) return `a whole number from ${minimum}`;
  return `a whole number from ${minimum} to ${maximum}`;
}

/** Compiled patterns, by their text. */
const patterns = new Map<string, RegExp>();

function patternOf(text: string): RegExp {
  let pattern = patterns.get(text);
  if (pattern === undefined) {
    pattern = new RegExp(text);
    patterns.set(text, pattern);
  }
  return pattern;
}
