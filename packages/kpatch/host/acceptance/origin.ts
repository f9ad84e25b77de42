/**
 * Whether the user gave the command, or a package script, a unit or a timer. A policy can let updates do less than a
 * person may do, and what the user has taken out no update puts back.
 */
import { attribute } from '../machine/attribute.ts';

/** Programs that run the scripts of packages. */
const managers: ReadonlySet<string> = new Set([
  ...['dpkg', 'dpkg-deb', 'apt', 'apt-get', 'aptitude', 'unattended-upgr', 'packagekitd'],
  ...['rpm', 'dnf', 'dnf5', 'dnf5daemon-serv', 'yum', 'microdnf', 'zypper', 'rpm-ostree'],
]);

/** Set for commands that `kpatch update` calls. */
export const updateMark = 'KPATCH_UPDATE';

/** A chain of processes is short; a limit keeps a changing /proc from going round. */
const MOST_ANCESTORS = 64;

/**
 * True for automatic operations: `kpatch update`, a systemd service without a terminal, or a script that a package manager
 * runs.
 */
export function isUnattended(
  env: NodeJS.ProcessEnv = process.env,
  terminal: boolean = process.stdin.isTTY === true,
): boolean {
  if (env[updateMark] !== undefined) return true;
  // systemd.exec(5): each service has an INVOCATION_ID. Programs started from a desktop inherit one and have a terminal.
  if (env.INVOCATION_ID !== undefined && !terminal) return true;
  // deb-maint-scripts: dpkg(1) sets it for every script of a package.
  return env.DPKG_MAINTSCRIPT_PACKAGE !== undefined || ancestors().some((name) => managers.has(name));
}

/** Names of this process's ancestors, nearest first. */
function ancestors(): string[] {
  const names: string[] = [];
  for (let pid = process.ppid; pid > 1 && names.length < MOST_ANCESTORS; ) {
    // The name is in parentheses and may hold any character.
    const stat = attribute(`/proc/${pid}/stat`) ?? '';
    const end = stat.lastIndexOf(')');
    if (end < 0) break;
    names.push(stat.slice(stat.indexOf('(') + 1, end));
    pid = Number(stat.slice(end + 2).split(' ')[1] ?? 0);
  }
  return names;
}
