/** The bill of materials: valid by CycloneDX's own schema, complete by what the program imports, the same each time. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { version } from '#kpatch/base/version.ts';
import { bundleInto } from '../../../../tools/packages/executable.ts';
import { packagesOf, sbom } from '../../../../tools/packages/sbom.ts';

const root = join(import.meta.dirname, '../../../..');

interface Document {
  readonly serialNumber: string;
  readonly metadata: { readonly component: { readonly name: string } };
  readonly components: readonly { readonly name: string; readonly version: string; readonly purl: string }[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[];
}

/** The bill of what the bundle really consists of; the executable is made up. */
async function made(): Promise<string> {
  using folder = temporaryFolder('kpatch-sbom-');
  const bundled = await bundleInto(join(folder.path, 'kpatch.cjs'));
  const content = Buffer.from('executable');
  return await sbom({
    name: 'kpatch',
    version,
    content,
    libraries: packagesOf(bundled),
    node: process.execPath,
    epoch: 1_767_225_600,
  });
}

test('the document is valid CycloneDX 1.6, and the same input gives the same one', async () => {
  const text = await made();
  const problem = await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(text);
  assert.equal(problem, null, JSON.stringify(problem));
  const broken = text.replace('"library"', '"libary"');
  assert.notEqual(await new Validation.JsonStrictValidator(Spec.Version.v1dot6).validate(broken), null);
  assert.equal(await made(), text);
});

test('it names every package that the program depends on, Node, and what is compiled into Node', async () => {
  const { components, dependencies, metadata } = JSON.parse(await made()) as Document;
  assert.equal(metadata.component.name, 'kpatch');
  const found = new Map(components.map(({ name, version }) => [name, version]));
  const { dependencies: wanted } = JSON.parse(readFileSync(join(root, 'packages/kpatch/package.json'), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  for (const [name, exact] of Object.entries(wanted)) assert.equal(found.get(name), exact, name);
  assert.equal(found.get('node'), process.versions.node);
  for (const name of ['openssl', 'v8', 'zlib', 'undici', 'icu']) assert.ok(found.has(name), name);
  for (const { purl } of components) assert.match(purl, /^pkg:(?:npm|generic)\/[^@]+@\S+$/);
  const top = dependencies.find(({ ref }) => ref === `kpatch@${version}`)!;
  assert.ok(top.dependsOn!.includes(`node@${process.versions.node}`));
});

test('files belong to the innermost package', () => {
  const files = [
    'packages/kpatch/cli/main.ts',
    'node_modules/a/x.js',
    'node_modules/@b/c/d.js',
    'node_modules/a/node_modules/e/f.js',
  ];
  assert.deepEqual(packagesOf(files), ['node_modules/@b/c', 'node_modules/a', 'node_modules/e']);
});
