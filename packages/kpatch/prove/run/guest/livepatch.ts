/** Operations on live patches in a guest, and their sysfs state (Documentation/ABI/testing/sysfs-kernel-livepatch). */

import type { ReplacedFunction } from '../../../module/tables.ts';
import { busyness } from '../../../vm/deadline.ts';
import type { Subject } from '../../input/subject.ts';
import type { Session } from '../check.ts';
import { ClaimFailed } from '../event.ts';
import type { Transition } from './observations.ts';
import { rememberStockLog } from './stock-log.ts';

/** Loading waits for RCU grace periods, which are long in an emulated guest on a busy machine. */
const STEP_DEADLINE_MS = 300_000;

/** Loading and unloading pay grace periods of RCU for each function; so long for one in an emulated guest, at most. */
const SECONDS_PER_FUNCTION = 1.5;

/** Seconds that a load or unload of this proof may take longer than that of a patch of one function. */
export function secondsForFunctions({ subject, predecessors }: Session): number {
  const counts = [subject, ...predecessors].map(({ functions }) => functions?.length ?? 1);
  return SECONDS_PER_FUNCTION * (Math.max(...counts) - 1);
}

function stepDeadlineMs(session: Session): number {
  return STEP_DEADLINE_MS + 1000 * Math.max(0, secondsForFunctions(session));
}

const SYSFS = '/sys/kernel/livepatch';

/** Path of a module in the guest. */
export function guestPath(subject: Subject): string {
  return `/kpatch/${subject.sha256.slice(0, 12)}/${subject.name}.ko`;
}

/**
 * Waits until the transition of a loaded patch completes (or the patch disappears). The guest polls and reports progress.
 * Throws `ClaimFailed` with the tasks that block it after `seconds` (later on a busy machine).
 */
export async function waitForTransition(
  session: Session,
  name: string,
  towards: 'patched' | 'unpatched',
  seconds = 60,
): Promise<Transition> {
  const stale = towards === 'patched' ? 0 : 1;
  const limit = Math.ceil((seconds + secondsForFunctions(session)) * busyness());
  const script = `
start=$(cut -d' ' -f1 /proc/uptime)
limit=$(( \${start%.*} + ${limit} ))
while [ "$(cat ${SYSFS}/${name}/transition 2>/dev/null)" = 1 ]; do
  now=$(cut -d' ' -f1 /proc/uptime)
  echo "$now $(cat /proc/[0-9]*/task/[0-9]*/patch_state 2>/dev/null | grep -c '^${stale}$')"
  if [ \${now%.*} -gt $limit ]; then
    for task in /proc/[0-9]*/task/[0-9]*; do
      [ "$(cat $task/patch_state 2>/dev/null)" = ${stale} ] || continue
      echo "stuck \${task##*/} $(cat $task/comm)"; cat $task/stack
    done
    exit 1
  fi
  sleep 0.1
done
echo "$(cut -d' ' -f1 /proc/uptime) 0"`;
  const begun = await session.sh("cut -d' ' -f1 /proc/uptime");
  const start = Number(begun.output);
  const { status, output } = await session.sh(script, {
    step: 'wait for the transition',
    deadlineMs: (limit + 60) * 1000,
    onOutput: (text) => {
      const tasks = /(\d+)\s*$/.exec(text)?.[1];
      if (tasks !== undefined && tasks !== '0') session.progress(`${tasks} tasks left`);
    },
  });
  const points = [...output.matchAll(/^(\d+\.\d+) (\d+)$/gm)].map(([, time, tasks]) => ({
    seconds: Math.max(0, Math.round((Number(time) - start) * 100) / 100),
    tasks: Number(tasks),
  }));
  if (status !== 0) {
    const stuck = output.slice(Math.max(0, output.indexOf('stuck')));
    throw new ClaimFailed(`the transition did not complete within ${limit} s`, stuck);
  }
  return { seconds: points.at(-1)?.seconds ?? 0, points };
}

/** Loads a module; throws `ClaimFailed` with the kernel messages if it is refused. */
export async function insert(session: Session, subject: Subject): Promise<void> {
  await rememberStockLog(session);
  const { status, output } = await session.sh(
    `insmod ${guestPath(subject)} || { status=$?; dmesg | tail -n 6; exit $status; }`,
    { step: `insmod ${subject.name}.ko`, deadlineMs: stepDeadlineMs(session) },
  );
  if (status !== 0) throw new ClaimFailed('the kernel refuses the module', output);
}

