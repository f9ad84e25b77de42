/** What the server keeps of a report: the facts that lists and rollouts need, and a digest of its content. */
import { createHash } from 'node:crypto';
import type { FleetReport } from 'kpatch/fleet';

export type Condition = 'ok' | 'attention' | 'reboot' | 'transition' | 'shadowed' | 'blocked' | 'unsupported';

/** The digests of the enabled live patches, sorted; one that another program loaded is `unknown:NAME`. */
export function patchOf({ patches }: FleetReport): string {
  return patches
    .filter(({ state }) => state === 'enabled')
    .map(({ sha256, name }) => sha256 ?? `unknown:${name}`)
    .sort()
    .join(' ');
}

/** The names of the loaded modules, if their digest is right: a host must not name the modules of the others. */
export function modulesOf({ modules: { digest, names } }: FleetReport): readonly string[] | undefined {
  if (names === undefined) return undefined;
  return createHash('sha256').update(names.join('\n')).digest('hex') === digest ? names : undefined;
}

/** The most urgent of what a report says. */
export function conditionOf(report: FleetReport): Condition {
  if (!report.kernel.livepatch) return 'unsupported';
  if ((report.effective?.shadowed.length ?? 0) > 0) return 'shadowed';
  if (report.incidents.some(({ kind }) => kind === 'blocked')) return 'blocked';
  if (report.transition !== undefined) return 'transition';
  if (report.reboot) return 'reboot';
  return report.todo > 0 ? 'attention' : 'ok';
}

/** The content without what differs in every report, as it is stored; members that this version does not know are left out. */
export function contentOf(report: FleetReport): object {
  const { host, machine, name, version, kernel, patches, installed, effective, incidents, policy, channel } = report;
  const { boot, transition, modules, reboot, todo } = report;
  return {
    ...{ host, machine, name, version, kernel, patches, installed, incidents, policy, reboot, todo },
    boot: { id: boot.id },
    modules: { digest: modules.digest },
    ...(effective === undefined ? {} : { effective }),
    ...(channel === undefined ? {} : { channel }),
    ...(transition === undefined ? {} : { transition: { patch: transition.patch } }),
  };
}

export function digestOf(content: object): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('base64url').slice(0, 24);
}
