/**
 * Documents: every JSON document that the program prints, stores or reads has one definition in this folder. The types, the
 * validation, docs/json.md and the JSON Schema files all come from it.
 *
 * This folder takes nothing and knows no stage. Stages import types from here, which cost nothing at run time, and load a
 * definition only when they read a document from outside: `kpatch list`, help and completion load none.
 */
import * as v from 'valibot';

/** Who makes a document, and how a reader meets it. */
export type Origin =
  /** Printed by commands with `--json`. */
  | { readonly kind: 'printed'; readonly by: readonly string[] }
  /** A file that the program writes and reads again. */
  | { readonly kind: 'stored'; readonly at: string }
  /** A file that people or other programs write for kpatch. */
  | { readonly kind: 'given'; readonly to: string };

export interface DocumentDefinition<S extends v.GenericSchema = v.GenericSchema> {
  /** Name and version: `kpatch.status/1`. Members may be added to a version; their meaning never changes within one. */
  readonly name: string;
  readonly title: string;
  readonly origin: Origin;
  readonly schema: S;
}

/** The type of a document's content. */
export type Content<D> = D extends DocumentDefinition<infer S> ? v.InferOutput<S> : never;

/** A document that commands print: `schema` and `warnings` are added to its members. */
export function printed<const E extends v.ObjectEntries>(
  name: string,
  by: string | readonly string[],
  title: string,
  members: E,
) {
  const schema = v.object({
    schema: v.pipe(v.literal(name), v.description('Name and version of this document.')),
    warnings: v.pipe(v.array(v.string()), v.description('Warnings of the command, one sentence each.')),
    ...members,
  });
  return { name, title, origin: { kind: 'printed', by: typeof by === 'string' ? [by] : by }, schema } as const;
}

/** A document that is stored at a path. Its members include `schema`. */
export function stored<const N extends string, const E extends v.ObjectEntries>(
  name: N,
  at: string,
  title: string,
  members: E,
) {
  const schema = v.object({
    schema: v.pipe(v.literal(name), v.description('Name and version of this document.')),
    ...members,
  });
  return { name, title, origin: { kind: 'stored', at }, schema } as const;
}

/** The same for a file that people write: a member that is not known is an error, since it may be a typing error in a rule. */
export function storedExactly<const N extends string, const E extends v.ObjectEntries>(
  name: N,
  at: string,
  title: string,
  members: E,
) {
  const schema = v.strictObject({
    schema: v.pipe(v.literal(name), v.description('Name and version of this document.')),
    ...members,
  });
  return { name, title, origin: { kind: 'stored', at }, schema } as const;
}

/** A file that people write for kpatch. `schema` may be left out; a member that is not known is an error, as above. */
export function given<const N extends string, const E extends v.ObjectEntries>(
  name: N,
  to: string,
  title: string,
  members: E,
) {
  const schema = v.strictObject({
    schema: v.optional(v.pipe(v.literal(name), v.description('Name and version of this document.'))),
    ...members,
  });
  return { name, title, origin: { kind: 'given', to }, schema } as const;
}

/** A file that saves work and has no member `schema`; its content need not be an object. */
export function kept<const N extends string, const S extends v.GenericSchema>(
  name: N,
  at: string,
  title: string,
  schema: S,
) {
  return { name, title, origin: { kind: 'stored', at }, schema } as const;
}

/** Text of a certain form; `what` completes the sentence "must be …". */
export function textOf(pattern: RegExp, what: string) {
  return v.pipe(v.string(), v.regex(pattern), v.title(what));
}

/** Describes a member. */
export function described<const S extends v.GenericSchema>(schema: S, text: string) {
  return v.pipe(schema, v.description(text));
}

/** The content of a value with the members that the schema knows and no others, or its first problem. */
export function contentOf<S extends v.GenericSchema>(
  schema: S,
  value: unknown,
): { readonly content: v.InferOutput<S> } | { readonly problem: string } {
  const result = v.safeParse(schema, value, { abortEarly: true });
  return result.success ? { content: result.output } : { problem: problemIn(schema, value) ?? 'it is malformed' };
}

/** The first problem of a value, as `functions[2].name: expected a string`; undefined if it fits. */
export function problemIn(schema: v.GenericSchema, value: unknown): string | undefined {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return undefined;
  const [issue] = result.issues;
  const place = v.getDotPath(issue) ?? '';
  return place === '' ? issue.message : `${place}: ${issue.message}`;
}

/** A stored document of the first version, which has no member `schema`. */
export function storedWithout<const N extends string, const E extends v.ObjectEntries>(
  name: N,
  at: string,
  title: string,
  members: E,
) {
  return { name, title, origin: { kind: 'stored', at }, schema: v.object(members) } as const;
}
