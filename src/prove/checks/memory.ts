/** The new code frees what it allocates, and writes nowhere but where it may. For a boot with `slub_debug=FZPU`. */
import type { GuestCheck, Session } from '../check.ts';
import { ClaimFailed } from '../event.ts';

const RUNS = 20;

export const noLeak: GuestCheck = {
  id: 'no-leak',
  title: 'calls of the new code leave no memory behind',
  where: 'guest',
  applies: ({ test }) => test !== undefined,
  async *run(session) {
    await runTest(session, 1);
    const before = await heldByModule(session);
    await runTest(session, RUNS);
    const after = await heldByModule(session);
    const sites = [...after.keys()].filter((site) => after.get(site)! - (before.get(site) ?? 0) >= RUNS / 2);
    yield { text: `the author's test was run ${RUNS} times; every allocation of the module was counted by its place` };
    if (sites.length === 0) {
      const sum = [...after.values()].reduce((total, count) => total + count, 0);
      yield { text: `${sum} objects allocated by the module are in use`, varies: true };
      return;
    }
    const lines = sites.map(
      (site) => `${site}: ${before.get(site) ?? 0} objects, after ${RUNS} runs ${after.get(site)}`,
    );
    throw new ClaimFailed(`memory allocated in ${sites[0]!.replace(/\+.*/, '')} is never freed`, lines.join('\n'));
  },
};

export const neighbours: GuestCheck = {
  id: 'neighbours',
  title: 'no memory next to what the code uses was written to',
  where: 'guest',
  async *run(session) {
    const { output } = await session.sh(
      'n=0; for f in /sys/kernel/slab/*/validate; do echo 1 >$f 2>/dev/null && n=$((n + 1)); done; echo "checked $n"',
      { step: 'validate all slabs', deadlineMs: 120_000 },
    );
    const checked = Number(/checked (\d+)/.exec(output)?.[1] ?? 0);
    if (checked === 0) throw new ClaimFailed('this kernel does not check its slabs (slub_debug is off)', output);
    // What was overwritten is printed when it is found: when the object is freed, or now.
    const log = (await session.sh('dmesg')).output;
    const at = log.search(/^.*BUG .*(overwritten|corrupt|Wrong|Invalid|inconsistent)/im);
    if (at >= 0) throw new ClaimFailed('a slab object was written beyond its end', log.slice(at, at + 4000));
    yield { text: 'red zones and poison of all slab caches are whole' };
    yield { text: `${checked} caches were checked`, varies: true };
  },
};

async function runTest(session: Session, runs: number): Promise<void> {
  const script = `for i in $(seq ${runs}); do KPATCH_PHASE=with sh /kpatch/test >/dev/null 2>&1; done; true`;
  await session.sh(script, { step: `the test script, ${runs} times`, deadlineMs: 240_000 });
}

/**
 * Objects in use by the place in the patch module that allocated them: slabs by `alloc_traces` of slub_debug
 * (Documentation/mm/slub.rst), vmalloc areas by /proc/vmallocinfo.
 */
async function heldByModule(session: Session): Promise<Map<string, number>> {
  const { name } = session.subject;
  const { output } = await session.sh(
    `cat /sys/kernel/debug/slab/*/alloc_traces 2>/dev/null | grep '\\[${name}\\]'
grep '\\[${name}\\]' /proc/vmallocinfo | sed 's/^\\S* *\\S* /1 vmalloc in /'; true`,
    { step: 'allocations of the module', deadlineMs: 120_000 },
  );
  const held = new Map<string, number>();
  for (const line of output.split('\n')) {
    const [, count, site] = /^\s*(\d+) ((?:vmalloc in )?\S+)/.exec(line) ?? [];
    if (site === undefined || line.trim().startsWith('load_module')) continue;
    held.set(site, (held.get(site) ?? 0) + Number(count));
  }
  return held;
}
