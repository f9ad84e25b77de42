/** Finds other users of kernel functions, from the lists of enabled ftrace functions and of kprobes. */
import { join } from 'node:path';
import { attribute } from '../machine/attribute.ts';
import type { Machine } from '../machine/machine.ts';

export interface FunctionUse {
  readonly function: string;
  /** Livepatch or another user that changes the instruction pointer; the kernel allows only one for each function. */
  readonly changesFlow: boolean;
  /** A BPF program is attached (a direct call). */
  readonly direct: boolean;
  /** A kprobe or kretprobe (also used by SystemTap and perf), `offset` bytes into the function. */
  readonly kprobe?: { readonly offset: number };
}

/**
 * The uses of the given functions; `undefined` if the lists cannot be read (tracefs not mounted, not root).
 * Formats: t_show in kernel/trace/ftrace.c, report_probe in kernel/kprobes.c.
 */
export function functionUses(machine: Machine, names: ReadonlySet<string>): FunctionUse[] | undefined {
  const tracing = ['kernel/tracing', 'kernel/debug/tracing'];
  const enabled = firstOf(tracing.map((folder) => join(machine.sysfs, folder, 'enabled_functions')));
  const probes = attribute(join(machine.sysfs, 'kernel/debug/kprobes/list'));
  if (enabled === undefined && probes === undefined) return undefined;
  return [...enabledUses(enabled ?? '', names), ...probeUses(probes ?? '', names)];
}

function enabledUses(text: string, names: ReadonlySet<string>): FunctionUse[] {
  return text.split('\n').flatMap((line) => {
    // name [module] (count) R I D ...
    const [, name = '', flags = ''] = /^(\S+)(?:\s+\[\S+\])?\s+\(\d+\)([ RIDMOE]*)/.exec(line) ?? [];
    if (!names.has(name)) return [];
    return [{ function: name, changesFlow: flags.includes('I'), direct: flags.includes('D') }];
  });
}

function probeUses(text: string, names: ReadonlySet<string>): FunctionUse[] {
  return text.split('\n').flatMap((line) => {
    // address  k  name+0x0    [FTRACE]
    const [, name = '', offset = '0'] = /^\S+\s+[kr]\s+([^\s+]+)\+0x([0-9a-f]+)/.exec(line) ?? [];
    if (!names.has(name)) return [];
    return [{ function: name, changesFlow: false, direct: false, kprobe: { offset: Number.parseInt(offset, 16) } }];
  });
}

function firstOf(paths: readonly string[]): string | undefined {
  for (const path of paths) {
    const text = attribute(path);
    if (text !== undefined) return text;
  }
  return undefined;
}
