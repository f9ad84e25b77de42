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
  /** Items of a list by their place. */
  readonly prefixItems?: readonly Form[];
  readonly minItems?: number;
  readonly properties?: Readonly<Record<string, Form>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Form;
  readonly pattern?: string;
  readonly format?: string;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly minimum?: number;
  readonly maximum?: number;
}

type Frozen<T> = T extends readonly [infer A, infer B]
  ? readonly [Frozen<A>, Frozen<B>]
  : T extends readonly (infer I)[]
    ? readonly Frozen<I>[]
    : T extends Readonly<Record<string, infer V>>
      ? string extends keyof T
        ? unknown extends V
          ? object
          : Readonly<Record<string, Frozen<V>>>
        : { readonly [K in keyof T]: Frozen<Exclude<T[K], undefined>> }
      : T;

/** The content of a stored document as it was read: nobody changes it. */
export type Stored<D extends DocumentDefinition> = Frozen<Content<D>>;

export type StoredName = StoredDefinitions['name'];
/** The content of the stored document of that name. */
export type DocumentOf<N extends StoredName> = Stored<Extract<StoredDefinitions, { readonly name: N }>>;

/** A document that does not have its form; the message says where and why. */
export class FormError extends Error {}

/** The value as the stored document of that name. Error: `FormError`. */
export function storedDocument<const N extends StoredName>(name: N, value: unknown): DocumentOf<N> {
  const problem = formProblem(name, value);
  if (problem !== undefined) throw new FormError(problem);
  return value as DocumentOf<N>;
}

/** What is wrong with a value that should be a stored document, as `functions[2].name: must be text`; undefined if it fits. */
export function formProblem(name: StoredName, value: unknown): string | undefined {
  const form = (forms as Readonly<Record<string, Form>>)[name]!;
  const found = problemOf(form, value);
  const text = found === undefined || found.at === '' ? found?.text : `${found.at}: ${found.text}`;
  return versionProblem(form, value) ?? text;
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

/** What is wrong, and where: `functions[2].name`, or nothing for the whole document. */
interface Problem {
  readonly at: string;
  readonly text: string;
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

function problemOf(form: Form, value: unknown): Problem | undefined {
  if (form.anyOf !== undefined) {
    const problems = form.anyOf.map((one) => problemOf(one, value));
    return problems.includes(undefined) ? undefined : problems[0];
  }
  if ('const' in form) return value === form.const ? undefined : here(`must be ${JSON.stringify(form.const)}`);
  if (form.enum !== undefined)
    return form.enum.includes(value) ? undefined : here(`must be one of ${form.enum.join(', ')}`);
  if (form.type === 'array') return listProblem(form, value);
  if (form.type === 'object') return membersProblem(form, value);
  const text = form.type === undefined ? undefined : simple[form.type]?.(form, value);
  return text === undefined ? undefined : here(text);
}

const here = (text: string): Problem => ({ at: '', text });

/** The same problem as seen from what contains the value: `place` is a name, or a number in brackets. */
function inside(place: string, { at, text }: Problem): Problem {
  return { at: at === '' || at.startsWith('[') ? place + at : `${place}.${at}`, text };
}

/** Lists can have a million items, so a place is put into words only for a problem. */
function listProblem(form: Form, value: unknown): Problem | undefined {
  const { items, prefixItems, minItems = 0, maxItems = Number.POSITIVE_INFINITY } = form;
  if (!Array.isArray(value)) return here('must be a list');
  if (value.length > maxItems) return here(`must be a list of at most ${maxItems}`);
  if (value.length < minItems) return here(`must be a list of at least ${minItems}`);
  const isPlain = items === undefined ? undefined : plainCheck(items);
  for (let index = 0; index < value.length; index++) {
    if (isPlain?.(value[index])) continue;
    const form = prefixItems?.[index] ?? items;
    const problem = form === undefined ? undefined : problemOf(form, value[index]);
    if (problem !== undefined) return inside(`[${index}]`, problem);
  }
  return undefined;
}

/** Tells quickly that an item fits, for the forms that long lists consist of. */
function plainCheck(form: Form): ((value: unknown) => boolean) | undefined {
  if (form.enum !== undefined || 'const' in form) return undefined;
  const { type, maxLength, pattern, format, minimum = -Infinity, maximum = Infinity } = form;
  if (type === 'integer')
    return (value) => Number.isSafeInteger(value) && (value as number) >= minimum && (value as number) <= maximum;
  const anyText = type === 'string' && maxLength === undefined && pattern === undefined && format === undefined;
  return anyText ? (value) => typeof value === 'string' : undefined;
}

function membersProblem(form: Form, value: unknown): Problem | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return here('must be an object');
  const { properties = {}, required = [], additionalProperties = true } = form;
  const members = value as Readonly<Record<string, unknown>>;
  const missing = required.find((name) => members[name] === undefined);
  if (missing !== undefined) {
    const wanted = properties[missing]?.const;
    return inside(missing, here(wanted === undefined ? 'is missing' : `must be ${JSON.stringify(wanted)}`));
  }
  for (const [name, member] of Object.entries(members)) {
    const known = Object.hasOwn(properties, name) ? properties[name] : additionalProperties;
    if (known === true || member === undefined) continue;
    if (known === false) {
      const names = Object.keys(properties).join(', ');
      return here(`the member ${JSON.stringify(name)} is not known (known: ${names})`);
    }
    const problem = problemOf(known!, member);
    if (problem !== undefined) return inside(name, problem);
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
