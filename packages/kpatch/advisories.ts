/**
 * The CVE model as a library: records of every known format, and triage for one kernel (docs/cves.md).
 *
 * ```ts
 * import { defaultSelection, preparedKernel, readSources, triageAll } from 'kpatch/advisories';
 *
 * const { advisories, changelogs } = readSources(['cves/', 'changelog.gz']);
 * const { kernel } = await preparedKernel('6.1.0-57-amd64');
 * const triaged = triageAll(advisories, { ...kernel, changelogs }, defaultSelection);
 * ```
 */

import { schemeOf } from './advisory/kernel.ts';
import type { FixHunk, KernelCode, TriageKernel } from './advisory/triage/kernel.ts';
import { type Reporter, silentReporter } from './base/report.ts';
import { preparedCode } from './cli/cve/prepared-code.ts';
import { KernelFacts } from './prepare/facts.ts';
import { prepareKernel } from './prepare/kernel.ts';
import { parseSourcePatch } from './source/patch.ts';

export { type Changelog, parseChangelog, readChangelog } from './advisory/formats/changelog.ts';
export { type Advisory, type CommitRange, emptyAdvisory, isCveId, join as joinAdvisories } from './advisory/record.ts';
export { defaultSelection, readSelection, type SelectionRules, selectionOf } from './advisory/selection.ts';
export { readDocument, readSources, type Sources } from './advisory/sources.ts';
export { type Answer, answers, countAnswers, type Evidence, type TriagedCve } from './advisory/triage/answer.ts';
export { codeAnswer } from './advisory/triage/code.ts';
export { type Effective, effective } from './advisory/triage/effective.ts';
export type { Built, Fix, FixHunk, KernelCode, TriageKernel } from './advisory/triage/kernel.ts';
export { triage, triageAll, withNamed } from './advisory/triage/triage.ts';
export { compareBy, compareUpstream, type Scheme, upstreamOf } from './advisory/version.ts';
export { csafVex } from './advisory/vex/csaf-vex.ts';
export { openVex } from './advisory/vex/openvex.ts';
export { type OvalKernel, ovalFeed } from './advisory/vex/oval.ts';

/** A prepared kernel for triage: its versions, source and configuration. It has no changelogs and no live patches. */
export interface PreparedKernel {
  readonly kernel: TriageKernel & { readonly code: KernelCode };
  /** The source, configured as the kernel was built. */
  readonly tree: string;
  readonly arch: string;
}

/**
 * Prepares a kernel if it is not in the cache, and reads which files its configuration compiles.
 * Errors: as `kpatch kernel add`; `makefiles-unreadable`.
 */
export async function preparedKernel(release: string, report: Reporter = silentReporter()): Promise<PreparedKernel> {
  const target = await prepareKernel(release, { report });
  const code = await preparedCode(new KernelFacts(target));
  // Advisories write the name with a capital: Debian:12.
  const distribution = target.origin?.replace(/^./, (first) => first.toUpperCase());
  return {
    tree: target.paths.tree,
    arch: target.arch,
    kernel: {
      release,
      scheme: schemeOf(target.sourceVersion),
      version: target.sourceVersion,
      ...(distribution === undefined ? {} : { distribution }),
      changelogs: [],
      live: new Map(),
      code,
    },
  };
}

/**
 * The hunks of a diff, as triage searches for them in a source. Errors: those of reading patches.
 */
export function hunksOf(diff: Uint8Array, name: string): FixHunk[] {
  return parseSourcePatch(name, diff).files.flatMap(({ path, hunks }) =>
    hunks.map(({ lines }) => {
      const side = (left: string): string[] =>
        lines.filter((line) => line[0] === ' ' || line[0] === left).map((line) => line.slice(1));
      return { path, before: side('-'), after: side('+') };
    }),
  );
}
