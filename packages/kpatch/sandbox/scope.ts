/**
 * Under systemd each sandbox is a scope of its own (systemd.scope(5)), so that all of its processes together have a limit:
 * setrlimit(2) limits each process for itself.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { sessionFolder } from '../base/workspace.ts';

/** The sandbox may take most of the memory, but the machine goes on. */
const properties = ['MemoryMax=80%', 'MemorySwapMax=0', 'TasksMax=8192'];

let usable = true;

/** The command line of systemd-run(1) that goes before the sandbox's; empty if systemd does not run this machine. */
export function scopeCommand(): string[] {
  if (!usable || !existsSync('/run/systemd/system') || !existsSync('/usr/bin/systemd-run')) return [];
  const runtime = sessionFolder() ?? '';
  const user = process.getuid?.() !== 0;
  if (user && !existsSync(join(runtime, 'systemd/private'))) return [];
  const settings = properties.flatMap((property) => ['--property', property]);
  // It needs to know where the user's own manager listens; what it starts does not.
  const manager = user ? ['env', `XDG_RUNTIME_DIR=${runtime}`] : [];
  const after = user ? ['env', '-u', 'XDG_RUNTIME_DIR'] : [];
  return [
    ...manager,
    'systemd-run',
    ...(user ? ['--user'] : []),
    '--scope',
    '--quiet',
    '--collect',
    ...settings,
    '--',
    ...after,
  ];
}

/** True if systemd-run itself failed (a manager that does not answer, as in some containers): it is not tried again. */
export function scopeFailed(stderr: string): boolean {
  if (!usable || !/^Failed to (?:start transient|create bus|connect to bus|get D-Bus|set unit|add)/m.test(stderr))
    return false;
  usable = false;
  return true;
}
