/** Step 2: one answer for each CVE of one kernel. */
import { type Fix, hunksOf, type TriagedCve, triageAll, withNamed } from 'kpatch/advisories';
import { Intake } from '../feeds/intake.ts';
import { findFix } from '../fixes/find.ts';
import { type Factory, type Job, kernelOf } from './factory.ts';
import { openRepository } from './parts/repository.ts';

/** Triage with versions, code and configuration; the fixes of the repository are searched for in the source. */
export async function triageKernel(factory: Factory, release: string): Promise<Job[]> {
  const { config, state, tools } = factory;
  const { suite } = kernelOf(factory, release);
  const intake = new Intake((await state.read('intake')) ?? []);
  const changelogs = intake.changelogs();
  const advisories = withNamed(intake.advisories(), changelogs);
  const prepared = await tools.kernel(release);
  const fixes = new Map<string, Fix[]>();
  using repository = await openRepository(factory, release, prepared.tree);
  if (repository !== undefined) {
    const { git, history, base, past } = repository;
    for (const advisory of advisories.values()) {
      if (advisory.commits.length === 0 && !history.commits.some(({ cves }) => cves.includes(advisory.id))) continue;
      const found = await findFix(advisory, history, git, base, past);
      if (found.state === 'missing') continue;
      const hunks = [];
      for (const { id } of found.commits) hunks.push(...(await hunksFrom(await git.diff(id), id)));
      fixes.set(advisory.id, [{ name: found.commits.map(({ id }) => id.slice(0, 12)).join(' and '), hunks }]);
    }
  }
  const kernel = {
    ...prepared.kernel,
    ...(suite === undefined ? {} : { suite }),
    changelogs,
    fixes: (cve: string): readonly Fix[] => fixes.get(cve) ?? [],
  };
  const triaged: readonly TriagedCve[] = triageAll(advisories, kernel, config.selection);
  if (await state.write('triage', release, triaged)) await state.note('triage', release, { cves: triaged.length });
  return [{ step: 'series', kernel: release }];
}

/** A fix that cannot be read as a patch (binary files, modes) is not searched for. */
function hunksFrom(diff: Buffer, id: string): ReturnType<typeof hunksOf> {
  try {
    return hunksOf(diff, id);
  } catch {
    return [];
  }
}
