/** A publication for the page of a channel: a kernel that has ended, one that ends, one that is new, one without a patch. */
import { type ChannelConfig, channelSchema } from '#kpatch/channel/repository/config.ts';
import { type ChannelKernel, kernelSchema, type PublishedPatch } from '#kpatch/channel/repository/kernel.ts';
import type { Publication } from '#kpatch/channel/repository/publication.ts';

export const day = 86_400_000;

const config: ChannelConfig = {
  schema: channelSchema,
  name: 'test',
  description: 'Live patches of a test',
  url: 'https://patches.example.org/live',
  keys: ['C6C6A456CFB3B42ABC0996EB11C555894CDD60C7'],
  formerKeys: [],
  windowMonths: 6,
  validDays: 14,
  keep: 3,
  require: { proof: true, moduleSignature: false },
};

function kernel(release: string, daysAgo: number, packageVersion: string, cves: number, now: Date): ChannelKernel {
  const released = new Date(now.getTime() - daysAgo * day).toISOString().slice(0, 10);
  const list = Array.from({ length: cves }, (_, n) => ({
    id: `CVE-2026-${1000 + n}`,
    title: n === 0 ? '<script>alert(1)</script> & "quotes"' : 'tls: fix a race',
    severity: (['critical', 'important', 'moderate', 'unrated'] as const)[n % 4]!,
  }));
  const module = { name: 'm', sha256: 'a'.repeat(64), signed: true, buildId: '' };
  const record = {
    schema: 'kpatch.livepatch/1',
    kernel: release,
    arch: 'x86_64',
    version: 2,
    release: 1,
    module,
    proof: null,
    cves: list,
    withdrawn: [],
  } as const;
  const patch: PublishedPatch = { record, issued: now.toISOString(), proven: true, deb: null, rpm: null };
  return {
    schema: kernelSchema,
    release,
    arch: 'x86_64',
    distribution: 'Debian:12',
    packageVersion,
    released,
    extended: null,
    patches: cves === 0 ? [] : [patch],
  };
}

/** As published at `now`. */
export function samplePublication(now: Date, kernels = sampleKernels(now)): Publication {
  return { config, date: now, validUntil: new Date(now.getTime() + 14 * day), kernels };
}

export function sampleKernels(now: Date): ChannelKernel[] {
  return [
    kernel('6.1.0-50-amd64', 300, '6.1.170-1', 12, now),
    kernel('6.1.0-54-amd64', 165, '6.1.187-1', 9, now),
    kernel('6.1.0-56-amd64', 10, '6.1.192-1', 1, now),
    kernel('5.14.0-427.13.1.el9_4.x86_64', 90, '5.14.0-427.13.1.el9_4', 0, now),
  ];
}

/** So many kernels, one each ten days, with up to `cves` CVEs. */
export function manyKernels(count: number, cves: number, now: Date): ChannelKernel[] {
  return Array.from({ length: count }, (_, n) => {
    const number = count - n;
    return kernel(`6.1.0-${20 + number}-amd64`, n * 10, `6.1.${140 + number}-1`, (n * 7) % cves, now);
  });
}
