/** Generates docs/json.md and the JSON Schema files from the definitions in packages/kpatch/documents. */
import { toJsonSchema } from '@valibot/to-json-schema';
import type { DocumentDefinition } from '#kpatch/documents/document.ts';
import { documents } from '#kpatch/documents/registry.ts';

/** JSON Schema as far as the documents use it. */
export interface JsonSchema {
  readonly $schema?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly JsonSchema[];
  readonly items?: JsonSchema;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | JsonSchema;
}

/** The schema of a document, draft 2020-12. */
export function jsonSchema(document: DocumentDefinition): JsonSchema {
  const schema = toJsonSchema(document.schema, {
    target: 'draft-2020-12',
    errorMode: 'ignore',
    // Other members may be added within a version, so readers must accept them.
    overrideSchema: ({ jsonSchema: made }) => {
      if (made.additionalProperties === false) delete made.additionalProperties;
      return made;
    },
  }) as JsonSchema;
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: document.name,
    ...schema,
    description: document.title,
  };
}

/** File name of a document's schema: `kpatch.build-1.json`. A stored document of the same name as a printed one ends in `-file`. */
export function schemaFile(document: DocumentDefinition): string {
  const twin = documents.some((one) => one.name === document.name && one.origin.kind !== document.origin.kind);
  const suffix = twin && document.origin.kind !== 'printed' ? '-file' : '';
  return `${document.name.replace('/', '-')}${suffix}.json`;
}

const titles = {
  general: 'All commands',
  make: 'Building',
  shield: 'Shields',
  proof: 'Proving',
  provenance: 'Provenance',
  host: 'One machine',
  cve: 'CVEs of a kernel',
  channel: 'Advisories, packages and channels',
  tuf: 'Channels by TUF',
  fleet: 'Fleets',
  stored: 'Files and modules',
  caches: 'Files that save work',
} as const;

const intro = `# JSON

Every command that takes \`--json\` prints exactly one JSON document on standard output, also when it fails. Progress is not
shown. The exit status is the same as without the option.

Each document has a member \`schema\`, its name and version (\`kpatch.build/1\`). Printed documents also have \`warnings\`, a list of
texts. Members may be added within a version; their meaning never changes. Numbers that can exceed 2^53 (addresses) are
hexadecimal strings with \`0x\`. Times are milliseconds if the name ends in \`ms\`, otherwise seconds. Members marked *optional* are
absent if there is nothing to say.

The JSON Schema files (draft 2020-12) are in [schemas/](schemas/). This page and the schemas are generated from
\`packages/kpatch/documents\` by \`make docs\`; the tests validate the real output of the commands against them.
`;

/** The page docs/json.md. */
export function jsonPage(): string {
  const sections = Object.entries(titles).map(([area, title]) => {
    const own = documents.filter((one) => one.area === area);
    return `## ${title}\n\n${own.map(documentText).join('\n')}`;
  });
  return `${intro}\n${sections.join('\n')}`;
}

function documentText(document: DocumentDefinition): string {
  const { name, title, origin } = document;
  const where =
    origin.kind === 'printed'
      ? `Printed by ${origin.by.map((command) => (command.includes(' command') ? command : `\`kpatch ${command} --json\``)).join(', ')}.`
      : origin.kind === 'stored'
        ? `Stored in ${origin.at}.`
        : `Given to ${origin.to}.`;
  const schema = jsonSchema(document);
  const rows = members(schema, '').map(([path, type, text]) => `| \`${path}\` | ${type} | ${text} |`);
  const table = rows.length === 0 ? '' : `| member | type | meaning |\n|---|---|---|\n${rows.join('\n')}\n`;
  return `### ${name}\n\n${title} ${where} [Schema](schemas/${schemaFile(document)}).\n\n${table}`;
}

/** One row for each member that has a description or a type of its own; `schema` and `warnings` are explained once. */
function members(schema: JsonSchema, prefix: string): [string, string, string][] {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]): [string, string, string][] => {
    if (prefix === '' && (name === 'schema' || name === 'warnings')) return [];
    const path = `${prefix}${name}`;
    const text = (member.description ?? '').replaceAll('|', '\\|');
    const optional = required.has(name) ? '' : ' (optional)';
    const row: [string, string, string] = [path, `${typeText(member)}${optional}`, text];
    const inner = objectIn(member);
    const deep = path.split('.').length;
    return inner === undefined || deep >= 3 ? [row] : [row, ...members(inner.schema, `${path}${inner.suffix}.`)];
  });
}

function objectIn(schema: JsonSchema): { schema: JsonSchema; suffix: string } | undefined {
  if (schema.properties !== undefined) return { schema, suffix: '' };
  if (schema.items?.properties !== undefined) return { schema: schema.items, suffix: '[]' };
  const inner = schema.anyOf?.find((one) => one.properties !== undefined);
  return inner === undefined ? undefined : { schema: inner, suffix: '' };
}

function typeText(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeText).join(' or ');
  if (schema.type === 'array') return `list of ${schema.items === undefined ? 'any' : typeText(schema.items)}`;
  return schema.type ?? 'any';
}
