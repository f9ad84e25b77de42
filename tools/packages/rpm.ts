/** The .rpm of a program. */
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runOk } from '#kpatch/base/run.ts';
import { root } from './executable.ts';
import { type PackageRequest, setTimes } from './request.ts';

/** Builds the package that a file of `packaging/` describes; gives its path. Errors: `tool-missing`, `tool-failed`. */
export async function buildRpm(
  request: PackageRequest,
  architecture: string,
  specFile = 'packaging/rpm/kpatch.spec',
): Promise<string> {
  const { tree, work, dist, version, epoch } = request;
  const top = join(work, 'rpm');
  mkdirSync(top);
  const spec = readFileSync(join(root, specFile), 'utf8');
  writeFileSync(join(top, 'kpatch.spec'), spec.replaceAll('@VERSION@', version).replaceAll('@ROOT@', tree));
  await setTimes(tree, epoch);
  const args = [
    '-bb',
    '--quiet',
    '--target',
    architecture,
    '--define',
    `_topdir ${top}`,
    '--define',
    '_buildhost localhost',
    join(top, 'kpatch.spec'),
  ];
  await runOk('rpmbuild', args, { env: { SOURCE_DATE_EPOCH: String(epoch) }, timeoutMs: 300_000 });
  const folder = join(top, 'RPMS', architecture);
  const [name] = readdirSync(folder).filter((file) => file.endsWith('.rpm'));
  if (name === undefined) throw new Error('rpmbuild wrote no package');
  copyFileSync(join(folder, name), join(dist, name));
  return join(dist, name);
}
