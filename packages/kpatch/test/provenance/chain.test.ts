/** `kpatch verify MODULE`: what is verified, what is only there, what is broken; and rebuilding with the wrong inputs. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#kpatch/base/digest.ts';
import { type TemporaryFolder, temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { firstDifference } from '#kpatch/builder/rebuild/first-difference.ts';
import { recordedToolchain, toolchainDifferences } from '#kpatch/builder/rebuild/recorded-toolchain.ts';
import { reproduce } from '#kpatch/builder/rebuild/reproduce.ts';
import { reproduceOutcome } from '#kpatch/cli/patch/reproduce.ts';
import { signModule } from '#kpatch/module/make/sign.ts';
import { type Proof, signProof } from '#kpatch/module/proof.ts';
import { readCertificate } from '#kpatch/module/signature.ts';
import { verifyModule } from '#kpatch/provenance/chain.ts';
import { seal } from '#kpatch/provenance/envelope.ts';
import type { ProvenanceStatement, Resource } from '#kpatch/provenance/statement.ts';
import { testResultOf } from '#kpatch/provenance/test-result.ts';
import { attack } from '../attack.ts';
import { makeKey } from '../module/key.ts';
import { madeModule, manifest } from '../module/made-module.ts';
import { sampleProof } from '../prove/sample-proof.ts';
import { provokes } from '../provoke.ts';
import { type KeyPair, keyPair, moduleWithProvenance } from './statements.ts';

interface Files {
  readonly folder: TemporaryFolder;
  readonly file: string;
  readonly key: KeyPair;
  readonly statement: ProvenanceStatement;
  readonly proof: Proof;
  /** Writes a file next to the module. */
  write(suffix: 'provenance' | 'proof' | 'test-result', text: string): void;
  [Symbol.dispose](): void;
}

/** A signed module with everything that belongs to it, all signed. */
async function everything(): Promise<Files> {
  const folder = temporaryFolder('kpatch-chain-');
  const key = keyPair(folder.path, 'builder');
  const signer = makeKey(folder.path, 'signer');
  const { module, statement } = await moduleWithProvenance();
  const signed = await signModule(module, signer, 'sha256');
  const file = join(folder.path, 'fix.ko');
  writeFileSync(file, signed);
  const write: Files['write'] = (suffix, text) => writeFileSync(join(folder.path, `fix.${suffix}.json`), text);
  write('provenance', seal(statement, key.secret));
  const about = { name: manifest.name, file: 'fix.ko', sha256: sha256(signed) };
  const sample = sampleProof('proven');
  const proof = signProof(
    { ...sample, module: about, kernel: { ...sample.kernel, release: manifest.release } },
    key.file,
  );
  const text = `${JSON.stringify(proof, null, 1)}\n`;
  write('proof', text);
  write('test-result', seal(testResultOf(proof, text, 'fix.proof.json'), key.secret));
  return { folder, file, key, statement, proof, write, [Symbol.dispose]: () => folder.dispose() };
}

const trustOf = ({ key, folder }: Files) => ({
  keys: [key.public],
  certificates: [readCertificate(join(folder.path, 'signer.pem'))],
});
const nobody = { keys: [], certificates: [] };
const states = async (files: Files, trust = trustOf(files)): Promise<string[]> =>
  (await verifyModule(files.file, trust)).links.map(({ state }) => state);

test('a module with all of its files is verified with the keys, and only there without them', async () => {
  using files = await everything();
  const known = await verifyModule(files.file, trustOf(files));
  assert.equal(known.verdict, 'verified', JSON.stringify(known.links));
  assert.equal(known.shows.length, 4);
  assert.match(known.doesNotShow.join('\n'), /no evidence against a hostile patch/);
  const unknown = await verifyModule(files.file, nobody);
  assert.equal(unknown.verdict, 'incomplete');
  assert.deepEqual(unknown.shows, []);
  assert.deepEqual(await states(files, nobody), ['not verified', 'not verified', 'not verified', 'not verified']);
});

test('a module on its own, without a signature: everything is missing', async () => {
  using folder = temporaryFolder('kpatch-chain-');
  const file = join(folder.path, 'alone.ko');
  writeFileSync(file, madeModule());
  const { verdict, links } = await verifyModule(file, nobody);
  assert.equal(verdict, 'incomplete');
  assert.deepEqual(new Set(links.map(({ state }) => state)), new Set(['missing']));
});

