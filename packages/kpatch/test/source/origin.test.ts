/** Where patches come from besides files: standard input, addresses, commits and CVEs. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { fixesOf, fixFor } from '#kpatch/source/origin/cve.ts';
import { rawAddress } from '#kpatch/source/origin/download.ts';
import { type Obtained, obtainPatches } from '#kpatch/source/origin/obtain.ts';
import { type OriginSettings, readOriginSettings } from '#kpatch/source/origin/settings.ts';
import { readSeries } from '#kpatch/source/series.ts';
import { provokes } from '../provoke.ts';

const diff = '--- a/fs/x.c\n+++ b/fs/x.c\n@@ -1 +1 @@\n-int old;\n+int new;\n';

class Origin implements Disposable {
  readonly #folder = temporaryFolder('kpatch-test-');
  readonly path = this.#folder.path;
  readonly notes: string[] = [];

  constructor() {
    mkdirSync(join(this.path, 'fetched'));
  }

  obtain(names: readonly string[], settings: Partial<OriginSettings> = {}, release?: string): Promise<Obtained> {
    return obtainPatches({
      names,
      folder: join(this.path, 'fetched'),
      cache: join(this.path, 'cache'),
      release: () => release,
      note: (text) => this.notes.push(text),
      settings: { file: 'build.conf', cves: join(this.path, 'cves'), ...settings },
    });
  }

  /** A repository with two commits; returns its folder and the hash of the second. */
  repository(): { folder: string; fix: string } {
    const folder = join(this.path, 'linux');
    const git = (...args: string[]): string =>
      execFileSync('git', ['-c', 'user.name=A', '-c', 'user.email=a@example.org', '-C', folder, ...args], {
        encoding: 'utf8',
      }).trim();
    mkdirSync(join(folder, 'fs'), { recursive: true });
    git('init', '--quiet', '--initial-branch=main');
    writeFileSync(join(folder, 'fs/x.c'), 'int old;\n');
    git('add', '.');
    git('commit', '--quiet', '-m', 'Start');
    writeFileSync(join(folder, 'fs/x.c'), 'int new;\n');
    git('commit', '--quiet', '-am', 'fs: x: fix the overflow (again)');
    const fix = git('rev-parse', 'HEAD');
    git('checkout', '--quiet', '-b', 'side', 'HEAD~1');
    writeFileSync(join(folder, 'fs/y.c'), 'int y;\n');
    git('add', '.');
    git('commit', '--quiet', '-m', 'Side');
    git('merge', '--quiet', '--no-ff', '-m', 'Merge', 'main');
    return { folder, fix };
  }

  [Symbol.dispose](): void {
    this.#folder[Symbol.dispose]();
  }
}

/** A record as the CNA of the kernel writes it, for a flaw that is fixed in 6.1 and in mainline. */
function record(stable: string, mainline: string): object {
  const range = (fix: string): object => ({
    version: '1'.repeat(40),
    lessThan: fix,
    status: 'affected',
    versionType: 'git',
  });
  const versions = [
    { version: '5.15', status: 'affected' },
    { version: '0', lessThan: '5.15', status: 'unaffected', versionType: 'semver' },
    { version: '6.1.99', lessThanOrEqual: '6.1.*', status: 'unaffected', versionType: 'semver' },
    { version: '6.12', lessThanOrEqual: '*', status: 'unaffected', versionType: 'original_commit_for_fix' },
  ];
  const affected = [{ versions: [range(stable), range(mainline)] }, { versions }];
  return { dataType: 'CVE_RECORD', containers: { cna: { affected } } };
}

test('files, folders and packed patches: gzip, zstd and xz are read as what they contain', async () => {
  using origin = new Origin();
  const at = (name: string): string => join(origin.path, name);
  writeFileSync(at('a.patch'), diff);
  writeFileSync(at('b.patch.gz'), gzipSync(diff));
  writeFileSync(at('c.patch.xz'), spawnSync('xz', ['-c'], { input: diff }).stdout);
  writeFileSync(at('d.patch.zst'), spawnSync('zstd', ['-c'], { input: diff }).stdout);
  const { files, cves } = await origin.obtain([origin.path]);
  assert.deepEqual(
    files.map((file) => basename(file)),
    ['a.patch', 'b.patch.gz', 'c.patch', 'd.patch.zst'],
  );
  assert.deepEqual(cves, []);
  for (const patch of readSeries(files)) assert.equal(patch.files[0]?.path, 'fs/x.c');
});

test('a commit of a local repository is its patch, named by its subject', async () => {
  using origin = new Origin();
  const { folder, fix } = origin.repository();
  const { files } = await origin.obtain([fix.slice(0, 12)], { repository: folder });
  assert.equal(basename(files[0]!), 'fs-x-fix-the-overflow-again.patch');
  assert.match(readFileSync(files[0]!, 'utf8'), new RegExp(`^From ${fix} (.|\\n)*\\+int new;`));
  assert.match(origin.notes.join(), /fs: x: fix the overflow \(again\)/);
});

