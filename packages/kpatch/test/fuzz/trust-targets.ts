/** Parsers of what decides about trust: TUF metadata, keys, package managers, whole modules; and boot images and machine code. */
import { parseCandidates, parseInstalled } from '#kpatch/channel/follow/manager/apt.ts';
import { parsePackages } from '#kpatch/channel/follow/manager/dnf.ts';
import { patchModuleOf } from '#kpatch/channel/patch-module.ts';
import { checkDocument, type Role, roles } from '#kpatch/channel/tuf/document.ts';
import { revokedOf } from '#kpatch/channel/tuf/revoked.ts';
import { listedPatches } from '#kpatch/channel/tuf/target.ts';
import { btfIdsOf } from '#kpatch/differ/parts/tables/btf-ids.ts';
import { parsePlan } from '#kpatch/distro/debian/archive.ts';
import { readObject } from '#kpatch/formats/elf/read-object.ts';
import { moduleFileOf } from '#kpatch/host/store/module-file.ts';
import { publicKeyOf } from '#kpatch/module/public-key.ts';
import { judgeSignature, usualDemand } from '#kpatch/module/signature-rules.ts';
import { bootImageOf, platformOfImage, platforms } from '#kpatch/platform/registry.ts';
import { moduleBytes } from '../channel/module-file.ts';
import { layouts } from '../kernel/kallsyms-writer.ts';
import { madeModule } from '../module/made-module.ts';
import type { Target } from './driver.ts';
import { kernelImage } from './kernel-image.ts';
import { signedModule } from './signed.ts';

const digest = 'a'.repeat(64);
const file = { length: 10, hashes: { sha256: digest } };
const own = { channel: 'test', revoked: [{ key: digest, reason: 'leaked' }] };
const common = { version: 1, spec_version: '1.0.31', expires: '2027-01-01T00:00:00Z', 'x-kpatch': own };
const role = { keyids: [digest], threshold: 1 };
const patch = {
  kind: 'module',
  release: '6.1.0-56-amd64',
  arch: 'x86_64',
  name: 'one',
  version: 1,
  packageRelease: 1,
  cves: ['CVE-2026-1001'],
  withdrawn: [],
  supersedes: [],
  proof: '6.1.0-56-amd64/one.proof.json',
  provenance: null,
  record: '6.1.0-56-amd64/one.record.json',
};
const members: Readonly<Record<Role, object>> = {
  root: {
    consistent_snapshot: true,
    keys: { [digest]: { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: digest } } },
    roles: { root: role, timestamp: role, snapshot: role, targets: role },
  },
  timestamp: { meta: { 'snapshot.json': { version: 1, ...file } } },
  snapshot: { meta: { 'targets.json': { version: 1, ...file } } },
  targets: {
    targets: {
      '6.1.0-56-amd64/one.ko': { ...file, custom: patch },
      '6.1.0-56-amd64/one.proof.json': { ...file, custom: { kind: 'proof' } },
      '6.1.0-56-amd64/one.record.json': { ...file, custom: { kind: 'record' } },
    },
  },
};
const words = ['null', '{}', '[]', '"../"', '1e9', '-1', '"__proto__":', '"threshold":', '"keyids":', '"custom":', ','];
const metadata = (name: Role): string =>
  JSON.stringify({ signed: { _type: name, ...common, ...members[name] }, signatures: [] });
const text = (read: (text: string) => unknown) => (bytes: Buffer) => read(bytes.toString('utf8'));
const lines = (line: string) => (bytes: number) => line.repeat(Math.ceil(bytes / line.length));

export const trustTargets: readonly Target[] = [
  ...roles.map(
    (name): Target => ({
      name: `TUF ${name}`,
      seeds: () => [metadata(name)],
      words,
      read(bytes) {
        const signed = checkDocument(bytes, name, 'test', `${name}.json`);
        return name === 'targets' ? listedPatches(signed) : revokedOf(signed['x-kpatch'] as never);
      },
    }),
  ),
  {
    name: 'module on a host and in a channel',
    seeds: () => [madeModule(), moduleBytes()],
    read: (bytes) => [
      moduleFileOf(bytes, 'a.ko'),
      patchModuleOf(bytes, 'a.ko', { proof: undefined, provenance: undefined }),
    ],
  },
  {
    name: 'verdict on a signature',
    seeds: () => [signedModule()],
    words: ['~Module signature appended~\n'],
    read: (bytes) => judgeSignature(bytes, [], usualDemand),
  },
  {
    name: 'public key',
    seeds: () => [
      '-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n',
    ],
    read: (bytes) => publicKeyOf(bytes, 'k.pub'),
  },
  {
    name: 'status of dpkg',
    seeds: () => ['installed kpatch-patch-6.1 1-1\nnot-installed x \n'],
    words: ['installed ', ' ', '\n'],
    read: text(parseInstalled),
    long: lines('installed kpatch-patch-6.1 1-1\n'),
  },
  {
    name: 'apt-cache policy',
    seeds: () => ['kpatch-patch-6.1:\n  Installed: (none)\n  Candidate: 1-1\n'],
    words: ['  Candidate: ', ':\n', '(none)'],
    read: text(parseCandidates),
    long: lines('kpatch-patch-6.1:\n  Candidate: 1-1\n'),
  },
  {
    name: 'plan of apt-get',
    seeds: () => ['Inst gcc-12 (12.2.0-14 Debian:12.9/stable [amd64])\nConf gcc-12 (12.2.0-14)\n'],
    words: ['Inst ', ' (', ' [', '\n'],
    read: text(parsePlan),
    long: lines('Inst gcc-12 (12.2.0-14 Debian:12.9/stable [amd64])\n'),
  },
  {
    name: 'packages of rpm and dnf',
    seeds: () => ['kpatch-patch-6_1_0-56-amd64 1-1\nwarning: something else\n'],
    read: text(parsePackages),
    long: lines('kpatch-patch-6_1_0-56-amd64 1-1\n'),
  },
  {
    name: 'boot image',
    seeds: () => Object.values(layouts).map((layout) => kernelImage(layout)),
    words: ['HdrS', 'MZ', 'zimg', 'ARM\x64'],
    read: (bytes) => [platformOfImage(bytes), bootImageOf(bytes)],
  },
  {
    name: 'machine code',
    seeds: () => [
      Buffer.from('5548 89e5 e800000000 0f1f4400 00 c3 90'.replaceAll(' ', ''), 'hex'),
      Buffer.alloc(64, 0x90),
    ],
    read: (bytes) =>
      platforms().map((platform) => {
        const decoder = platform.decoder(bytes);
        return Array.from({ length: Math.min(bytes.length, 64) }, (_, at) => decoder.instruction(at));
      }),
  },
  {
    name: 'names of BTF ids',
    seeds: () => ['__BTF_ID__func__vfs_read__1', '__BTF_ID__set8__x__2'],
    words: ['__BTF_ID__', '__'],
    read: text((name) => {
      const object = readObject(madeModule(), 'a.o');
      for (const symbol of object.symbols) symbol.name = name;
      return btfIdsOf({ symbols: object.symbols, start: 0 } as never);
    }),
  },
];