/** Disables a patch, waits for the transition, and removes its module. */
export async function takeOut(session: Session, subject: Subject, seconds = 60): Promise<Transition> {
  const { name } = subject;
  const disabled = await session.sh(`echo 0 >${SYSFS}/${name}/enabled`, {
    step: `disable ${name}`,
    deadlineMs: stepDeadlineMs(session),
  });
  if (disabled.status !== 0) throw new ClaimFailed('the kernel refuses to disable the patch', disabled.output);
  const transition = await waitForTransition(session, name, 'unpatched', seconds);
  await remove(session, subject);
  return transition;
}

/**
 * Removes the module of a disabled or replaced patch. The kernel drops its reference shortly after its sysfs folder is
 * gone.
 */
export async function remove(session: Session, subject: Subject): Promise<void> {
  const { name } = subject;
  const { status, output } = await session.sh(
    `n=0
until rmmod ${name} 2>/tmp/rmmod; do
  n=$((n + 1)); [ $n -gt 50 ] && { cat /tmp/rmmod; exit 1; }
  sleep 0.1
done
! grep -q '^${name} ' /proc/modules`,
    { step: `rmmod ${name}`, deadlineMs: stepDeadlineMs(session) },
  );
  if (status !== 0) throw new ClaimFailed('the module cannot be removed after the patch was disabled', output);
}

/** `enabled` and `transition` of each live patch, by name. */
export async function livePatches(session: Session): Promise<Map<string, { enabled: boolean; transition: boolean }>> {
  const { output } = await session.sh(
    `cd ${SYSFS} && for p in *; do [ -d "$p" ] && echo "$p $(cat $p/enabled) $(cat $p/transition)"; done; true`,
  );
  const all = new Map<string, { enabled: boolean; transition: boolean }>();
  for (const [, name, enabled, transition] of output.matchAll(/^(\S+) (\d) (\d)$/gm)) {
    all.set(name!, { enabled: enabled === '1', transition: transition === '1' });
  }
  return all;
}

/** The functions that livepatch lists for a patch: `OBJECT/FUNCTION,SYMPOS`. */
export async function listedFunctions(session: Session, name: string): Promise<ReplacedFunction[]> {
  const { output } = await session.sh(`cd ${SYSFS}/${name} && ls -1d */*,* 2>/dev/null; true`);
  return [...output.matchAll(/^([^/\s]+)\/(\S+),(\d+)$/gm)].map(([, object, func, sympos]) => ({
    object: object!,
    name: func!,
    sympos: Number(sympos),
  }));
}

/** The patched state of each object of a patch, from `OBJECT/patched` (Linux 6.1 and later). */
export async function patchedObjects(session: Session, name: string): Promise<Map<string, boolean>> {
  const { output } = await session.sh(
    `cd ${SYSFS}/${name} && for o in */; do o=\${o%/}; [ -e $o/patched ] && echo "$o $(cat $o/patched)"; done; true`,
  );
  return new Map([...output.matchAll(/^(\S+) ([01])$/gm)].map(([, object, patched]) => [object!, patched === '1']));
}

/** An entry of `tracing/enabled_functions`: a redirected or traced function and its users. */
export interface EnabledFunction {
  readonly name: string;
  readonly byLivepatch: boolean;
}

/** Parses `tracing/enabled_functions`. Continuation lines of an entry are indented. */
export function parseEnabledFunctions(text: string): EnabledFunction[] {
  const entries: { name: string; byLivepatch: boolean }[] = [];
  for (const line of text.split('\n')) {
    const name = /^([^\s(]+) (?:\[\w+\] )?\(\d+\)/.exec(line)?.[1];
    if (name !== undefined) entries.push({ name, byLivepatch: false });
    const entry = entries.at(-1);
    if (entry !== undefined && line.includes('klp_ftrace_handler')) entry.byLivepatch = true;
  }
  return entries;
}

export async function enabledFunctions(session: Session): Promise<string> {
  const { status, output } = await session.sh('cat /sys/kernel/tracing/enabled_functions');
  if (status !== 0) throw new ClaimFailed('the kernel does not show which functions are redirected', output);
  return output;
}
