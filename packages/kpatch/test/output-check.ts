/**
 * Loaded by `make test` into every `kpatch` that a test starts (`node --import`). If the command prints a JSON document, the
 * document must fit its JSON Schema file and have no member that the schema does not describe. Otherwise the process says
 * so and ends with status 99, which no command uses, so that the test fails.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const program = join(import.meta.dirname, '../cli/main.ts');

/** The schema with every object closed. */
function closed(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(closed);
  if (typeof schema !== 'object' || schema === null) return schema;
  const made = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, closed(value)]));
  return 'properties' in made && !('additionalProperties' in made) ? { ...made, additionalProperties: false } : made;
}

/** What is wrong with a printed document; undefined if nothing is. */
export function problemOfOutput(text: string): string | undefined {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return 'it is not one JSON document';
  }
  const name = (document as { schema?: unknown }).schema;
  if (typeof name !== 'string') return 'it has no member schema';
  const file = join(import.meta.dirname, '../../../docs/schemas', `${name.replace('/', '-')}.json`);
  if (!existsSync(file)) return `no schema describes ${name}`;
  const Ajv = createRequire(import.meta.url)('ajv/dist/2020.js') as typeof import('ajv/dist/2020.js');
  const ajv = new Ajv.Ajv2020({ strict: false, validateFormats: false });
  const validate = ajv.compile(closed(JSON.parse(readFileSync(file, 'utf8'))) as object);
  if (validate(document)) return undefined;
  const [error] = validate.errors ?? [];
  return `${name}: ${error?.instancePath ?? ''} ${error?.message ?? ''} ${JSON.stringify(error?.params)}`;
}

if (process.argv[1] === program && process.argv.includes('--json')) {
  const chunks: string[] = [];
  const write = process.stdout.write.bind(process.stdout) as (...all: unknown[]) => boolean;
  process.stdout.write = ((...all: unknown[]) => {
    chunks.push(String(all[0]));
    return write(...all);
  }) as typeof process.stdout.write;
  process.on('exit', () => {
    const text = chunks.join('');
    const problem = text === '' ? undefined : problemOfOutput(text);
    if (problem === undefined) return;
    process.stderr.write(`the JSON output is not as documented: ${problem}\n`);
    process.exitCode = 99;
  });
}
