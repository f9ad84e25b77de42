/** The state of the machine in the text format of Prometheus: one sample per line, no timestamps, a final newline. */
import type { Machine } from './machine/machine.ts';
import { type Status, statusOf } from './status.ts';

interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: (
    status: Status,
  ) => readonly { readonly labels?: Readonly<Record<string, string>>; readonly value: number }[];
}

const one = (value: number): readonly { readonly value: number }[] => [{ value }];
const count = (value: boolean): number => (value ? 1 : 0);

/** Names and meanings; `docs/metrics.md` is printed from this table. */
export const metrics: readonly Metric[] = [
  {
    name: 'kpatch_healthy',
    help: '1 if nothing needs attention: all installed patches are active and no transition is stalled.',
    samples: ({ todo }) => one(count(todo.length === 0)),
  },
  {
    name: 'kpatch_kernel_info',
    help: 'The running kernel.',
    samples: ({ release }) => [{ labels: { release }, value: 1 }],
  },
  {
    name: 'kpatch_patch_info',
    help: '1 for each loaded live patch, with its version and state.',
    samples: ({ patches }) =>
      patches.map(({ name, version, state }) => ({
        labels: { patch: name, version: version === undefined ? '' : String(version), state },
        value: 1,
      })),
  },
  {
    name: 'kpatch_patched_functions',
    help: 'Kernel functions redirected by live patches.',
    samples: ({ patches }) => one(patches.reduce((sum, { functions }) => sum + functions.length, 0)),
  },
  {
    name: 'kpatch_fixed_cves',
    help: 'CVEs fixed by the active live patches.',
    samples: ({ cves }) => one(cves.length),
  },
  {
    name: 'kpatch_transition_running',
    help: '1 while a transition is running.',
    samples: ({ transition }) => one(count(transition !== undefined)),
  },
  {
    name: 'kpatch_transition_tasks_left',
    help: 'Tasks that have not switched yet in the running transition.',
    samples: ({ transition }) =>
      one(transition === undefined ? 0 : transition.progress.total - transition.progress.done),
  },
  {
    name: 'kpatch_installed_patches',
    help: 'Live patches that the next boot of this kernel will load.',
    samples: ({ boots }) => one(boots.length),
  },
  {
    name: 'kpatch_blocked_patches',
    help: 'Live patches blocked by the boot guard.',
    samples: ({ blocked }) => one(blocked.length),
  },
  {
    name: 'kpatch_policy_info',
    help: 'The host policy: none, valid or unusable.',
    samples: ({ policy }) => [{ labels: { state: policy.state }, value: 1 }],
  },
  {
    name: 'kpatch_policy_alarms',
    help: 'What the host policy finds wrong: an unusable policy, installed patches that it refuses, revoked keys.',
    samples: ({ policy }) => one(policy.alarms.length),
  },
  {
    name: 'kpatch_lost_boots',
    help: 'Boots of the last day that ended before they counted as survived.',
    samples: ({ observed }) => one(observed.length),
  },
  {
    name: 'kpatch_mismatches',
    help: 'Differences between installed, recorded and active patches.',
    samples: ({ mismatches }) => one(mismatches.length),
  },
];

/** All metrics of a machine. */
export function metricsText(machine: Machine): string {
  const status = statusOf(machine);
  const lines = metrics.flatMap(({ name, help, samples }) => {
    const values = samples(status).map(({ labels, value }) => `${name}${labelText(labels)} ${value}`);
    return [`# HELP ${name} ${help}`, `# TYPE ${name} gauge`, ...values];
  });
  return `${lines.join('\n')}\n`;
}

function labelText(labels: Readonly<Record<string, string>> | undefined): string {
  if (labels === undefined) return '';
  const escaped = (value: string): string => value.replace(/[\\"\n]/g, (char) => (char === '\n' ? '\\n' : `\\${char}`));
  return `{${Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(',')}}`;
}
