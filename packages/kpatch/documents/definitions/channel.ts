/** Documents of advisories, packages and channels. */
import * as v from 'valibot';
import { described, printed, stored, storedWithout, textOf } from '../document.ts';
import { line, natural, release, sha256 } from '../parts.ts';
import { supportContent } from './host.ts';

const verdict = v.picklist(['covered', 'awaited', 'reboot']);
const severity = v.string();

export const advisoryDocument = printed('kpatch.advisory/1', 'advisory', 'The CVEs of a kernel.', {
  kernel: release,
  from: v.string(),
  to: v.string(),
  cves: v.array(
    v.object({
      cve: v.string(),
      title: v.string(),
      severity,
      ratedBy: v.string(),
      fixedIn: described(v.string(), 'Package version that fixes it; empty if none is known.'),
      selected: v.boolean(),
      covered: v.boolean(),
      verdict: described(
        verdict,
        '`covered`: the live patch fixes it; `awaited`: selected but not fixed live; `reboot`: left to the next reboot.',
      ),
      reason: v.string(),
    }),
  ),
  counts: v.object({ covered: natural, awaited: natural, reboot: natural, fixed: natural, selected: natural }),
});

export const packageDocument = printed('kpatch.package/1', 'package', 'Packages were made.', {
  packages: v.array(
    v.object({ kernel: release, version: v.string(), deb: v.optional(v.string()), rpm: v.optional(v.string()) }),
  ),
});

const configMembers = {
  name: described(v.string(), 'Letters, digits and dashes: it is in file names.'),
  description: v.optional(v.string()),
  url: described(v.string(), 'Where `public/` is served.'),
  keys: described(v.array(v.string()), 'Fingerprints of the keys that sign, oldest first.'),
  formerKeys: v.optional(
    described(v.array(v.string()), 'Keys that no longer sign; they are still handed out, to check what they signed.'),
  ),
  revokedKeys: v.optional(described(v.array(v.string()), 'Keys that leaked or were lost; they never sign again.')),
  windowMonths: v.optional(described(natural, 'Months of live patches for each kernel, from its release.')),
  validDays: v.optional(described(natural, 'Days for which a publication is valid.')),
  keep: v.optional(described(natural, 'Publications to keep besides the newest.')),
  require: v.object({
    proof: v.boolean(),
    moduleSignature: v.boolean(),
    provenance: v.optional(v.boolean()),
    builderKeys: v.optional(
      described(
        v.array(v.string()),
        'Files with public keys (PEM), below the folder of the channel, that sign provenance.',
      ),
    ),
    proofKeys: v.optional(
      described(
        v.array(v.string()),
        'Files with public keys (PEM), below the folder of the channel, that sign proofs.',
      ),
    ),
    certificates: v.optional(
      described(v.array(v.string()), 'Files with certificates, below the folder of the channel, that sign modules.'),
    ),
  }),
};

export const channelConfigDocument = stored(
  'kpatch.channel/1',
  '`channel.json` of a channel',
  'The settings of a channel.',
  configMembers,
);

const poolFile = v.object({
  file: textOf(/^[A-Za-z0-9][A-Za-z0-9._+~-]*\.(?:deb|rpm)$/, 'the name of a package file'),
  size: natural,
  sha256,
});

/** Versions and releases of packages. */
const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(999_999_999));

const recordMembers = {
  kernel: release,
  arch: textOf(/^\w{1,20}$/, 'an architecture'),
  version: described(count, '0-0 is the subscription: the kernel has no patch yet.'),
  release: count,
  module: v.nullable(
    v.object({
      name: textOf(/^\w{1,55}$/, 'the name of a module'),
      sha256,
      signed: v.boolean(),
      buildId: textOf(/^[0-9a-f]{0,128}$/, 'a build id'),
    }),
  ),
  proof: v.nullable(described(sha256, 'Digest of the proof file, if the package includes it.')),
  provenance: v.optional(
    v.nullable(
      described(sha256, 'Digest of the provenance, if the package includes it. Absent in records of earlier versions.'),
    ),
  ),
  cves: v.array(
    v.object({
      id: line,
      title: v.string(),
      severity: v.picklist(['none', 'low', 'moderate', 'important', 'critical', 'unrated']),
    }),
  ),
  withdrawn: described(
    v.array(v.object({ id: line, reason: v.string() })),
    'CVEs that the patch before fixed and this one does not.',
  ),
};