test('a statement without a signature is called so', async () => {
  using files = await everything();
  files.write('provenance', seal(files.statement, undefined));
  const { links } = await verifyModule(files.file, trustOf(files));
  assert.equal(links[1]!.state, 'not verified');
  assert.match(links[1]!.text, /NOT SIGNED/);
});

const carried = (how: string) => ({ area: 'provenance', attacker: 'mirror', how }) as const;

attack(
  carried('provenance, proof and test result of another module, all signed, are put next to a module'),
  async () => {
    using files = await everything();
    writeFileSync(files.file, madeModule({ manifest: { version: 4 } }));
    assert.deepEqual(await states(files), ['missing', 'broken', 'broken', 'broken']);
    const request = {
      module: files.file,
      provenance: join(files.folder.path, 'fix.provenance.json'),
      keys: [files.key.public],
    };
    return await provokes('provenance-other-module', () =>
      reproduce({ ...request, patches: [], kernelSource: {} }, silentReporter()),
    );
  },
);

attack(
  carried('a signed statement for these bytes names another version, kernel or patch than the module'),
  async () => {
    using files = await everything();
    const { predicate } = files.statement;
    const { buildDefinition } = predicate;
    const definitions = [
      { ...buildDefinition, externalParameters: { ...buildDefinition.externalParameters, version: 9 } },
      { ...buildDefinition, externalParameters: { ...buildDefinition.externalParameters, release: '6.1.0-1-amd64' } },
      { ...buildDefinition, resolvedDependencies: [] },
    ];
    for (const changed of definitions) {
      const statement = { ...files.statement, predicate: { ...predicate, buildDefinition: changed } };
      files.write('provenance', seal(statement, files.key.secret));
      assert.equal((await states(files))[1], 'broken');
    }
    return 'the manifest in the module says something else';
  },
);

attack(carried('a failed test result, or one of another proof, next to a good proof'), async () => {
  using files = await everything();
  const failed = testResultOf({ ...files.proof, verdict: 'not proven' }, 'x', 'fix.proof.json');
  for (const statement of [failed, testResultOf(files.proof, 'another proof', 'fix.proof.json')]) {
    files.write('test-result', seal(statement, files.key.secret));
    assert.equal((await states(files))[3], 'broken');
  }
  return 'kpatch verify: broken';
});

const rebuilding = async (files: Files, statement: ProvenanceStatement) => {
  files.write('provenance', seal(statement, files.key.secret));
  const provenance = join(files.folder.path, 'fix.provenance.json');
  const request = { module: files.file, provenance, patches: [], kernelSource: {}, keys: [files.key.public] };
  return await reproduce(request, silentReporter());
};

test('rebuilding refuses before it builds: another version of kpatch, a patch without content, a kernel that only the user has', async () => {
  using files = await everything();
  const { predicate } = files.statement;
  const { buildDefinition, runDetails } = predicate;
  const builder = { ...runDetails.builder, version: { kpatch: '9.9.9' } };
  const other = { ...files.statement, predicate: { ...predicate, runDetails: { builder } } };
  assert.match((await provokes('reproduce-differs', () => rebuilding(files, other))).message, /kpatch 9\.9\.9/);
  const [{ content: _, ...bare }] = buildDefinition.resolvedDependencies as [Record<string, string>];
  const without = { ...buildDefinition, resolvedDependencies: [bare] };
  const lost = { ...files.statement, predicate: { ...predicate, buildDefinition: without } };
  assert.match((await provokes('reproduce-input', () => rebuilding(files, lost))).message, /the patch a\.patch/);
  const own = { ...buildDefinition.externalParameters, custom: true };
  const custom = { ...buildDefinition, externalParameters: own };
  const built = { ...files.statement, predicate: { ...predicate, buildDefinition: custom } };
  assert.match(
    (await provokes('reproduce-input', () => rebuilding(files, built))).message,
    /the kernel 6\.1\.0-9-amd64/,
  );
});

