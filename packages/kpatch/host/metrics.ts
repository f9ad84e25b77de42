/** The machine's state for Prometheus, in its text format: one sample a line, no timestamps, a newline at the end. */
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
    help: '1 when nothing needs a person: what is installed is active and no transition stalls.',
    samples: ({ todo }) => one(count(todo.length === 0)),
  },
  {
    name: 'kpatch_kernel_info',
    help: 'The running kernel.',
    samples: ({ release }) => [{ labels: { release }, value: 1 }],
  },
  {
    name: 'kpatch_patch_info',
    help: 'One for each live patch in the kernel, with its version and state.',
    samples: ({ patches }) =>
      patches.map(({ name, version, state }) => ({
        labels: { patch: name, version: version === undefined ? '' : String(version), state },
        value: 1,
      })),
  },
  {
    name: 'kpatch_patched_functions',
    help: 'Functions of the kernel that the live patches redirect.',
    samples: ({ patches }) => one(patches.reduce((sum, { functions }) => sum + functions.length, 0)),
  },
  {
    name: 'kpatch_fixed_cves',
    help: 'CVEs that the active live patches fix.',
    samples: ({ cves }) => one(cves.length),
  },
  {
    name: 'kpatch_transition_running',
    help: '1 while a transition runs.',
    samples: ({ transition }) => one(count(transition !== undefined)),
  },
  {
    name: 'kpatch_transition_tasks_left',
    help: 'Tasks that have not come over in the running transition.',
    samples: ({ transition }) =>
      one(transition === undefined ? 0 : transition.progress.total - transition.progress.done),
  },
  {
    name: 'kpatch_installed_patches',
    help: 'Live patches that the next boot of this kernel loads.',
    samples: ({ boots }) => one(boots.length),
  },
  {
    name: 'kpatch_blocked_patches',
    help: 'Live patches that the boot guard keeps from being loaded.',
    samples: ({ blocked }) => one(blocked.length),
  },
  {
    name: 'kpatch_mismatches',
    help: 'Differences between what is installed, what is recorded and what is active.',
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
