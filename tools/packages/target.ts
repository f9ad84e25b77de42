/** For which machine packages are made: this one, or another that the lock file pins a Node for. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { runOk } from '#kpatch/base/run.ts';
import { cacheRoot } from '#kpatch/base/workspace.ts';
import type { Naming } from '#kpatch/platform/naming.ts';
import { platformHere, requirePlatform } from '#kpatch/platform/registry.ts';
import { node } from './executable.ts';
import { lockedPackages } from './lock-file.ts';

export interface Target {
  readonly naming: Naming;
  /** The Node that the executable is made of. */
  readonly node: string;
  /** The program that removes its symbols. */
  readonly strip: string;
  /** False for another machine's: V8's cache of compiled code holds for the machine that made it. */
  readonly isHere: boolean;
}

/** The target of this name (`uname -m`). Errors: `platform-unknown`, `tool-failed`; Error if no Node is pinned for it. */
export async function targetOf(uname: string | undefined): Promise<Target> {
  const here = platformHere();
  const { naming } = uname === undefined ? here : requirePlatform('uname', uname);
  if (naming === here.naming) return { naming, node, strip: 'strip', isHere: true };
  return { naming, node: await pinnedNode(naming), strip: `${naming.triple}-strip`, isHere: false };
}

/** Downloads the Node of another machine with the digest that the lock file pins, once. */
async function pinnedNode({ kernel, uname }: Naming): Promise<string> {
  const locked = lockedPackages()[`node_modules/node-${kernel}`];
  if (locked === undefined) throw new Error(`package-lock.json pins no Node for ${uname}`);
  const path = join(cacheRoot(), 'programs', uname, `node-${locked.version}`);
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  using folder = temporaryFolder('.unfinished-', dirname(path));
  await runOk('npm', ['pack', '--silent', '--pack-destination', folder.path, `${locked.name}@${locked.version}`], {
    timeoutMs: 600_000,
  });
  const archive = join(folder.path, readdirSync(folder.path).find((name) => name.endsWith('.tgz'))!);
  const digest = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (digest !== locked.integrity)
    throw new Error(`${locked.name} has the digest ${digest}, pinned is ${locked.integrity}`);
  await runOk('tar', ['-xzf', archive, '-C', folder.path, '--strip-components=1', 'package/bin/node']);
  renameSync(join(folder.path, 'bin/node'), path);
  return path;
}
