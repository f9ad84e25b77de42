/** Documents of the commands for one machine. */
import * as v from 'valibot';
import { described, printed } from './document.ts';
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
} from './parts.ts';
import { manifestContent } from './stored.ts';

export const supportContent = v.object({
  release,
  until: described(v.string(), 'The last day of support, YYYY-MM-DD.'),
  state: v.string(),
  daysLeft: described(v.number(), 'Negative once support has ended.'),
  rebootInto: v.nullable(v.string()),
  channel: v.string(),
});

const blocked = v.object({ name: v.string(), sha256, at: time });

const statusMembers = {
  release: described(v.string(), 'Empty if no kernel runs (`--root`).'),
  buildId: v.optional(v.string()),
  livepatch: v.boolean(),
  disabledAtBoot: v.boolean(),
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
    v.array(v.object({ name: v.string(), version: v.optional(natural) })),
    'Patches that the next boot loads, in order.',
  ),
  blocked: described(v.array(blocked), 'Patches that the boot guard does not load.'),
  onTrial: v.boolean(),
  channel: v.optional(v.record(v.string(), v.unknown())),
  mismatches: v.array(
    v.object({ patch: v.optional(v.string()), release: v.string(), problem: v.string(), fix: v.string() }),
  ),
  todo: described(v.array(v.string()), 'What the administrator should do; empty if nothing.'),
};

export const statusDocument = printed('kpatch.status/1', 'status', 'The state of this machine.', {
  ...statusMembers,
  support: v.nullable(supportContent),
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
  sha256,
  signed: v.boolean(),
  buildId: v.optional(described(v.string(), 'Build id of the module.')),
  description: v.optional(v.string()),
  signature: v.nullable(
    v.object({ signer: v.string(), hash: v.string(), serial: v.string(), verifiedBy: v.optional(v.string()) }),
  ),
  size: natural,
  manifest: v.nullable(manifestContent),
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

export const metricsDocument = printed('kpatch.metrics/1', 'metrics', 'The state of this machine as metrics.', {
  status: v.optional(v.object(statusMembers)),
  written: v.optional(described(v.nullable(v.string()), 'Path of the file; null if its folder does not exist.')),
});
