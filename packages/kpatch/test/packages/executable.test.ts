/** The bundle of the packaged executable: what it reads from the executable at run time is there and works. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { bundleInto, decoderSource } from '../../../../tools/packages/executable.ts';
import { compile, gcc } from '../differ/fixture.ts';

/** Stands in for the assets of the executable: the code of the decoder from a file, its WebAssembly from the package. */
const assets = (code: string, wasm: string): string => `
const module_ = require('node:module');
const { readFileSync } = require('node:fs');
const load = module_._load;
const sea = {
  getAsset: () => readFileSync(${JSON.stringify(code)}, 'utf8'),
  getRawAsset: () => new Uint8Array(readFileSync(${JSON.stringify(wasm)})).buffer,
};
module_._load = (name, ...rest) => (name === 'node:sea' ? sea : load(name, ...rest));
`;

test('the bundle disassembles with the decoder that is outside of it', async () => {
  using folder = temporaryFolder('kpatch-executable-');
  const path = (name: string): string => join(folder.path, name);
  const bundle = path('kpatch.cjs');
  await bundleInto(bundle);
  const wasm = join(dirname(createRequire(import.meta.url).resolve('iced-x86')), 'iced_x86_bg.wasm');
  writeFileSync(path('decoder.js'), decoderSource());
  writeFileSync(path('assets.cjs'), assets(path('decoder.js'), wasm));
  for (const [name, factor] of [
    ['a.o', 3],
    ['b.o', 5],
  ] as const)
    writeFileSync(path(name), compile(gcc, `int use(int); int f(int a) { return use(a) * ${factor}; }`));
  writeFileSync(path('symtab'), execFileSync('readelf', ['-sW', path('a.o')]));
  writeFileSync(path('symvers'), '0x12345678\tuse\tvmlinux\tEXPORT_SYMBOL\t\n');
  const tables = ['--symtab', path('symtab'), '--symvers', path('symvers')];
  const args = ['--require', path('assets.cjs'), bundle, 'diff', path('a.o'), path('b.o'), ...tables, '--explain', 'f'];
  const { status, stdout, stderr } = await run(process.execPath, args);
  assert.equal(status, 0, stderr.toString());
  assert.match(stdout.toString(), /call use\s+\|.*call use/);
});
