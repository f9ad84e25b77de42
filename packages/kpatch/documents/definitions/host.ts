/** Documents of the commands for one machine. */
import * as v from 'valibot';
import { described, printed } from '../document.ts';
import {
  error,
  finding,
  functionPlace,
  holdup,
  natural,
  patchState,
  progress,
  release,
  sha256,
  time,
} from '../parts.ts';
import { acceptanceContent, manifestContent } from './stored.ts';

export const supportContent = v.object({
  release,
  until: described(v.string(), 'The last day of support, YYYY-MM-DD.'),
  state: v.string(),
  daysLeft: described(v.number(), 'Negative once support has ended.'),
  rebootInto: v.nullable(v.string()),
  channel: v.string(),
});

const blocked = v.object({
  name: v.string(),
  sha256,
  at: described(time, 'Start of the boot that was lost.'),
  why: v.optional(described(v.string(), 'What was observed.')),
  until: v.optional(described(time, 'When it is tried again; absent: when a person says so.')),
  times: v.optional(natural),
});

const policyState = v.picklist(['none', 'valid', 'unusable']);

const policyStatus = v.object({
  state: policyState,
  file: described(v.string(), 'The host policy, or where it would be.'),
  digest: v.optional(described(sha256, 'Over the policy and every file that it names.')),
  revokedKeys: natural,
  unwanted: described(
    v.array(v.object({ name: v.string(), at: time })),
    'Patches that a person uninstalled: no update installs them.',
  ),
  alarms: v.array(v.string()),
});

const statusMembers = {
  release: described(v.string(), 'Empty if no kernel runs (`--root`).'),
  buildId: v.optional(described(v.string(), 'Build id of the running kernel.')),
  livepatch: v.boolean(),
  disabledAtBoot: v.boolean(),
  signatureRequired: v.optional(
    described(v.string(), 'Why the running kernel refuses unsigned modules; absent if it takes them.'),
  ),
  patches: v.array(
    v.object({
      name: v.string(),
      state: patchState,
      version: v.optional(natural),
      cves: v.array(v.string()),
      functions: v.array(functionPlace),
      loaded: v.optional(time),
    }),
  ),
  cves: v.array(v.string()),
  transition: v.optional(v.object({ patch: v.string(), state: patchState, progress, holdups: v.array(holdup) })),
  boots: described(
    v.array(
      v.object({
        name: v.string(),
        version: v.optional(natural),
        release: v.optional(described(v.string(), 'With `--root`: the kernel that loads it.')),
      }),
    ),
    'Patches that the next boot loads, in order.',
  ),
  blocked: described(v.array(blocked), 'Patches that the boot guard does not load.'),
  observed: v.optional(described(v.array(v.string()), 'Boots that were lost in the last day, in words.')),
  policy: v.optional(policyStatus),
  onTrial: v.boolean(),
  mismatches: v.array(
    v.object({ patch: v.optional(v.string()), release: v.string(), problem: v.string(), fix: v.string() }),
  ),
  todo: described(v.array(v.string()), 'What the administrator should do; empty if nothing.'),
};

export const statusDocument = printed('kpatch.status/1', 'status', 'The state of this machine.', {
  ...statusMembers,
  support: v.nullable(supportContent),
  reboot: v.optional(
    v.object({
      answer: described(
        v.picklist(['due', 'not due', 'unknown']),
        '"not due" only where live patches keep the kernel fixed.',
      ),
      reason: v.string(),
    }),
  ),
  fleet: v.optional(
    described(
      v.nullable(
        v.object({
          url: v.string(),
          joined: v.string(),
          heard: described(v.nullable(time), 'Last answer of the server.'),
          waiting: described(natural, 'Signed reports that the server does not have yet.'),
        }),
      ),
      'The fleet that this machine belongs to.',
    ),
  ),
});

export const listDocument = printed('kpatch.list/1', 'list', 'Loaded and installed patches.', {
  loaded: v.array(
    v.object({
      name: v.string(),
      enabled: v.boolean(),
      transition: v.boolean(),
      replace: v.optional(v.boolean()),
      objects: v.array(
        v.object({ name: v.string(), patched: v.optional(v.boolean()), functions: v.array(functionPlace) }),
      ),
      version: v.optional(v.string()),
      srcversion: v.optional(v.string()),
      state: patchState,
    }),
  ),
  installed: v.array(v.object({ name: v.string(), release, file: v.string(), installed: v.nullable(time) })),
});

export const infoDocument = printed('kpatch.info/1', 'info', 'The metadata of a livepatch module.', {
  path: v.string(),
  name: v.string(),
  release,
  vermagic: v.string(),
  arch: v.optional(described(v.string(), 'The machine that it runs on, like `uname -m`.')),
  sha256,
  signed: v.boolean(),
  buildId: v.optional(described(v.string(), 'Build id of the module.')),
  description: v.optional(v.string()),
  signature: v.nullable(
    v.object({
      hash: v.string(),
      serial: described(v.string(), 'Of the certificate that the message names. Not verified by itself.'),
      verified: v.boolean(),
      signer: v.optional(described(v.string(), 'Subject of the certificate with which the signature was verified.')),
      verifiedBy: v.optional(described(v.string(), 'File of that certificate.')),
      kernel: described(
        v.object({ answer: v.picklist(['accepts', 'refuses', 'unknown']), reason: v.string() }),
        'Whether the kernel of this machine would take it.',
      ),
    }),
  ),
  size: natural,
  manifest: v.nullable(manifestContent),
  proof: v.optional(
    described(
      v.nullable(
        v.object({
          file: v.string(),
          belongs: described(v.boolean(), 'False if it is the proof of another module file.'),
          verdict: v.string(),
          plan: v.string(),
          made: v.string(),
          release,
          held: described(natural, 'Checks that held.'),
          checks: natural,
          reasons: v.array(v.string()),
          signedBy: described(v.nullable(v.string()), 'The key that it names; not verified here.'),
        }),
      ),
      'The proof next to the module; null if there is none.',
    ),
  ),
});

