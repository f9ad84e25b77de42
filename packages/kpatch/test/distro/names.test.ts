/** What names and banners of kernels tell. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageVersionOf } from '#kpatch/advisory/kernel.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { versionInBanner } from '#kpatch/distro/names.ts';

/** What /proc/version says on kernels as they are delivered: the compiler names the distribution as well, and comes first. */
const debian =
  'Linux version 6.1.0-57-amd64 (debian-kernel@lists.debian.org) (gcc-12 (Debian 12.2.0-14+deb12u1) 12.2.0, GNU ld (GNU Binutils for Debian) 2.40) #1 SMP PREEMPT_DYNAMIC Debian 6.1.192-3 (2026-11-20)\n';
const ubuntu =
  'Linux version 6.8.0-49-generic (buildd@lcy02-amd64-103) (x86_64-linux-gnu-gcc-13 (Ubuntu 13.2.0-23ubuntu4) 13.2.0, GNU ld (GNU Binutils for Ubuntu) 2.42) #49-Ubuntu SMP PREEMPT_DYNAMIC Mon Nov  4 02:06:24 UTC 2024\n';
const older =
  'Linux version 4.15.0-20-generic (buildd@lgw01-amd64-039) (gcc version 7.3.0 (Ubuntu 7.3.0-16ubuntu3)) #21-Ubuntu SMP Tue Apr 24 06:16:15 UTC 2018 (Ubuntu 4.15.0-20.21-generic 4.15.17)\n';

test("a banner names the kernel's package, not the one of its compiler", () => {
  assert.equal(versionInBanner(debian), '6.1.192-3');
  assert.equal(versionInBanner(ubuntu), undefined);
  assert.equal(versionInBanner(older), '4.15.0-20.21-generic');
  assert.equal(versionInBanner('Linux version 6.1.5 (me@here) (gcc (Debian 12.2.0-14) 12.2.0) #3 SMP\n'), undefined);
  assert.equal(versionInBanner(''), undefined);
});

test('the version of the running kernel is that of its package', async () => {
  using folder = temporaryFolder('kpatch-names-');
  mkdirSync(join(folder.path, 'proc'));
  writeFileSync(join(folder.path, 'proc/version'), debian);
  assert.deepEqual(await packageVersionOf('6.1.0-57-amd64', folder.path), { scheme: 'deb', version: '6.1.192-3' });
});