export const livePatchRecordDocument = stored(
  'kpatch.livepatch/1',
  '`/usr/lib/kpatch/RELEASE/advisory.json`, in live patch packages',
  'What a live patch package holds. Version 0-0 subscribes a kernel that has no patch yet.',
  recordMembers,
);

const day = textOf(/^\d{4}-\d{2}-\d{2}$/, 'a day, YYYY-MM-DD');

export const channelKernelStoredDocument = stored(
  'kpatch.channel-kernel/1',
  '`kernels/RELEASE.json` of a channel',
  'One kernel of a channel, with its patches, oldest first.',
  {
    release,
    arch: v.string(),
    distribution: v.string(),
    packageVersion: v.string(),
    released: described(day, 'Day of its release.'),
    extended: v.nullable(v.object({ until: day, reason: v.string() })),
    patches: v.array(
      v.object({
        record: livePatchRecordDocument.schema,
        issued: v.string(),
        proven: described(v.boolean(), 'The proof was checked and holds.'),
        proofKey: v.optional(described(sha256, 'The key of the channel that signed the proof.')),
        builderKey: v.optional(described(sha256, 'The key of the channel that signed the provenance.')),
        signer: v.optional(described(sha256, 'The key of the channel that signed the module.')),
        deb: v.nullable(poolFile),
        rpm: v.nullable(poolFile),
      }),
    ),
  },
);

export const publishedKernelsDocument = stored(
  'kpatch.channel-kernels/1',
  '`kernels.json` of a published channel, `/usr/share/kpatch/channel/kernels.json`',
  'Every kernel that a channel serves, for clients.',
  {
    channel: v.optional(v.object({ name: v.optional(v.string()) })),
    kernels: v.array(
      v.object({
        release,
        arch: v.string(),
        distribution: v.string(),
        packageVersion: v.string(),
        released: v.string(),
        until: described(day, 'The last day of live patches.'),
        extended: v.nullable(v.string()),
        rebootInto: v.nullable(v.string()),
        patch: v.nullable(
          v.object({
            version: natural,
            release: natural,
            issued: v.string(),
            proven: v.boolean(),
            cves: v.array(v.object({ id: v.string(), title: v.string(), severity })),
          }),
        ),
      }),
    ),
  },
);

export const channelStateDocument = stored(
  'kpatch.channel-state/1',
  '`/var/lib/kpatch/channel.json`',
  'The newest publication that this machine has seen, and its last look at the channel.',
  {
    newest: v.number(),
    looked: v.string(),
    problem: v.string(),
    seen: described(
      v.optional(v.string()),
      'Latest time that this machine can be sure of, which a clock that was set back does not undo.',
    ),
  },
);

export const channelGenerationDocument = storedWithout(
  'kpatch.channel-generation',
  '`generations/N.json` of a channel',
  'What is kept of a publication besides its tree.',
  {
    number: natural,
    date: v.string(),
    indexes: described(
      v.array(textOf(/^(?!\/)(?!(?:.*\/)?\.\.(?:\/|$))/, 'a path below the publication')),
      'Index files under their digest, which the next publications keep for slow readers.',
    ),
    client: v.object({ digest: v.string(), deb: poolFile, rpm: poolFile }),
  },
);

export const unpackedDocument = stored(
  'kpatch.unpacked/1',
  '`/var/lib/kpatch/unpacked.json`',
  'What live patch packages brought into the store.',
  { patches: v.array(v.object({ release, name: v.string(), sha256 })) },
);