const loadResult = {
  name: v.string(),
  outcome: v.picklist(['loaded', 'already', 'fits']),
  seconds: described(v.number(), 'Seconds that the transition took.'),
  replaced: v.array(v.string()),
  findings: v.array(finding),
};

export const loadDocument = printed('kpatch.load/1', 'load', 'A patch was loaded, or would be.', {
  name: loadResult.name,
  dryRun: v.optional(v.boolean()),
  outcome: v.optional(loadResult.outcome),
  seconds: v.optional(loadResult.seconds),
  replaced: v.optional(loadResult.replaced),
  findings: loadResult.findings,
});

export const loadAllDocument = printed('kpatch.load-all/1', 'load --all', 'All installed patches were loaded.', {
  release,
  loads: v.array(v.object(loadResult)),
  blocked: v.array(v.string()),
  failures: v.array(v.object({ name: v.string(), error })),
  disabled: v.boolean(),
});

export const survivedDocument = printed(
  'kpatch.survived/1',
  'load --survived',
  'The boot guard was told that this boot works.',
  { cleared: v.boolean() },
);

export const unloadDocument = printed('kpatch.unload/1', 'unload', 'Patches were unloaded.', {
  patches: v.array(v.object({ name: v.string(), seconds: v.number() })),
});

export const installDocument = printed('kpatch.install/1', 'install', 'A patch was installed.', {
  name: v.string(),
  release,
  replaced: v.array(v.string()),
  load: v.optional(v.object(loadResult)),
  dryRun: v.boolean(),
});

export const installAgainDocument = printed(
  'kpatch.install-again/1',
  'install --again',
  'Blocked patches may be loaded again.',
  { freed: v.array(v.string()), loads: v.array(v.object(loadResult)) },
);

export const uninstallDocument = printed('kpatch.uninstall/1', 'uninstall', 'A patch was uninstalled.', {
  name: v.string(),
  release,
  dryRun: v.boolean(),
});

export const signalDocument = printed('kpatch.signal/1', 'signal', 'Blocking tasks were signalled.', {
  patch: v.string(),
  progress,
  holdups: v.array(holdup),
  signalled: natural,
});

export const forceDocument = printed('kpatch.force/1', 'force', 'A transition was forced.', {
  patch: v.string(),
  progress,
  holdups: v.array(holdup),
});

export const verifyDocument = printed(
  'kpatch.verify/1',
  'verify',
  'Whether what is stored, recorded and active is consistent.',
  { mismatches: statusMembers.mismatches },
);

const policyRules = v.object({
  proof: v.object({
    required: v.boolean(),
    keys: v.array(v.string()),
    plans: v.array(v.string()),
    test: v.boolean(),
    maxAgeDays: v.optional(natural),
    provenExcept: v.boolean(),
  }),
  signature: v.object({
    required: v.boolean(),
    certificates: v.array(v.string()),
    hashes: v.array(v.string()),
    minimumRsaBits: natural,
  }),
  provenance: v.object({
    required: v.boolean(),
    keys: v.array(v.string()),
    builders: v.optional(v.array(v.string())),
    materials: v.array(v.string()),
    sandbox: v.boolean(),
  }),
  hazards: v.object({ deny: v.array(v.string()) }),
  channels: v.optional(v.array(v.string())),
  update: v.picklist(['install', 'fetch', 'nothing']),
  revoked: v.picklist(['keep', 'remove']),
});

export const policyShowDocument = printed('kpatch.policy-show/1', 'policy show', 'What this machine accepts.', {
  state: policyState,
  file: v.string(),
  digest: v.nullable(sha256),
  problem: described(v.nullable(v.string()), 'Why the policy cannot be used.'),
  rules: described(v.nullable(policyRules), 'The rules that apply, with defaults; null if the policy cannot be used.'),
  keys: v.array(
    v.object({
      file: v.string(),
      key: described(sha256, 'Of the public key (SubjectPublicKeyInfo, DER).'),
      name: v.optional(v.string()),
      revoked: v.boolean(),
    }),
  ),
  revoked: v.array(v.object({ key: sha256, reason: v.string() })),
});

export const policyCheckDocument = printed('kpatch.policy-check/1', 'policy check', 'Whether the policy is met.', {
  file: v.string(),
  digest: v.optional(v.nullable(sha256)),
  problems: v.array(v.string()),
  acceptance: v.optional(described(acceptanceContent, 'For a module: how it would be recorded.')),
});

export const metricsDocument = printed('kpatch.metrics/1', 'metrics', 'The state of this machine as metrics.', {
  status: v.optional(v.object(statusMembers)),
  written: v.optional(described(v.nullable(v.string()), 'Path of the file; null if its folder does not exist.')),
});

export const rollbackDocument = printed(
  'kpatch.rollback/1',
  'rollback',
  'An earlier patch is active again, or would be.',
  {
    release,
    from: described(v.string(), 'The patch that was active or installed.'),
    to: described(v.string(), 'The patch before it.'),
    installed: described(v.boolean(), 'True if it is also installed in the place of the other.'),
    steps: described(v.array(v.string()), 'What is done, in order.'),
    dryRun: v.boolean(),
  },
);