test('a rebuild with another toolchain is never called reproduced, even if the bytes are the same', () => {
  const packaged = (name: string, version: string, digest = 'a'): Resource => ({
    name,
    uri: `pkg:deb/debian/${name}@${version}`,
    digest: { sha256: digest.repeat(64) },
    annotations: { role: 'toolchain package' },
  });
  const recorded = [packaged('gcc-12', '12.2.0-14%2Bdeb12u1'), packaged('make', '4.3'), packaged('bc', '1')];
  assert.deepEqual(recordedToolchain(recorded)[0], {
    name: 'gcc-12',
    version: '12.2.0-14+deb12u1',
    sha256: 'a'.repeat(64),
  });
  assert.deepEqual(toolchainDifferences(recorded, recorded), []);
  const here = [packaged('gcc-12', '12.2.0-14%2Bdeb12u2'), packaged('make', '4.3', 'b'), packaged('bison', '3')];
  const toolchain = toolchainDifferences(recorded, here);
  assert.deepEqual(toolchain, [
    { name: 'bc', recorded: '1', used: null },
    { name: 'bison', recorded: null, used: '3' },
    { name: 'gcc-12', recorded: '12.2.0-14+deb12u1', used: '12.2.0-14+deb12u2' },
    { name: 'make', recorded: '4.3', used: '4.3' },
  ]);
  const digest = 'c'.repeat(64);
  const same = { given: digest, rebuilt: digest, difference: undefined, signed: true, inputs: [], toolchain: [] };
  const difference = { section: '.text', offset: 4, problem: 'other bytes' };
  const [good, other, unlike, both] = [
    same,
    { ...same, toolchain },
    { ...same, difference },
    { ...same, difference, toolchain },
  ].map((reproduction) => {
    const outcome = reproduceOutcome('fix.ko', reproduction);
    return { ...outcome, data: outcome.data as { verdict: string; identical: boolean } };
  });
  assert.deepEqual([good!.exit, good!.data.verdict], [0, 'reproduced']);
  assert.deepEqual([unlike!.exit, unlike!.data.verdict], [1, 'different']);
  assert.deepEqual([other!.exit, other!.data.verdict, other!.data.identical], [4, 'other toolchain', true]);
  assert.match(String(other!.text), /^NOT reproduced with the recorded toolchain/);
  assert.match(String(other!.text), /gcc-12: recorded 12\.2\.0-14\+deb12u1, used 12\.2\.0-14\+deb12u2/);
  assert.doesNotMatch(String(other!.text), /Identical/);
  assert.deepEqual([both!.exit, both!.data.verdict], [4, 'other toolchain']);
});

attack(carried('a statement that no given key signed is rebuilt from'), async () => {
  using files = await everything();
  const provenance = join(files.folder.path, 'fix.provenance.json');
  const keys = [keyPair(files.folder.path, 'another').public];
  const request = { module: files.file, provenance, patches: [], kernelSource: {}, keys };
  return await provokes('provenance-invalid', () => reproduce(request, silentReporter()));
});

test('the first difference of two modules is named by its section', () => {
  const one = madeModule();
  assert.equal(firstDifference(one, one, 'a.ko'), undefined);
  const other = madeModule({ c: { modinfo: ['name=livepatch_made', 'livepatch=Y', 'vermagic=other'] } });
  const found = firstDifference(one, other, 'a.ko')!;
  assert.equal(found.section, '.modinfo');
  assert.match(found.problem, /sizes/);
  const versions = madeModule({ manifest: { version: 4 } });
  const manifestDiffers = firstDifference(one, versions, 'a.ko')!;
  assert.equal(manifestDiffers.section, '.kpatch.manifest');
  assert.ok(manifestDiffers.offset! > 0);
  const header = Uint8Array.from(one);
  header[8] = 1; // padding of e_ident
  assert.equal(firstDifference(one, header, 'a.ko')!.section, 'ELF header');
});

test('a proof becomes a test result: each outcome has its list, every input its digest', () => {
  const { predicate, subject } = testResultOf(sampleProof('not proven'), 'text', 'x.proof.json');
  assert.equal(predicate.result, 'FAILED');
  assert.deepEqual(predicate.failedTests, ['stock/log-clean']);
  assert.deepEqual(predicate.warnedTests, ['stock/later']);
  assert.deepEqual(predicate.passedTests, ['files/fits', 'stock/transition']);
  assert.equal(subject[0]!.name, 'livepatch_fix.ko');
  assert.deepEqual(
    predicate.configuration.map(({ annotations }) => annotations?.role),
    ['proof', 'kernel image', 'test', 'tool', 'emulator'],
  );
  assert.equal(testResultOf(sampleProof('proven'), 'text', 'x').predicate.result, 'PASSED');
  assert.equal(testResultOf(sampleProof('proven except tun'), 'text', 'x').predicate.result, 'WARNED');
});