test('a commit of a remote repository is fetched once', async () => {
  using origin = new Origin();
  const { folder, fix } = origin.repository();
  const repository = `file://${folder}`;
  assert.equal((await origin.obtain([fix], { repository })).files.length, 1);
  execFileSync('mv', [folder, `${folder}.gone`]);
  assert.equal((await origin.obtain([fix.slice(0, 9)], { repository })).files.length, 1);
  const other = '2'.repeat(40);
  await provokes('patch-unreachable', () => origin.obtain([other], { repository }));
  await provokes('commit-abbreviated', () => origin.obtain(['2222222'], { repository }));
});

test('commits that are unknown, merges, and names that are nothing at all', async () => {
  using origin = new Origin();
  const { folder } = origin.repository();
  const unknown = await provokes('commit-unknown', () => origin.obtain(['abcdef1'], { repository: folder }));
  assert.match(unknown.fix, /git fetch/);
  const merge = execFileSync('git', ['-C', folder, 'rev-parse', 'HEAD'], { encoding: 'utf8' }).trim();
  await provokes('commit-merge', () => origin.obtain([merge], { repository: folder }));
  await provokes('patch-unknown', () => origin.obtain(['nosuch.patch']));
  // An option-like name never reaches git.
  await provokes('patch-unknown', () => origin.obtain(['--output=/etc/passwd'], { repository: folder }));
});

test('a CVE is the fix of the series of the target kernel, else the original commit', async () => {
  using origin = new Origin();
  const { folder, fix } = origin.repository();
  const elsewhere = '3'.repeat(40);
  mkdirSync(join(origin.path, 'cves/cve/published/2026'), { recursive: true });
  const file = join(origin.path, 'cves/cve/published/2026/CVE-2026-12345.json');
  writeFileSync(file, JSON.stringify(record(fix, elsewhere)));
  const settings = { repository: folder };
  const { files, cves } = await origin.obtain(['CVE-2026-12345'], settings, '6.1.0-57-amd64');
  assert.deepEqual(cves, ['CVE-2026-12345']);
  assert.equal(basename(files[0]!), 'CVE-2026-12345.patch');
  assert.match(origin.notes.join(), new RegExp(`fixed by commit ${fix} \\(series 6.1\\)`));
  const mainline = await provokes('commit-unknown', () => origin.obtain(['CVE-2026-12345'], settings, '6.6.1'));
  assert.match(mainline.message, new RegExp(elsewhere));
  await provokes('cve-needs-kernel', () => origin.obtain(['CVE-2026-12345'], settings));
  await provokes('cve-unknown', () => origin.obtain(['CVE-2026-99999'], settings, '6.1.0'));
  writeFileSync(file, JSON.stringify({ containers: { cna: { affected: [] } } }));
  await provokes('cve-no-fix', () => origin.obtain(['CVE-2026-12345'], settings, '6.1.0'));
});

test('a record whose lists do not match gives the original commit only', () => {
  const { containers } = record('4'.repeat(40), '5'.repeat(40)) as {
    containers: { cna: { affected: { versions: object[] }[] } };
  };
  containers.cna.affected[1]!.versions.pop();
  assert.deepEqual(
    fixesOf({ containers }).map(({ series }) => series),
    ['unknown', 'mainline'],
  );
  assert.equal(fixFor('CVE-2026-1', { containers }, '6.1.0').commit, '5'.repeat(40));
});

test('an address: only with TLS or on this machine, within limits, and pages become patches', async () => {
  using origin = new Origin();
  const server = createServer((request, response) => {
    if (request.url === '/fix.patch') response.end(diff);
    else if (request.url === '/away') response.writeHead(302, { location: 'http://example.org/x.patch' }).end();
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  try {
    const { files } = await origin.obtain([`${base}/fix.patch`]);
    assert.equal(basename(files[0]!), 'fix.patch');
    assert.match((await provokes('patch-unreachable', () => origin.obtain([`${base}/gone`]))).message, /answers 404/);
    // Followed or not reached: an address without TLS gives no patch.
    const away = await origin.obtain([`${base}/away`]).catch((error: { code: string }) => error);
    assert.match((away as { code: string }).code, /patch-address|patch-unreachable/);
  } finally {
    server.close();
  }
  await provokes('patch-address', () => origin.obtain(['http://example.org/x.patch']));
  await provokes('patch-unreachable', () => origin.obtain(['https://localhost:1/x.patch']));
  const raw = {
    'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/commit/?id=abc':
      'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/patch/?id=abc',
    'https://github.com/torvalds/linux/commit/abcdef1': 'https://github.com/torvalds/linux/commit/abcdef1.patch',
    'https://lore.kernel.org/all/2026.1@example.org/': 'https://lore.kernel.org/all/2026.1@example.org/raw',
    'https://example.org/a.patch': 'https://example.org/a.patch',
  };
  for (const [page, patch] of Object.entries(raw)) assert.equal(rawAddress(page), patch);
});

test('settings: the defaults, what a file says, and what is not a setting', async () => {
  using origin = new Origin();
  const file = join(origin.path, 'build.conf');
  assert.match(readOriginSettings(file).cves, /^https:/);
  writeFileSync(file, '# where commits come from\nrepository = /src/linux # a clone\ncves=/src/vulns\n');
  assert.deepEqual(readOriginSettings(file), { file, repository: '/src/linux', cves: '/src/vulns' });
  writeFileSync(file, 'repo=/src/linux\n');
  await provokes('build-settings', () => readOriginSettings(file));
});
