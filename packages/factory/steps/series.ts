/** Step 3: one cumulative series for one kernel, of the fixes that it needs. */
import type { Advisory, TriagedCve } from 'kpatch/advisories';
import { Intake } from '../feeds/intake.ts';
import { findFix } from '../fixes/find.ts';
import { makeSeries, type WantedFix } from '../fixes/series.ts';
import {
  acceptedSubjects,
  type Factory,
  heldCves,
  type Job,
  kernelOf,
  reasonOf,
  type StoredSeries,
} from './factory.ts';
import { pairSeries } from './parts/pair.ts';
import { openRepository } from './parts/repository.ts';

/** What the kernel needs: affected or undecided, compiled, selected, not held by a person, within the support window. */
function isWanted(one: TriagedCve): boolean {
  return (one.answer === 'open' || one.answer === 'unknown') && one.selected;
}

/** Makes the series; nothing follows if the kernel's window is over. */
export async function seriesOf(factory: Factory, release: string): Promise<Job[]> {
  const { state, tools } = factory;
  const { until, newer } = kernelOf(factory, release);
  if (until !== undefined && new Date().toISOString().slice(0, 10) > until) {
    await state.note('window', release, { until, text: 'the support window is over' });
    return [];
  }
  const triaged = (await state.read('triage', release)) ?? [];
  const advisories = new Intake((await state.read('intake')) ?? []).advisories();
  const held = await heldCves(factory);
  if (newer !== undefined) {
    const wanted = triaged.filter(isWanted).map(({ cve }) => cve);
    const excluded = await excludedFrom(factory, release, []);
    return await storeSeries(
      factory,
      release,
      await pairSeries(factory, release, { wanted, held, excluded, advisories }),
    );
  }
  const prepared = await tools.kernel(release);
  using repository = await openRepository(factory, release, prepared.tree);
  if (repository === undefined) {
    await state.note('series', release, { problem: 'factory.json names no repository, so there are no fixes' });
    return [];
  }
  const { git, history, base, past } = repository;
  const wanted = new Map<string, { fix: WantedFix['commit']; cves: string[] }>();
  const without: { cve: string; reason: string }[] = [];
  for (const one of triaged.filter(isWanted)) {
    const decision = held.get(one.cve);
    if (decision !== undefined) {
      without.push({ cve: one.cve, reason: `${decision.word === 'hold' ? 'held' : 'withdrawn'}: ${decision.reason}` });
      continue;
    }
    const advisory: Advisory | undefined = advisories.get(one.cve);
    const found = advisory === undefined ? undefined : await findFix(advisory, history, git, base, past);
    if (found?.state !== 'found') {
      without.push({ cve: one.cve, reason: found?.text ?? 'only a changelog names it' });
      continue;
    }
    for (const commit of found.commits) {
      const known = wanted.get(commit.id) ?? { fix: commit, cves: [] };
      known.cves.push(one.cve);
      wanted.set(commit.id, known);
    }
  }
  const fixes = [...wanted.values()].map(({ fix, cves }) => ({ commit: fix, cves }));
  const excluded = await excludedFrom(factory, release, fixes);
  const { patches, dropped } = await makeSeries(fixes, history, git, base, { excluded });
  const stored: StoredSeries = {
    patches: await Promise.all(
      patches.map(async ({ text, ...rest }) => ({ ...rest, digest: await state.blobs.put(text) })),
    ),
    dropped,
    without,
  };
  return await storeSeries(factory, release, stored);
}

async function storeSeries({ state }: Factory, release: string, stored: StoredSeries): Promise<Job[]> {
  const changed = await state.write('series', release, stored);
  const { patches, dropped } = stored;
  if (changed) await state.note('series', release, { patches: patches.length, dropped: dropped.length });
  return [{ step: 'review', kernel: release }];
}

/** What was refused before, without hazards that a person accepted since then. */
async function excludedFrom(
  factory: Factory,
  release: string,
  fixes: readonly WantedFix[],
): Promise<Map<string, string>> {
  const stored = (await factory.state.read('excluded', release)) ?? {};
  const accepted = await acceptedSubjects(factory);
  const excluded = new Map<string, string>();
  for (const [commit, exclusion] of Object.entries(stored)) {
    const cves = fixes.find((one) => one.commit.id === commit)?.cves ?? [];
    const isAccepted = [commit, ...cves].some((subject) => accepted.has(subject));
    if (typeof exclusion !== 'string' && exclusion.by === 'review' && isAccepted) continue;
    excluded.set(commit, reasonOf(exclusion));
  }
  return excluded;
}

/** CVEs whose every commit is in the series: a part of a fix fixes nothing. */
export function fixedBy({ patches, dropped }: StoredSeries): string[] {
  const partly = new Set(dropped.flatMap(({ cves }) => cves));
  return [...new Set(patches.flatMap(({ cves }) => cves))].filter((cve) => !partly.has(cve)).sort();
}
