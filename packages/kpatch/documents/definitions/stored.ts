/** Documents that are in files or modules and are read again, also by later versions. */
import * as v from 'valibot';
import { described, stored, storedExactly, storedWithout, textOf } from '../document.ts';
import { fileName, hazard, kernelCompiler, kernelPaths, line, natural, sha256, shieldNote, time } from '../parts.ts';

const manifestMembers = {
  name: described(line, 'Name of the module.'),
  version: described(natural, 'Rises with each cumulative successor, from 1.'),
  line: v.optional(described(line, 'Family of cumulative patches; versions are compared within one.')),
  release: described(line, 'The kernel that it is for, as `uname -r` prints it.'),
  arch: described(line, 'As `uname -m` prints it.'),
  buildId: v.optional(described(line, 'GNU build id of the kernel image, hexadecimal.')),
  replace: described(v.boolean(), 'True if it replaces all earlier live patches.'),
  functions: v.array(
    v.object({
      name: line,
      object: described(line, '`vmlinux` or a module.'),
      sympos: described(natural, 'Which symbol of that name in its object, from 1; 0 if there is only one.'),
      digest: v.optional(
        described(
          line,
          'SHA-256 of the code that is replaced, from its symbol to the next one; absent if it was not compared (see `runPre`).',
        ),
      ),
      patches: described(v.array(line), 'Source patches that change this function.'),
    }),
  ),
  cves: v.array(line),
  states: described(
    v.array(v.object({ id: natural, version: natural })),
    'System states (klp_state) that the patch sets.',
  ),
  patches: v.array(v.object({ name: line, sha256: line })),
  runPre: described(
    v.picklist(['matched', 'skipped']),
    '`matched`: each function matches the code of the kernel; `skipped`: not compared.',
  ),
  sandbox: v.optional(described(v.literal('none'), 'Present where the module was built with `--no-sandbox`.')),
  review: v.optional(
    described(v.array(hazard), 'Hazards that the review found; absent if the patch was not reviewed.'),
  ),
  shield: v.optional(described(shieldNote, 'Present if the module is a shield (docs/shield.md) and not a fix.')),
  tool: described(line, 'Name and version of the program that built the module.'),
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
  keys: described(
    v.array(v.string()),
    'SHA-256 of the public keys that signed its proof, its provenance and the module.',
  ),
});

