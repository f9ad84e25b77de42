import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { writeModule } from '../channel/module-file.ts';
import { cveRecord } from './records.ts';

const release = '6.1.0-999-amd64';

const changelog = `linux (6.1.190-1) bookworm-security; urgency=high

  * second (CVE-2026-1002)

 -- A B <a@example.org>  Sun, 01 Nov 2026 10:00:00 +0100

linux (6.1.176-1) bookworm-security; urgency=high

  * first (CVE-2026-1001)
  * for another machine (CVE-2026-1003)

 -- A B <a@example.org>  Thu, 01 Oct 2026 10:00:00 +0200
`;

/** A machine with the kernel, and a folder with records. */
function machine(folder: string): { root: string; files: string[]; module: string } {
  const put = (path: string, text: string): string => {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
    return join(folder, path);
  };
  put('root/proc/sys/kernel/osrelease', `${release}\n`);
  put('root/proc/modules', 'tun 16384 0 - Live 0x0\n');
  put(`root/lib/modules/${release}/modules.dep`, 'kernel/drivers/net/tun.ko:\n');
  put('root/etc/os-release', 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n');
  const records = [
    cveRecord({
      id: 'CVE-2026-1001',
      from: '5.7',
      fixedVersions: ['6.1.175', '7.0'],
      vector: 'CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H',
    }),
    cveRecord({ id: 'CVE-2026-1002', from: '5.7', fixedVersions: ['6.1.189', '7.0'] }),
    cveRecord({
      id: 'CVE-2026-1003',
      from: '5.7',
      fixedVersions: ['6.1.175', '7.0'],
      files: ['arch/s390/kernel/time.c'],
    }),
  ];
  const files = records.map((record, at) => put(`records/${at}.json`, JSON.stringify(record)));
  files.push(put('changelog', changelog));
  return { root: join(folder, 'root'), files, module: writeModule(folder, { release, cves: ['CVE-2026-1001'] }) };
}

function kpatch(command: string, { root, files }: { root: string; files: string[] }, ...args: string[]) {
  const all = [command, '--root', root, '--from', '6.1.170-3', ...args, '--', ...files];
  return spawnSync('bin/kpatch', all, { encoding: 'utf8' });
}

test('kpatch cves: one answer a CVE, filters, and documents for scanners', () => {
  using folder = temporaryFolder('kpatch-test-');
  const here = machine(folder.path);
  const said = kpatch('cves', here, '--json', '-m', here.module);
  assert.equal(said.status, 0, said.stderr + said.stdout);
  const answer = JSON.parse(said.stdout) as { cves: { cve: string; answer: string; by?: string }[] };
  assert.deepEqual(
    answer.cves.map(({ cve, answer: word }) => [cve, word]),
    [
      ['CVE-2026-1001', 'fixed'],
      ['CVE-2026-1002', 'open'],
      ['CVE-2026-1003', 'not in this configuration'],
    ],
  );
  assert.equal(answer.cves[0]!.by, 'kpatch_6_1_0_999_amd64_1_1');
  const open = kpatch('cves', here, '--open');
  assert.match(open.stdout, /2 open\n/);
  assert.match(open.stdout, /CVE-2026-1001 +critical +a flaw\n +the changelog: version 6\.1\.176-1 fixes it/);
  assert.doesNotMatch(open.stdout, /CVE-2026-1003/);
  const vex = join(folder.path, 'vex.json');
  assert.equal(kpatch('cves', here, '--format', 'openvex', '-o', vex, '--json').status, 0);
  assert.equal(JSON.parse(readFileSync(vex, 'utf8')).statements.length, 3);
  const metrics = kpatch('cves', here, '--format', 'metrics').stdout;
  assert.match(metrics, /^kpatch_cves\{kernel="6\.1\.0-999-amd64",answer="open",selected="true"\} 1$/m);
  assert.match(metrics, /^kpatch_cves\{kernel="6\.1\.0-999-amd64",answer="unknown",selected="false"\} 0\n$/m);
  assert.match(kpatch('cves', here, '--format', 'oval').stdout, /^<\?xml/);
  assert.equal(JSON.parse(kpatch('cves', here, '--format', 'csaf').stdout).document.category, 'csaf_vex');
  assert.equal(kpatch('cves', here, '--format', 'csaf', '--json').status, 2);
});

test('kpatch cves: a document about nothing is refused (cves-none)', () => {
  using folder = temporaryFolder('kpatch-test-');
  const here = machine(folder.path);
  const none = kpatch('cves', here, '--fixed', '--format', 'openvex');
  assert.equal(none.status, 3);
  assert.match(none.stderr, /no source names a CVE/);
});

test('kpatch effective: the release, what is missing, and the value under the selection', () => {
  using folder = temporaryFolder('kpatch-test-');
  const here = machine(folder.path);
  const bare = JSON.parse(kpatch('effective', here, '--json').stdout);
  assert.equal(bare.all.release, '6.1.170-3');
  assert.deepEqual(
    bare.all.next.missing.map(({ cve }: { cve: string }) => cve),
    ['CVE-2026-1001'],
  );
  const patched = JSON.parse(kpatch('effective', here, '--json', '-m', here.module).stdout);
  assert.equal(patched.all.release, '6.1.176-1');
  assert.equal(patched.all.next.release, '6.1.190-1');
  assert.equal(patched.selected.release, '6.1.190-1');
  const text = kpatch('effective', here, '-m', here.module).stdout;
  assert.match(text, /Effective release: 6\.1\.176-1\n {2}1 CVE missing for 6\.1\.190-1:\n {4}CVE-2026-1002/);
  assert.match(text, /Under the selection: 6\.1\.190-1 \(CVEs that the selection leaves out are still open\)/);
});
