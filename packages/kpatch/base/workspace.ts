/**
 * The state of this process: what the environment and the command line decide for all stages. Other rooms keep none, except
 * memories of what was found out once; `tools/state.ts` (part of `make check`) holds to that.
 */
import { homedir } from 'node:os';
import { delimiter, isAbsolute, join } from 'node:path';

let sandbox = true;

/** Decides for this process, before anything runs: whether programs that handle foreign data run in a sandbox. */
export function useSandbox(wanted: boolean): void {
  sandbox = wanted;
}

/** False after `--no-sandbox`. */
export function isSandboxed(): boolean {
  return sandbox;
}

/** `$XDG_CACHE_HOME/kpatch`, else `/var/cache/kpatch` for root and `~/.cache/kpatch` for others. */
export function cacheRoot(): string {
  const base = process.env.XDG_CACHE_HOME;
  if (base !== undefined && isAbsolute(base)) return join(base, 'kpatch');
  return process.getuid?.() === 0 ? '/var/cache/kpatch' : join(homedir(), '.cache', 'kpatch');
}

/** A settings file of this user by its name: below `$XDG_CONFIG_HOME`, else `/etc/kpatch` for root and `~/.config` for others. */
export function settingsFile(name: string): string {
  const base = process.env.XDG_CONFIG_HOME;
  if (process.getuid?.() === 0 && base === undefined) return join('/etc/kpatch', name);
  return join(base !== undefined && isAbsolute(base) ? base : join(homedir(), '.config'), 'kpatch', name);
}

/** The folder of this user's session; undefined without one. */
export function sessionFolder(): string | undefined {
  return process.env.XDG_RUNTIME_DIR;
}

/** The folders that programs are looked for in, in their order. */
export function programFolders(): string[] {
  return (process.env.PATH ?? '/usr/bin:/bin').split(delimiter).filter((folder) => folder !== '');
}

/** Seconds since 1970 that SOURCE_DATE_EPOCH names, for results that are the same at any time; undefined if it is not set. */
export function sourceDateEpoch(): number | undefined {
  const given = Number(process.env.SOURCE_DATE_EPOCH);
  return Number.isSafeInteger(given) && given > 0 ? given : undefined;
}

/** The mirror that KPATCH_MIRROR names for archives of distributions. */
export function givenMirror(): string | undefined {
  return process.env.KPATCH_MIRROR;
}