export const storeIndexDocument = stored(
  'kpatch.store/1',
  '`/var/lib/kpatch/RELEASE/.index.json`',
  'The modules that are installed for one kernel.',
  {
    entries: v.array(
      v.object({
        name: v.string(),
        file: fileName,
        sha256: v.string(),
        installed: v.string(),
        acceptance: v.optional(acceptanceContent),
      }),
    ),
    pending: v.optional(
      described(
        v.object({ staged: v.optional(fileName), remove: v.array(fileName) }),
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

export const previousPatchDocument = stored(
  'kpatch.previous/1',
  '`/var/lib/kpatch/RELEASE/.previous/record.json`',
  'The patch that an installed one replaced, for `kpatch rollback`.',
  {
    by: described(v.string(), 'Digest of the module that replaced it.'),
    name: v.string(),
    file: textOf(/^[^./][^/]*\.ko$/, 'the name of a module file'),
    sha256: v.string(),
  },
);

export const keptGuestDocument = storedWithout(
  'kpatch.kept-guest',
  'Header of a kept guest, `/var/cache/kpatch/guests/*.guest`',
  'A booted virtual machine that later proofs resume.',
  {
    format: described(v.literal(1), 'Changes whenever a file made before must not be resumed.'),
    key: described(v.string(), 'What the guest was booted with, as one digest.'),
    made: time,
    console: described(v.string(), 'What the guest had printed on its console.'),
  },
);

const packageVersion = v.object({ name: v.string(), version: v.string(), sha256: v.optional(sha256) });

export const preparedKernelDocument = storedWithout(
  'kpatch.prepared-kernel',
  '`/var/cache/kpatch/kernels/RELEASE/manifest.json`',
  'A prepared kernel: what it is and the digests by which damage is noticed.',
  {
    format: described(v.literal(2), 'Changes with the layout of the folder: other folders are prepared again.'),
    kernel: v.object({
      release: v.string(),
      version: v.object({ major: natural, minor: natural, patch: natural }),
      arch: v.string(),
      distribution: v.string(),
      sourceVersion: v.string(),
      packages: v.array(packageVersion),
      paths: kernelPaths,
      compiler: kernelCompiler,
      origin: v.optional(v.string()),
      buildId: v.optional(v.string()),
      livepatch: v.boolean(),
      banner: v.optional(v.string()),
    }),
    digests: described(v.record(v.string(), v.string()), 'Path below the folder of the kernel, and its SHA-256.'),
    listing: described(v.string(), 'Digest of the list of all files.'),
  },
);

export const buildRootDocument = storedWithout(
  'kpatch.build-root',
  '`/var/cache/kpatch/roots/*/build-root.json`',
  'The packages that a build root consists of.',
  { format: v.literal(1), packages: v.array(packageVersion) },
);

const guarded = v.object({ name: v.string(), sha256: v.string() });

const lostBoot = v.object({
  bootId: v.string(),
  at: time,
  noticed: time,
  patches: v.array(guarded),
  record: v.optional(described(v.string(), 'File of the crash record.')),
  named: described(v.array(v.string()), 'Patches that a stack trace in the record names.'),
});

export const bootGuardDocument = stored(
  'kpatch.boot/1',
  '`/var/lib/kpatch/RELEASE/.boot.json`',
  'Which patches the machine has booted with, and which did not survive a boot.',
  {
    trying: v.optional(
      described(
        v.object({ bootId: v.string(), at: time, patches: v.array(guarded) }),
        'The boot that is on trial; absent once it has survived.',
      ),
    ),
    blocked: v.array(
      v.object({
        ...guarded.entries,
        at: described(time, 'When the boot began that was lost.'),
        why: v.optional(described(v.string(), 'What was observed, as a clause.')),
        until: v.optional(described(time, 'When it is tried again; absent: when the user says so.')),
        times: v.optional(described(natural, 'How often it was blocked without evidence.')),
      }),
    ),
    survived: v.optional(described(v.array(guarded), 'The patches of the last boot that this machine survived.')),
    lost: v.optional(described(v.array(lostBoot), 'Boots of the last day that were lost.')),
    up: v.optional(
      described(
        v.object({ bootId: v.string(), at: time }),
        'The boot that has survived and has not ended in order yet.',
      ),
    ),
    ended: v.optional(
      described(
        v.array(
          v.object({
            ...lostBoot.entries,
            survived: v.optional(described(v.boolean(), 'True if it ended after its trial.')),
          }),
        ),
        'Boots that ended without an orderly shutdown, within the last two days, for the reports of a fleet.',
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

/** A file below the policy's folder, so that it is found in an image too and nothing else is read. */
const keyFiles = v.pipe(
  v.array(
    textOf(/^(?!(?:.*\/)?\.\.(?:\/|$))[\w.@+-]+(?:\/[\w.@+-]+)*$/, 'a file below the policy\'s folder, without ".."'),
  ),
  v.maxLength(1000),
);
const words = v.pipe(v.array(textOf(/^[\w -]{1,64}$/, 'a name')), v.maxLength(1000));
const between = (least: number, most: number) =>
  v.pipe(v.number(), v.safeInteger(), v.minValue(least), v.maxValue(most));

/** The role of an input, as docs/provenance.md lists them. */
export const material = v.picklist([
  'patch',
  'kernel package',
  'kernel image',
  'kernel configuration',
  'exported symbols',
  'toolchain package',
  'toolchain program',
]);

const policyFileMembers = {
  proof: v.optional(
    v.strictObject({
      required: v.optional(v.boolean()),
      keys: v.optional(described(keyFiles, 'Files with public keys (PEM), below /etc/kpatch.')),
      plans: v.optional(words),
      test: v.optional(v.boolean()),
      maxAgeDays: v.optional(between(1, 36_500)),
      provenExcept: v.optional(v.boolean()),
    }),
  ),
  signature: v.optional(
    v.strictObject({
      required: v.optional(v.boolean()),
      certificates: v.optional(described(keyFiles, 'Files with certificates, below /etc/kpatch.')),
      hashes: v.optional(words),
      minimumRsaBits: v.optional(between(1024, 16_384)),
    }),
  ),
  provenance: v.optional(
    v.strictObject({
      required: v.optional(v.boolean()),
      keys: v.optional(described(keyFiles, 'Files with public keys of builders (PEM), below /etc/kpatch.')),
      builders: v.optional(
        described(
          v.pipe(v.array(v.pipe(line, v.title('the URI of a builder'))), v.maxLength(1000)),
          'URIs of builders that count; any if left out.',
        ),
      ),
      materials: v.optional(
        described(
          v.pipe(v.array(material), v.maxLength(20)),
          'Kinds of inputs that the statement must record with a digest.',
        ),
      ),
      sandbox: v.optional(v.boolean()),
    }),
  ),
  hazards: v.optional(v.strictObject({ deny: described(words, 'Kinds of hazards (docs/review.md), or `all`.') })),
  channels: v.optional(
    v.pipe(v.array(textOf(/^(?:https?|file):\/\/[^\s'"\\[\]]+$/, 'an address (https://...)')), v.maxLength(1000)),
  ),
  update: v.optional(v.picklist(['install', 'fetch', 'nothing'])),
  revoked: v.optional(v.picklist(['keep', 'remove'])),
};

export const hostPolicyDocument = storedExactly(
  'kpatch.host-policy/1',
  '`/etc/kpatch/host-policy.json`',
  'What this machine accepts (docs/policy.md).',
  policyFileMembers,
);

export const revokedKeysDocument = storedExactly(
  'kpatch.revoked-keys/1',
  '`/etc/kpatch/revoked-keys.json`, `/var/lib/kpatch/channel/revoked-keys.json`',
  'Keys that no longer count.',
  { keys: v.pipe(v.array(v.strictObject({ key: sha256, reason: v.optional(v.string()) })), v.maxLength(1000)) },
);
