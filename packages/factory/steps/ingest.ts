/** Step 1: read what is new in the feeds. */
import { join } from 'node:path';
import { KpatchError } from 'kpatch/parts';
import { readFeed } from '../feeds/feed.ts';
import { Intake } from '../feeds/intake.ts';
import type { Factory, Job } from './factory.ts';

/** Reads all feeds; one that cannot be read leaves the others and what it said before. Triage of every kernel follows. */
export async function ingest({ config, state }: Factory): Promise<Job[]> {
  const intake = new Intake((await state.read('intake')) ?? []);
  const feeds = new Map(Object.entries((await state.read('feeds')) ?? {}));
  for (const feed of config.feeds) {
    try {
      const { state: read, changes, notes } = await readFeed(feed, feeds.get(feed), join(config.home, 'clones'));
      const outcomes = intake.take(feed, changes);
      feeds.set(feed, read);
      for (const outcome of outcomes) await state.note('record', '', { ...outcome });
      for (const note of notes) await state.note('feed', '', { feed, note });
    } catch (error) {
      if (!(error instanceof KpatchError)) throw error;
      await state.note('feed', '', { feed, problem: error.message });
    }
  }
  // The records first: if the process ends between the two, the files are read again, which changes nothing.
  await state.write('intake', '', intake.plain());
  await state.write('feeds', '', Object.fromEntries(feeds));
  return config.kernels.map(({ release }) => ({ step: 'triage', kernel: release }));
}
