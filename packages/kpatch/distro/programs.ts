/** Programs for virtual machines of another machine: from packages of a distribution, unpacked into the cache, never installed. */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { temporaryFolder } from '../base/files.ts';
import { type Reporter, silentReporter } from '../base/report.ts';
import { cacheRoot } from '../base/workspace.ts';
import type { Naming } from '../platform/naming.ts';
import type { Distribution } from './distribution.ts';
import { distributions } from './registry.ts';

/** The folder of such programs in the cache. */
export function programsFolder(): string {
  return join(cacheRoot(), 'programs');
}

/**
 * Path of a static busybox for a machine, downloaded at the first use. Errors: `guest-programs`, those of reaching the
 * distribution's archive, `kernel-download`, `tool-failed`, `disk-full`.
 */
export async function busyboxFor(
  machine: Naming,
  report: Reporter = silentReporter(),
  from: readonly Pick<Distribution, 'busybox'>[] = distributions(),
): Promise<string> {
  const path = join(programsFolder(), machine.uname, 'busybox');
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  using folder = temporaryFolder('.unfinished-', programsFolder());
  const context = { report, packages: join(cacheRoot(), 'packages'), cache: cacheRoot() };
  for (const { busybox } of from) {
    const found = await busybox?.(machine, folder.path, context);
    if (found === undefined) continue;
    renameSync(found, path);
    return path;
  }
  throw failure('guest-programs', { machine: machine.uname, file: path });
}
