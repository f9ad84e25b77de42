/** Documents about the CVEs of one kernel. */
import * as v from 'valibot';
import { described, given, printed, textOf } from '../document.ts';
import { functionPlace, natural, release } from '../parts.ts';

export const answer = v.picklist(['not affected', 'not in this configuration', 'fixed', 'open', 'unknown']);

const evidenceKind = v.picklist([
  'record',
  'upstream version',
  'distribution',
  'code',
  'configuration',
  'live patch',
  'contradiction',
  'exploited',
]);

export const triagedCve = v.object({
  cve: v.string(),
  title: v.string(),
  answer: described(
    answer,
    '`not affected`: the flaw never was in this kernel; `not in this configuration`: its files are not compiled; `unknown`: the sources do not decide it.',
  ),
  by: v.exactOptional(
    described(
      v.string(),
      'With `fixed`: the live patch or the version; with `open`: the version that fixes it, if known.',
    ),
  ),
  evidence: described(
    v.array(v.object({ kind: evidenceKind, by: v.string(), text: v.string() })),
    'The reasons, with who gives each. `contradiction` explains why sources that disagree do not decide it.',
  ),
  objects: described(
    v.array(
      v.object({
        name: described(v.string(), '`vmlinux` or a module.'),
        reach: v.picklist(['built in', 'loaded', 'loadable', 'absent', 'unknown']),
      }),
    ),
    'What the affected files are compiled into, where the configuration is known.',
  ),
  severity: v.picklist(['none', 'low', 'moderate', 'important', 'critical', 'unrated']),
  exploited: described(v.boolean(), 'CISA lists it as exploited.'),
  selected: described(v.boolean(), 'The selection takes it for a live patch.'),
  selection: described(v.string(), 'Why the selection takes it or leaves it.'),
  published: v.exactOptional(v.string()),
});

const exception = {
  take: v.boolean(),
  reason: described(textOf(/\S/, 'a reason: every exception needs one'), 'Why this is an exception.'),
};

export const selectionDocument = given(
  'kpatch.selection/1',
  '`kpatch advisory`, `kpatch cves` and `kpatch effective` with `--selection`',
  'Which CVEs are worth a live patch.',
  {
    least: v.optional(described(v.string(), 'The least severity that is taken: low, moderate, important, critical.')),
    unrated: v.optional(described(v.picklist(['take', 'leave']), 'What is done with CVEs that no source rates.')),
    subsystems: v.optional(
      v.array(
        v.strictObject({
          match: described(
            textOf(/./, 'a path or a title'),
            'A path of the source tree, or the beginning of the title of a change.',
          ),
          ...exception,
        }),
      ),
    ),
    cves: v.optional(described(v.record(v.string(), v.strictObject(exception)), 'Single CVEs, by their id.')),
  },
);

const counts = v.object({
  'not affected': natural,
  'not in this configuration': natural,
  fixed: natural,
  open: natural,
  unknown: natural,
});

export const cvesDocument = printed('kpatch.cves/1', 'cves', 'The CVEs of a kernel, each with an answer.', {
  kernel: release,
  version: described(v.string(), 'Version of its package.'),
  counts: described(counts, 'Of all CVEs, also of those that a filter leaves out.'),
  cves: v.array(triagedCve),
  written: v.optional(described(v.string(), 'The file that `--output` wrote.')),
});

const reached = v.object({
  release: described(
    v.string(),
    'The newest release that counts, as a package version. Never newer than what is shown.',
  ),
  next: v.optional(
    v.object({
      release: v.string(),
      missing: v.array(v.object({ cve: v.string(), title: v.string(), answer, severity: v.string() })),
    }),
  ),
  known: described(natural, 'Newer releases of this line in the changelogs.'),
});

export const effectiveDocument = printed(
  'kpatch.effective/1',
  'effective',
  'Up to which newer release everything is fixed here.',
  {
    kernel: release,
    version: described(v.string(), 'Version of the package of this kernel; `uname` shows the same as before.'),
    all: described(reached, 'Of every CVE.'),
    selected: described(reached, 'Only of the CVEs that the selection takes: not the same as the release.'),
  },
);

export const effectiveHooksDocument = printed(
  'kpatch.effective-hooks/1',
  'effective --hooks',
  'Whether the new code of each patched function runs.',
  {
    functions: v.array(
      v.object({
        ...functionPlace.entries,
        patch: v.string(),
        effect: described(
          v.picklist(['runs', 'shadowed', 'unknown', 'absent']),
          '`shadowed`: other code runs instead; `unknown`: the kernel does not show it; `absent`: its module is not loaded.',
        ),
        reason: v.string(),
      }),
    ),
  },
);