export const channelInitDocument = printed('kpatch.channel-init/1', 'channel init', 'A channel was made.', {
  folder: v.string(),
  config: channelConfigDocument.schema,
});

export const channelKernelDocument = printed(
  'kpatch.channel-kernel/1',
  'channel kernel',
  'A kernel was added to a channel or changed.',
  { release, released: v.string(), until: v.string(), new: v.boolean() },
);

export const channelAddDocument = printed('kpatch.channel-add/1', 'channel add', 'Patches were added.', {
  added: v.array(v.object({ kernel: release, version: v.string(), packages: v.array(v.string()) })),
});

export const channelPublishDocument = printed(
  'kpatch.channel-publish/1',
  'channel publish',
  'A channel was published.',
  {
    generation: natural,
    date: v.string(),
    validUntil: v.string(),
    kernels: natural,
    packages: natural,
    public: described(v.string(), 'The folder to serve.'),
  },
);

export const channelCheckDocument = printed('kpatch.channel-check/1', 'channel check', 'A channel was checked.', {
  problems: v.array(v.string()),
  files: natural,
  packages: natural,
  date: v.string(),
  validUntil: v.string(),
});

export const channelPruneDocument = printed('kpatch.channel-prune/1', 'channel prune', 'Old patches were removed.', {
  patches: v.array(v.string()),
  kernels: v.array(v.string()),
  files: v.array(v.string()),
});

export const channelKeyDocument = printed('kpatch.channel-key/1', 'channel key', 'The keys of a channel changed.', {
  keys: v.array(v.string()),
  formerKeys: v.array(v.string()),
  revokedKeys: v.optional(v.array(v.string())),
  kernels: natural,
});

export const channelFollowDocument = printed('kpatch.channel-follow/1', 'channel follow', 'A channel is followed.', {
  url: v.string(),
  source: v.optional(v.picklist(['tuf', 'packages'])),
  keys: described(v.array(v.string()), 'The root keys; for packages the fingerprints of the OpenPGP keys.'),
  channel: described(v.optional(v.string()), 'Name of the channel in its root metadata.'),
  threshold: described(v.optional(natural), 'How many root keys must sign.'),
  digest: described(v.optional(sha256), 'Of the trusted root.json.'),
});

export const channelFetchDocument = printed('kpatch.channel-fetch/1', 'channel fetch', 'A channel was fetched.', {
  to: v.string(),
});

export const channelStatusDocument = printed(
  'kpatch.channel-status/1',
  'channel status',
  'The channel that this machine follows.',
  {
    url: v.string(),
    mode: v.picklist(['auto', 'manual']),
    manager: described(
      v.picklist(['apt', 'dnf', 'tuf']),
      '`tuf`: kpatch fetches and verifies data itself; else the package manager.',
    ),
    timer: v.boolean(),
    published: described(v.string(), 'ISO 8601, UTC; empty if nothing has been fetched yet.'),
    validUntil: v.string(),
    looked: v.string(),
    kernels: v.array(
      v.object({
        release,
        running: v.boolean(),
        package: v.string(),
        installed: v.string(),
        available: v.string(),
        loaded: v.string(),
        support: v.optional(supportContent),
      }),
    ),
    problems: v.array(v.string()),
  },
);

export const updateDocument = printed('kpatch.update/1', ['update', 'auto'], 'Live patches were updated.', {
  mode: v.optional(v.literal('auto')),
  changes: v.array(v.object({ package: v.string(), from: v.string(), to: v.string() })),
  unknown: described(v.array(v.string()), 'Installed kernels that the channel does not know.'),
  waiting: described(v.array(v.string()), 'Patches that are unpacked but not in use, with the reason.'),
});

export const manualDocument = printed('kpatch.manual/1', 'manual', 'Automatic updates are off.', {
  mode: v.literal('manual'),
});
