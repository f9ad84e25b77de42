/** Writes the documents that are printed from the sources; with `--check` only says which are out of date. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errorsDocument } from '#kpatch/base/errors/document.ts';
import { version } from '#kpatch/base/version.ts';
import { commands } from '#kpatch/cli/commands.ts';
import { examples } from '#kpatch/cli/examples.ts';
import { apiPage } from '../packages/fleet/api/openapi.ts';
import { rulesDocument } from '../packages/kpatch/test/differ/corpus/rules.ts';
import { commandsPage } from './documents/commands.ts';
import { formsPage } from './documents/forms.ts';
import { documents, jsonPage, jsonSchema, schemaFile } from './documents/json.ts';
import { triedPage } from './documents/tried.ts';
import { commandShapes } from './packages/program.ts';

const root = join(import.meta.dirname, '..');
const shapes = await commandShapes();
const pages: Readonly<Record<string, () => string>> = {
  'docs/errors.md': errorsDocument,
  'docs/differ-rules.md': rulesDocument,
  'docs/json.md': jsonPage,
  'docs/commands.md': () => commandsPage(shapes),
  'docs/fleet-api.md': apiPage,
  'docs/kernels.md': triedPage,
  'packages/kpatch/documents/forms.ts': formsPage,
  ...Object.fromEntries(
    documents.map((one) => [`docs/schemas/${schemaFile(one)}`, () => `${JSON.stringify(jsonSchema(one), null, 2)}\n`]),
  ),
};
const check = process.argv.includes('--check');

for (const [name, print] of Object.entries(pages)) {
  const path = join(root, name);
  if (!check) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, print());
  } else if (!existsSync(path) || readFileSync(path, 'utf8') !== print())
    complain(`${name} is out of date: run 'make docs'`);
}
const manifest = JSON.parse(readFileSync(join(root, 'packages/kpatch/package.json'), 'utf8')) as { version: string };
if (manifest.version !== version)
  complain(`packages/kpatch/base/version.ts says ${version}, packages/kpatch/package.json ${manifest.version}`);

for (const { name } of commands) {
  if (!existsSync(join(root, 'packaging/man', `${name}.txt`)))
    complain(`packaging/man/${name}.txt is missing: it becomes the manual page`);
  if (examples[name] === undefined) complain(`packages/kpatch/cli/examples.ts has no examples of ${name}`);
}
for (const [name] of errorsDocument().matchAll(/\bdocs\/[\w-]+\.md\b/g)) {
  if (!existsSync(join(root, name))) complain(`an error names ${name}, which does not exist`);
}

function complain(text: string): void {
  console.error(text);
  process.exitCode = 1;
}
