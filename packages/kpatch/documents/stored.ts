/** Documents that are in files or modules and are read again, also by later versions. */
import * as v from 'valibot';
import { described, stored, storedWithout } from './document.ts';
import { functionPlace, hazard, natural, release, sha256, shieldNote, time } from './parts.ts';

const manifestMembers = {
  name: described(v.string(), 'Name of the module.'),
  version: described(natural, 'Rises with each cumulative successor, from 1.'),
  line: v.optional(described(v.string(), 'Family of cumulative patches; versions are compared within one.')),
  release,
  arch: described(v.string(), 'As `uname -m` prints it.'),
  buildId: v.optional(described(v.string(), 'GNU build id of the kernel image, hexadecimal.')),
  replace: described(v.boolean(), 'True if it replaces all earlier live patches.'),
  functions: v.array(
    v.object({
      ...functionPlace.entries,
      digest: v.optional(described(v.string(), 'SHA-256 of the code that is replaced; absent if it was not compared.')),
      patches: described(v.array(v.string()), 'Source patches that change this function.'),
    }),
  ),
  cves: v.array(v.string()),
  states: v.array(v.object({ id: natural, version: natural })),
  patches: v.array(v.object({ name: v.string(), sha256: v.string() })),
  runPre: described(v.picklist(['matched', 'skipped']), '`matched`: each function matches the code of the kernel.'),
  sandbox: v.optional(described(v.literal('none'), 'Present where the module was built with `--no-sandbox`.')),
  review: v.optional(
    described(v.array(hazard), 'Hazards that the review found; absent if the patch was not reviewed.'),
  ),
  shield: v.optional(described(shieldNote, 'Present if the module is a shield (docs/shield.md) and not a fix.')),
  tool: described(v.string(), 'Name and version of the program that built the module.'),
};

export const manifestDocument = stored(
  'kpatch.manifest/1',
  'ELF section `.kpatch.manifest` of a module',
  'What a patch module contains and which kernel it is for.',
  manifestMembers,
);

export const manifestContent = manifestDocument.schema;

export const acceptanceContent = v.object({
  policy: described(v.string(), 'Digest of the host policy and the files that it names; `none` without a policy.'),
  at: described(time, 'When the module was first accepted.'),
  keys: described(v.array(v.string()), 'SHA-256 of the public keys that signed its proof and the module.'),
});

export const storeIndexDocument = stored(
  'kpatch.store/1',
  '`/var/lib/kpatch/RELEASE/.index.json`',
  'The modules that are installed for one kernel.',
  {
    entries: v.array(
      v.object({
        name: v.string(),
        file: v.string(),
        sha256: v.string(),
        installed: v.string(),
        acceptance: v.optional(acceptanceContent),
      }),
    ),
    pending: v.optional(
      described(
        v.object({ staged: v.optional(v.string()), remove: v.array(v.string()) }),
        'A change that was decided but not carried out yet.',
      ),
    ),
    unwanted: v.optional(
      described(
        v.array(v.object({ name: v.string(), sha256: v.string(), line: v.optional(v.string()), at: time })),
        'Patches that a person uninstalled.',
      ),
    ),
  },
);

const guarded = v.object({ name: v.string(), sha256: v.string() });

export const bootGuardDocument = stored(
  'kpatch.boot/1',
  '`/var/lib/kpatch/RELEASE/.boot.json`',
  'Which patches the machine has booted with, and which did not survive a boot.',
  {
    trying: v.optional(v.object({ bootId: v.string(), at: time, patches: v.array(guarded) })),
    blocked: v.array(
      v.object({
        ...guarded.entries,
        at: time,
        why: v.optional(v.string()),
        until: v.optional(time),
        times: v.optional(natural),
      }),
    ),
    survived: v.optional(v.array(guarded)),
    lost: v.optional(
      described(
        v.array(
          v.object({
            bootId: v.string(),
            at: time,
            noticed: time,
            patches: v.array(guarded),
            record: v.optional(described(v.string(), 'File of the crash record.')),
            named: described(v.array(v.string()), 'Patches that a stack trace in the record names.'),
          }),
        ),
        'Boots of the last day that were lost.',
      ),
    ),
  },
);

export const loadedRecordDocument = storedWithout(
  'kpatch.loaded',
  '`/run/kpatch/loaded/MODULE.json`',
  'A module that kpatch loaded since the machine booted.',
  {
    sha256,
    buildId: v.optional(described(v.string(), 'Build id of the module.')),
    manifest: v.optional(v.nullable(described(v.string(), 'The manifest as text.'))),
    loaded: time,
    seconds: v.number(),
  },
);

const policyFileMembers = {
  proof: v.optional(
    v.strictObject({
      required: v.optional(v.boolean()),
      keys: v.optional(described(v.array(v.string()), 'Files with public keys (PEM), below /etc/kpatch.')),
      plans: v.optional(v.array(v.string())),
      test: v.optional(v.boolean()),
      maxAgeDays: v.optional(natural),
      provenExcept: v.optional(v.boolean()),
    }),
  ),
  signature: v.optional(
    v.strictObject({
      required: v.optional(v.boolean()),
      certificates: v.optional(described(v.array(v.string()), 'Files with certificates, below /etc/kpatch.')),
      hashes: v.optional(v.array(v.string())),
      minimumRsaBits: v.optional(natural),
    }),
  ),
  hazards: v.optional(
    v.strictObject({ deny: described(v.array(v.string()), 'Kinds of hazards (docs/review.md), or `all`.') }),
  ),
  channels: v.optional(v.array(v.string())),
  update: v.optional(v.picklist(['install', 'fetch', 'nothing'])),
  revoked: v.optional(v.picklist(['keep', 'remove'])),
};

export const hostPolicyDocument = stored(
  'kpatch.host-policy/1',
  '`/etc/kpatch/host-policy.json`',
  'What this machine accepts (docs/policy.md).',
  policyFileMembers,
);

export const revokedKeysDocument = stored(
  'kpatch.revoked-keys/1',
  '`/etc/kpatch/revoked-keys.json`, `/var/lib/kpatch/channel/revoked-keys.json`',
  'Keys that no longer count.',
  { keys: v.array(v.strictObject({ key: sha256, reason: v.optional(v.string()) })) },
);
