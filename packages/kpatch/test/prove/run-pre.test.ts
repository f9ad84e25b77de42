/**
 * The static checks against a kernel made by the test: a patch of the wrong one of two functions of a name, a false
 * manifest.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { failure } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { runOk } from '#kpatch/base/run.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { KernelImage } from '#kpatch/kernel/image.ts';
import { readKallsyms } from '#kpatch/kernel/kallsyms/kallsyms.ts';
import { codeDigest, vmlinuxCode } from '#kpatch/kernel/running-code.ts';
import type { Manifest, ManifestFunction } from '#kpatch/module/manifest.ts';
import type { KernelFacts } from '#kpatch/prepare/facts.ts';
import { fits } from '#kpatch/prove/checks/files/fits.ts';
import { runPre } from '#kpatch/prove/checks/files/run-pre.ts';
import { readSubject } from '#kpatch/prove/input/subject.ts';
import type { StaticCheck, StaticSession } from '#kpatch/prove/run/check.ts';
import { moduleCode } from '#kpatch/run-pre/module-code.ts';
import { compile, linkKernel } from '../kernel/fake-kernel.ts';
import { buildId, madeModule, manifest, release } from '../module/made-module.ts';

const folder = temporaryFolder('kpatch-test-');
after(() => folder.dispose());

/** Two files that each have a function `twin` of their own, and one a function that nobody else has. */
const sources = [
  'static __attribute__((noinline)) int twin(int a) { return a * 3; } int one(int a) { return twin(a) + 1; }',
  'static __attribute__((noinline)) int twin(int a) { return a / 5; } int two(int a) { return twin(a) + 2; }',
];
const objects = sources.map((source, at) => compile(folder.path, `twin${at}`, source));
/** A table of a few symbols would not be recognised as one. */
const others = Array.from({ length: 300 }, (_, at) => `int other_${at}(int a) { return a + ${at}; }`).join('\n');
const image = new KernelImage(linkKernel(folder.path, [...objects, compile(folder.path, 'others', others)]), 'vmlinux');
const kallsyms = readKallsyms(image);
await runOk('ld', ['-r', '-o', 'tun.ko', ...objects], { cwd: folder.path });
const module = readFileSync(join(folder.path, 'tun.ko'));
const facts = {
  image,
  kallsyms,
  async moduleFile(name: string) {
    if (name !== 'tun') throw failure('kernel-module-unknown', { module: name, release });
    return new ElfFile(module, 'tun.ko');
  },
} as unknown as KernelFacts;

function digest(object: string, name: string, position = 1): string {
  const code = object === 'vmlinux' ? vmlinuxCode(image, kallsyms) : moduleCode(module, object);
  return codeDigest(code, code.symbols(name)[position - 1]!.address)!;
}

/** Why the check fails for a module with these members of its manifest; undefined if it holds. */
async function outcome(check: StaticCheck, changes: Partial<Manifest>): Promise<string | undefined> {
  const file = join(folder.path, 'made.ko');
  writeFileSync(file, madeModule({ manifest: changes }));
  const subject = readSubject(file);
  const kernel = { release, image: '', modules: undefined, buildId, facts };
  const session: StaticSession = {
    subject,
    kernel,
    predecessors: [],
    test: undefined,
    program: undefined,
    progress() {},
  };
  try {
    for await (const seen of check.run(session)) assert.notEqual(seen.text, '');
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

const replacing = (change: Partial<ManifestFunction>): Partial<Manifest> => ({
  runPre: 'matched',
  functions: [{ name: 'twin', object: 'vmlinux', sympos: 1, patches: [], ...change }],
});

test('wrong sympos: the other function of that name is told from the right one by its code', async () => {
  for (const object of ['vmlinux', 'tun']) {
    assert.notEqual(digest(object, 'twin', 1), digest(object, 'twin', 2));
    for (const sympos of [1, 2]) {
      const right = replacing({ object, sympos, digest: digest(object, 'twin', sympos) });
      assert.equal(await outcome(runPre, right), undefined);
      const wrong = await outcome(runPre, replacing({ object, sympos, digest: digest(object, 'twin', 3 - sympos) }));
      const said = `was built for position ${3 - sympos} of the 2 functions twin, but it replaces position ${sympos}$`;
      assert.match(wrong ?? '', new RegExp(said));
    }
  }
});

test('the code must be there, be told, and be the one that the patch was made for', async () => {
  const good = digest('vmlinux', 'one');
  const one = { name: 'one', sympos: 0 };
  assert.equal(await outcome(runPre, replacing({ ...one, digest: good })), undefined);
  for (const [change, problem] of [
    [{ ...one, digest: digest('vmlinux', 'two') }, /is not the code that the patch was built for/],
    [one, /does not record which code/],
    [{ ...one, name: 'nowhere', digest: good }, /no function nowhere/],
    [{ sympos: 3, digest: good }, /vmlinux has 2 of that name, but the patch is for position 3/],
    [{ sympos: 0, digest: good }, /vmlinux has 2 of that name, and the patch does not state which/],
    [{ object: 'absent', digest: good }, /absent/],
  ] as const) {
    assert.match((await outcome(runPre, replacing(change))) ?? '', problem);
  }
  assert.match((await outcome(runPre, { runPre: 'skipped' })) ?? '', /skipped/);
});

test('a manifest that says something else than the tables that livepatch reads', async () => {
  assert.equal(await outcome(fits, {}), undefined);
  const [first, second] = manifest.functions;
  const moved = await outcome(fits, { functions: [first!, { ...second!, sympos: 1 }] });
  assert.match(moved ?? '', /tun:old_two,1 is only in the manifest; tun:old_two,2 is only in the tables/);
  assert.match((await outcome(fits, { functions: [first!] })) ?? '', /tun:old_two,2 is only in the tables/);
});
