/** Builds each patch of a long series by itself: to search for one refused patch after the other would build the whole again and again. */
import { type KpatchError, sha256 } from 'kpatch/parts';
import type { Factory, StoredPatch } from '../factory.ts';
import { withNeeded } from './culprit.ts';
import { rewritingsOf } from './files.ts';

/** Longer series are screened when the whole is refused. */
export const LONG_SERIES = 16;

/** How often what is known is stored: a worker that is killed goes on from there. */
const STORED_EVERY = 20;

/** Calls `refused` for each patch that `attempt` refuses by itself, and returns their number. What built once is not built again. */
export async function screenSeries(
  factory: Factory,
  release: string,
  patches: readonly StoredPatch[],
  attempt: (some: readonly StoredPatch[]) => Promise<KpatchError | undefined>,
  refused: (patch: StoredPatch, error: KpatchError) => Promise<void>,
): Promise<number> {
  const { state } = factory;
  const good = new Set(await state.read('screened', release));
  const rewritings = await rewritingsOf(factory, release);
  let count = 0;
  let fresh = 0;
  for (const patch of patches) {
    const own = withNeeded(patch, patches);
    const key = sha256(own.map(({ digest }) => rewritings[digest]?.digest ?? digest).join('\n'));
    if (good.has(key)) continue;
    const error = await attempt(own);
    if (error === undefined) {
      good.add(key);
      if (++fresh % STORED_EVERY === 0) await state.write('screened', release, [...good]);
      continue;
    }
    // A patch that it needs is the one to leave out; that comes first, and this one follows from it.
    count++;
    await refused(patch, error);
  }
  await state.write('screened', release, [...good]);
  return count;
}
