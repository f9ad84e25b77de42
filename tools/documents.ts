/** Writes the documents that are printed from the sources; with `--check` only says which are out of date. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorsDocument } from '#kpatch/base/errors/document.ts';
import { version } from '#kpatch/base/version.ts';
import { rulesDocument } from '../packages/kpatch/test/differ/corpus/rules.ts';

const root = join(import.meta.dirname, '..');
const documents: Readonly<Record<string, () => string>> = {
  'docs/errors.md': errorsDocument,
  'docs/differ-rules.md': rulesDocument,
};
const check = process.argv.includes('--check');

for (const [name, print] of Object.entries(documents)) {
  const path = join(root, name);
  if (!check) writeFileSync(path, print());
  else if (readFileSync(path, 'utf8') !== print()) complain(`${name} is out of date: run 'make docs'`);
}
const manifest = JSON.parse(readFileSync(join(root, 'packages/kpatch/package.json'), 'utf8')) as { version: string };
if (manifest.version !== version)
  complain(`packages/kpatch/base/version.ts says ${version}, packages/kpatch/package.json ${manifest.version}`);

function complain(text: string): void {
  console.error(text);
  process.exitCode = 1;
}
