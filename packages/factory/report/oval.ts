/** OVAL definitions of a whole factory: every CVE of every kernel, and all published modules that fix it. */
import { type OvalKernel, ovalFeed } from 'kpatch/advisories';
import { list, text, texts, version } from 'kpatch/parts';
import type { FactoryConfig } from '../config.ts';
import type { State } from '../store/state.ts';

/** The feed. Machines may run an older module: each published one that fixes a CVE is enough. */
export async function factoryOval(config: FactoryConfig, state: State): Promise<string> {
  const events = (await state.events()).filter(({ kind }) => kind === 'published');
  const kernels: OvalKernel[] = [];
  for (const { release } of config.kernels) {
    const patches = new Map<string, string[]>();
    for (const { data } of events.filter(({ kernel }) => kernel === release)) {
      const module = text(data.module);
      if (module === undefined) continue;
      for (const cve of texts(list(data.cves))) patches.set(cve, [...(patches.get(cve) ?? []), module]);
    }
    kernels.push({ release, cves: (await state.read('triage', release)) ?? [], patches });
  }
  return ovalFeed(kernels, new Date().toISOString().slice(0, 19), version);
}
