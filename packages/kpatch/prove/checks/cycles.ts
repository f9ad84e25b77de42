/** Repeated loading and unloading under load leaves the kernel as it was. */
import type { GuestCheck, Session } from '../run/check.ts';
import { ClaimFailed } from '../run/event.ts';
import { guestPath, secondsForFunctions } from '../run/guest/livepatch.ts';
import { rememberStockLog } from '../run/guest/stock-log.ts';
import { type Load, loadFigures, startLoad, stopLoad } from '../run/guest/workload.ts';

/** Cycles in one boot; the full plan has two such boots. */
const CYCLES = 50;
/** A cycle of a large patch takes seconds for each of its functions: above 10 functions there are fewer cycles, but never fewer than 10. */
const cyclesOf = ({ subject }: Session): number =>
  Math.max(10, Math.min(CYCLES, Math.round(500 / (subject.functions?.length ?? 1))));
/** Cycles before memory is measured, also under load: a cache that fills once is not a leak. */
const WARM_UP = 3;
/**
 * Tolerated growth, KiB. About 400 was seen without a leak (closing sockets); a leak of 16 KiB per cycle (4 pages) is
 * found.
 */
const TOLERANCE_KIB = 768;
/**
 * On one processor, a task that waits for the CPU delays the RCU tasks grace periods (Documentation/RCU/), of which each
 * cycle has several. So the load leaves the processor idle at times; it still runs in every cycle.
 */
const LOAD: Load = { niceness: 19, rest: 8 };

export const cycles: GuestCheck = {
  id: 'cycles',
  title: 'loading and unloading it many times under load uses no additional memory',
  where: 'guest',
  async *run(session) {
    await rememberStockLog(session);
    const rounds = cyclesOf(session);
    await startLoad(session, LOAD);
    await repeat(session, WARM_UP);
    await stopLoad(session);
    const before = await usedMemory(session);
    const idle = await loadFigures(session);
    await startLoad(session, LOAD);
    const start = performance.now();
    await repeat(session, rounds);
    const seconds = (performance.now() - start) / 1000;
    const busy = await loadFigures(session);
    await stopLoad(session);
    yield { text: `${rounds} cycles`, data: { cycles: rounds } };
    const processes = busy.processes - idle.processes;
    const packets = busy.packets - idle.packets;
    yield {
      text: `they took ${seconds.toFixed(1)} s; meanwhile: ${processes} processes, ${packets} packets`,
      data: { seconds, processes, packets },
      varies: true,
    };
    if (processes < rounds || packets < rounds)
      throw new ClaimFailed('the workload did not run, so the check proves nothing');
    const after = await usedMemory(session);
    const grown = after - before;
    yield {
      text: `kernel memory in use: ${before} KiB before, ${after} KiB after`,
      data: { before, after },
      varies: true,
    };
    if (grown > TOLERANCE_KIB) {
      throw new ClaimFailed(
        `the kernel uses ${grown} KiB more than before: about ${Math.round(grown / rounds)} KiB per cycle`,
      );
    }
    yield { text: `the growth is at most ${TOLERANCE_KIB} KiB` };
  },
};

async function repeat(session: Session, count: number): Promise<void> {
  const { name } = session.subject;
  const folder = `/sys/kernel/livepatch/${name}`;
  const extraSeconds = secondsForFunctions(session);
  const polls = Math.ceil((60 + extraSeconds) / 0.05);
  const script = `
wait_until() { n=0; until eval "$1"; do n=$((n + 1)); [ $n -gt ${polls} ] && { echo "cycle $i: $2"; exit 1; }; sleep 0.05; done; }
i=0
while [ $i -lt ${count} ]; do
  i=$((i + 1))
  insmod ${guestPath(session.subject)} || { echo "cycle $i: the kernel refuses the module"; dmesg | tail -n 5; exit 1; }
  wait_until '[ "$(cat ${folder}/transition)" = 0 ]' 'the transition does not complete'
  echo 0 >${folder}/enabled
  wait_until '[ ! -d ${folder} ]' 'the transition back does not complete'
  wait_until 'rmmod ${name} 2>/dev/null' 'the module cannot be removed'
  echo "done $i"
done`;
  const { status, output } = await session.sh(script, {
    step: `${count} cycles of loading and unloading`,
    deadlineMs: 60_000 + count * 1000 * (15 + 2 * extraSeconds),
    onOutput: (text) => {
      const last = [...text.matchAll(/done (\d+)/g)].at(-1)?.[1];
      if (last !== undefined) session.progress(`${last} of ${count} cycles`);
    },
  });
  if (status !== 0) throw new ClaimFailed('a cycle failed', output.split('\n').slice(-12).join('\n'));
}

/**
 * KiB of kernel memory that cannot be reclaimed: unreclaimable slabs, stacks, page tables, vmalloc, per-CPU
 * (Documentation/filesystems/proc.rst). The minimum of three measurements, each after dropping caches.
 */
export async function usedMemory(session: Session): Promise<number> {
  const script = `for i in 1 2 3; do sync; echo 3 >/proc/sys/vm/drop_caches; sleep 0.4; cat /proc/meminfo; done`;
  const { output } = await session.sh(script, { step: 'measure memory', deadlineMs: 60_000 });
  const looks = output.split('MemTotal:').slice(1);
  const figure = (text: string, name: string): number =>
    Number(new RegExp(`^${name}:\\s*(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  const names = ['SUnreclaim', 'KernelStack', 'PageTables', 'VmallocUsed', 'Percpu'];
  return Math.min(...looks.map((text) => names.reduce((sum, name) => sum + figure(text, name), 0)));
}
