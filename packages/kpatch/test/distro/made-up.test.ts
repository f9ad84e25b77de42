/** A made-up distribution, registered without touching any other file, delivers a kernel. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { run } from '#kpatch/base/run.ts';
import { customOffer } from '#kpatch/distro/custom/custom.ts';
import type { Distribution } from '#kpatch/distro/distribution.ts';
import { parseDistribution, registerDistribution, releaseOfKernel } from '#kpatch/distro/registry.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { headerFiles, kernelCode, sourceFiles, writeFiles } from '../kernel/fake-distribution.ts';
import { bzImage, compile, linkKernel } from '../kernel/fake-kernel.ts';
import { provokes } from '../provoke.ts';

const release = '6.1.99-3.lathe7.x86';
const folder = temporaryFolder('kpatch-distro-');
const at = (name: string): string => join(folder.path, name);
after(async () => {
  await run('chmod', ['-R', 'u+w', folder.path]);
  folder.dispose();
});

/** Kernels are named `.lathe7.`, and it keeps them as folders instead of packages. */
const lathe = (asked: string[]): Distribution => ({
  id: 'lathe',
  title: 'Lathe Linux',
  packageType: 'deb',
  versions: ['6', '7'],
  versionsOf(kernel) {
    const version = /\.lathe(\d+)\./.exec(kernel)?.[1];
    return version === undefined ? [] : [version];
  },
  provider: (version, { mirror }) => ({
    name: `lathe ${version}`,
    newest: () => Promise.resolve(release),
    known: () => Promise.resolve([release]),
    async find(wanted) {
      asked.push(`${version} ${mirror ?? 'no mirror'} ${wanted}`);
      if (wanted !== release) return undefined;
      const parts = { image: at('vmlinuz'), headers: at('headers'), source: at('source') };
      return { ...(await customOffer(parts)), distribution: 'lathe' };
    },
  }),
});

test('a kernel comes from the distribution that its name tells', async () => {
  mkdirSync(at('work'));
  writeFiles(at('source'), sourceFiles({}));
  writeFiles(at('headers'), headerFiles({ release, version: '' }));
  writeFileSync(
    at('vmlinuz'),
    bzImage(linkKernel(at('work'), [compile(at('work'), 'main', kernelCode(release))]), 'zstd'),
  );
  process.env.XDG_CACHE_HOME = at('cache');
  const asked: string[] = [];
  using _registered = registerDistribution(lathe(asked));
  const kernel = await prepareKernel(release, { report: silentReporter(), mirror: 'file:///lathe' });
  assert.equal(kernel.release, release);
  assert.equal(kernel.distribution, 'lathe');
  assert.equal(kernel.origin, 'lathe:7');
  assert.equal(kernel.compiler.root, undefined, 'it has no build roots');
  assert.deepEqual(asked, [`7 file:///lathe ${release}`]);
  assert.deepEqual(parseDistribution('lathe:6'), { distribution: 'lathe', version: '6' });
  await provokes('usage', () => parseDistribution('lathe'));
  await provokes('usage', () => parseDistribution('turner:1'));
});

test('distribution-ambiguous: two distributions have kernels of one name', async () => {
  using _one = registerDistribution(lathe([]));
  using _two = registerDistribution({ ...lathe([]), id: 'turner' });
  const error = await provokes('distribution-ambiguous', () => releaseOfKernel(release));
  assert.match(error.message, /lathe:7, turner:7/);
  assert.match(error.fix, /--distribution lathe:7/);
});

test('the name of a kernel tells its distribution release', () => {
  const expected: Readonly<Record<string, string | undefined>> = {
    '5.10.0-46-amd64': 'debian:11',
    '6.1.0-57-cloud-amd64': 'debian:12',
    '6.1.0-0.deb11.48-amd64': 'debian:11',
    '6.12.117+deb12-amd64': 'debian:12',
    '6.12.118+deb13-rt-amd64': 'debian:13',
    '7.2.13+deb14-amd64': 'debian:14',
    '5.14.0-503.15.1.el9_5.x86_64': 'rhel:9',
    '4.18.0-553.el8_10.x86_64': 'rhel:8',
    '6.17.7-300.fc43.x86_64': 'fedora:43',
    '6.11.0-29-generic': 'ubuntu:24.04',
    '6.18.44-custom': undefined,
  };
  for (const [kernel, wanted] of Object.entries(expected)) {
    const found = releaseOfKernel(kernel);
    assert.equal(found === undefined ? undefined : `${found.distribution}:${found.version}`, wanted, kernel);
  }
});
