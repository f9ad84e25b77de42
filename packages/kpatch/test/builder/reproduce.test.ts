/** The bytes of a module do not depend on who builds it where: two builds in environments that differ in everything that could leak. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { sha256 } from '#kpatch/base/digest.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { seal } from '#kpatch/provenance/envelope.ts';
import { readProvenance } from '#kpatch/provenance/statement.ts';
import { makeKey } from '../module/key.ts';
import { keyPair } from '../provenance/statements.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

const root = join(import.meta.dirname, '../../../..');
const program = join(root, 'bin/kpatch');

interface Environment {
  /** The command that goes before kpatch. */
  readonly around: readonly string[];
  readonly umask: string;
  readonly variables: Readonly<Record<string, string>>;
  readonly jobs: string;
}

const ordinary: Environment = { around: [], umask: '022', variables: { LC_ALL: 'C', TZ: 'UTC' }, jobs: '2' };
/** Another host name, one processor, another locale and time zone, no rights for others, and misleading settings. */
const foreign: Environment = {
  around: ['unshare', '--uts', 'sh', '-c', 'hostname elsewhere && exec "$@"', 'sh', 'taskset', '-c', '0'],
  umask: '077',
  variables: {
    LC_ALL: 'C.UTF-8',
    LANG: 'de_DE.UTF-8',
    TZ: 'Pacific/Kiritimati',
    USER: 'other',
    LOGNAME: 'other',
    HOSTNAME: 'elsewhere',
    KBUILD_BUILD_USER: 'other',
    KBUILD_BUILD_HOST: 'elsewhere',
    KBUILD_BUILD_TIMESTAMP: 'yesterday',
    SOURCE_DATE_EPOCH: '1',
    GCC_COLORS: 'error=1',
    MAKEFLAGS: '-j7',
    KCFLAGS: '-DOTHER',
  },
  jobs: '1',
};

const provenanceOf = (module: string): string => module.replace(/\.ko$/, '.provenance.json');

function kpatch(folder: string, { around, umask, variables }: Environment, args: readonly string[]) {
  mkdirSync(join(folder, 'tmp'), { recursive: true });
  const words = [...around, program, ...args, '--json'];
  const env = { ...process.env, TMPDIR: join(folder, 'tmp'), HOME: folder, ...variables };
  const script = `umask ${umask}; exec "$@"`;
  const options = { cwd: folder, env, encoding: 'utf8' } as const;
  const { status, stdout, stderr } = spawnSync('sh', ['-c', script, 'sh', ...words], options);
  assert.notEqual(stdout, '', stderr);
  return { status, document: JSON.parse(stdout) };
}

test('two builds in differing environments give identical bytes and equal statements; reproduce finds that out', async () => {
  using near = temporaryFolder('kpatch-near-');
  using far = temporaryFolder('kpatch-a-longer-and-other-name-');
  const { release } = await stockKernel('6.1');
  const key = keyPair(near.path, 'builder');
  const signer = makeKey(near.path, 'signer');
  const build = (folder: string, environment: Environment): { module: string; release: string } => {
    const patch = join(folder, 'meminfo.patch');
    cpSync(join(root, 'examples/meminfo.patch'), patch);
    const keys = ['--provenance-key', key.file, '--sign-key', signer.key, '--sign-cert', signer.certificate];
    const { status, document } = kpatch(folder, environment, [
      'build',
      patch,
      '-k',
      release,
      '-j',
      environment.jobs,
      ...keys,
    ]);
    assert.equal(status, 0, JSON.stringify(document));
    return document as { module: string; release: string };
  };
  const one = build(near.path, ordinary);
  const other = build(far.path, foreign);
  assert.equal(sha256(readFileSync(one.module)), sha256(readFileSync(other.module)));
  const statementOf = async (module: string): Promise<unknown> => {
    const file = provenanceOf(module);
    const { statement, signedBy } = await readProvenance(readFileSync(file), file, [key.public]);
    assert.deepEqual(signedBy, [key.public.id]);
    return statement;
  };
  assert.deepEqual(await statementOf(one.module), await statementOf(other.module));
  const text = JSON.stringify(await statementOf(other.module));
  assert.doesNotMatch(text, /elsewhere|kpatch-near|longer-and-other|Kiritimati|"other"/);

  const again = kpatch(far.path, foreign, ['reproduce', one.module, '--key', join(near.path, 'builder.pub')]);
  assert.equal(again.status, 0, JSON.stringify(again.document));
  assert.deepEqual([again.document.verdict, again.document.toolchain], ['reproduced', []]);
  assert.equal(again.document.identical, true);
  assert.equal(again.document.signed, true);

  // A package of the recorded toolchain that no mirror has any more: today's is used, and equal bytes are not called reproduced.
  const { statement } = readProvenance(readFileSync(provenanceOf(one.module)), one.module, []);
  const { resolvedDependencies } = statement.predicate.buildDefinition;
  const gone = resolvedDependencies.find(({ annotations }) => annotations?.role === 'toolchain package');
  assert.ok(gone?.uri !== undefined, 'the toolchain of a stock kernel is a build root');
  const used = decodeURIComponent(/@([^?]+)/.exec(gone.uri)![1]!);
  const lost = resolvedDependencies.map((resource) =>
    resource === gone
      ? { ...gone, uri: gone.uri!.replace(/@[^?]+/, '@0~gone-1'), digest: { sha256: 'e'.repeat(64) } }
      : resource,
  );
  const { predicate } = statement;
  const buildDefinition = { ...predicate.buildDefinition, resolvedDependencies: lost };
  const recorded = join(far.path, 'recorded.ko');
  cpSync(one.module, recorded);
  writeFileSync(
    provenanceOf(recorded),
    seal({ ...statement, predicate: { ...predicate, buildDefinition } }, key.secret),
  );
  const another = kpatch(far.path, ordinary, ['reproduce', recorded, '--key', join(near.path, 'builder.pub')]);
  assert.equal(another.status, 4, JSON.stringify(another.document));
  assert.equal(another.document.verdict, 'other toolchain');
  assert.deepEqual(another.document.toolchain, [{ name: gone.name, recorded: '0~gone-1', used }]);
  assert.equal(another.document.identical, true, 'the difference is in the record alone');

  // A module that was changed: it no longer is the one that the statement is about.
  const bytes = readFileSync(one.module);
  bytes[bytes.indexOf('VMALLOCCHUNK')]! ^= 1;
  const changed = join(far.path, 'changed.ko');
  writeFileSync(changed, bytes);
  chmodSync(changed, 0o600);
  cpSync(provenanceOf(one.module), provenanceOf(changed));
  const refused = kpatch(far.path, ordinary, ['reproduce', changed]);
  assert.equal(refused.document.error.code, 'provenance-other-module');
});
