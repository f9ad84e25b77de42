/**
 * Counts the calls of the new code with a kprobe at the entry of each new function in the livepatch module
 * (Documentation/trace/kprobetrace.rst; the counts are in `kprobe_profile`).
 */

import type { ReplacedFunction } from '../../../module/tables.ts';
import type { Session } from '../check.ts';
import type { CallCount } from './observations.ts';

interface Probe {
  readonly func: ReplacedFunction;
  readonly event: string | undefined;
  readonly problem?: string;
}

const TRACING = '/sys/kernel/tracing';

export async function startCounting(session: Session): Promise<Probe[]> {
  const { subject, state } = session;
  const symbols = subject.functionSymbols;
  const probes: Probe[] = [];
  for (const [at, func] of (state.redirected ?? []).entries()) {
    const symbol = newSymbol(symbols, func.name);
    if (symbol === undefined) {
      probes.push({ func, event: undefined, problem: 'the module has no symbol of that name' });
      continue;
    }
    const event = `reach${at}`;
    const set = await session.sh(
      `echo 'p:kpatch/${event} ${subject.name}:${symbol}' >>${TRACING}/kprobe_events && echo 1 >${TRACING}/events/kpatch/${event}/enable`,
      { step: `count calls of ${symbol}` },
    );
    probes.push(set.status === 0 ? { func, event } : { func, event: undefined, problem: 'the kernel allows no probe' });
  }
  return probes;
}

/** Reads the counts and removes the probes. */
export async function countCalls(session: Session, probes: readonly Probe[]): Promise<CallCount[]> {
  if (!probes.some(({ event }) => event !== undefined)) {
    return probes.map(({ func, problem }) => ({
      func,
      count: undefined,
      ...(problem === undefined ? {} : { problem }),
    }));
  }
  const { output } = await session.sh(`cat ${TRACING}/kprobe_profile
for e in ${TRACING}/events/kpatch/*/enable; do echo 0 >$e; done
grep -o 'kpatch/reach[0-9]*' ${TRACING}/kprobe_events | sort -u | sed 's/^/-:/' >/tmp/probes
while read -r probe; do echo "$probe" >>${TRACING}/kprobe_events; done </tmp/probes`);
  return probes.map(({ func, event, problem }) => {
    const count = event === undefined ? undefined : new RegExp(`^\\s*${event}\\s+(\\d+)`, 'm').exec(output)?.[1];
    if (count === undefined) return { func, count: undefined, problem: problem ?? 'the kernel shows no count' };
    return { func, count: Number(count) };
  });
}

/** The new function has the name of the old one, or a derived name (`livepatch_NAME`, `NAME.patched`). */
function newSymbol(symbols: readonly string[], name: string): string | undefined {
  const plain = name.replace(/\.(isra|constprop|part|cold).*$/, '');
  return (
    symbols.find((symbol) => symbol === name) ??
    symbols.find((symbol) => symbol.endsWith(`_${plain}`) || symbol.startsWith(`${plain}.`) || symbol === plain)
  );
}
