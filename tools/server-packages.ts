/**
 * `make server-packages`: the fleet server and the factory as one package, a .deb and an .rpm with units and a bill of materials (CycloneDX), into
 * `dist/server/`. Both run on the Node that is in it, from the same files as in a checkout. `--machine NAME` makes them for another machine,
 * `--tree FOLDER` only lays the files out.
 */
import { chmodSync, copyFileSync, cpSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { parseArgs } from 'node:util';
import { sha256 } from '#kpatch/base/digest.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { version } from '#kpatch/base/version.ts';
import { filesBelow } from '#kpatch/base/walk.ts';
import { packDeb, stageOf } from './packages/deb.ts';
import { root } from './packages/executable.ts';
import { closure, lockedPackages } from './packages/lock-file.ts';
import { epoch } from './packages/request.ts';
import { buildRpm } from './packages/rpm.ts';
import { writeSbom } from './packages/sbom.ts';
import { targetOf } from './packages/target.ts';

const name = 'kpatch-server';
/** Where the files are on a machine. */
const home = `usr/lib/${name}`;
const programs = ['kpatch-fleet', 'kpatch-factory'];
const workspaces = ['packages/kpatch', 'packages/factory', 'packages/fleet'];

const { values } = parseArgs({ options: { machine: { type: 'string' }, tree: { type: 'string' } } });
const target = await targetOf(values.machine);
const libraries = closure(lockedPackages(), workspaces);
if (values.tree === undefined) await makePackages();
else await layOut(values.tree);

async function makePackages(): Promise<void> {
  const dist = join(root, 'dist/server');
  mkdirSync(dist, { recursive: true });
  using work = temporaryFolder('kpatch-server-');
  const tree = join(work.path, 'tree');
  await layOut(tree);
  // Everything in the package has a part in the digest that its bill of materials names.
  const list = filesBelow(tree)
    .sort()
    .map((path) => `${sha256(readFileSync(join(tree, path)))}  ${path}\n`);
  const request = { tree, work: work.path, dist, version, epoch };
  console.log(await writeSbom(request, { name, content: Buffer.from(list.join('')), libraries }));
  const { deb, rpm } = target.naming;
  const control = (size: number): string => controlFile(deb, size);
  const record = { name, architecture: deb, control, conffiles: [], scripts: 'packaging/server/deb' };
  console.log(await packDeb(request, stageOf(request), record));
  console.log(await buildRpm(request, rpm, 'packaging/server/kpatch-server.spec'));
}

/** The files of the package, as they are on a machine. */
async function layOut(tree: string): Promise<void> {
  const inHome = (path: string): string => {
    const to = join(tree, home, path);
    mkdirSync(dirname(to), { recursive: true });
    return to;
  };
  for (const file of ['package.json', 'package-lock.json', 'LICENSE']) copyFileSync(join(root, file), inHome(file));
  for (const workspace of workspaces) {
    cpSync(join(root, workspace), inHome(workspace), { recursive: true, filter: isProgram });
    symlinkSync(`../${workspace}`, inHome(`node_modules/${nameOf(workspace)}`));
  }
  for (const folder of libraries) {
    const filter = (path: string): boolean => !relative(join(root, folder), path).split('/').includes('node_modules');
    cpSync(join(root, folder), inHome(folder), { recursive: true, filter });
  }
  copyFileSync(target.node, inHome('node_modules/node/bin/node'));
  chmodSync(inHome('node_modules/node/bin/node'), 0o755);
  await run(target.strip, ['--strip-all', inHome('node_modules/node/bin/node')]);
  // `kpatch` itself belongs to its own package; the factory calls the one beside it.
  for (const program of [...programs, 'kpatch']) {
    copyFileSync(join(root, 'bin', program), inHome(`bin/${program}`));
    chmodSync(inHome(`bin/${program}`), 0o755);
  }
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(tree, to)), { recursive: true });
    cpSync(from, join(tree, to), { recursive: true });
  };
  mkdirSync(join(tree, 'usr/bin'), { recursive: true });
  for (const program of programs) symlinkSync(`../lib/${name}/bin/${program}`, join(tree, 'usr/bin', program));
  const packaging = join(root, 'packaging/server');
  for (const unit of readdirSync(join(packaging, 'systemd')))
    put(join(packaging, 'systemd', unit), `usr/lib/systemd/system/${unit}`);
  put(join(packaging, 'sysusers.conf'), `usr/lib/sysusers.d/${name}.conf`);
  put(join(packaging, 'tmpfiles.conf'), `usr/lib/tmpfiles.d/${name}.conf`);
  for (const file of readdirSync(join(root, 'docs')).filter((one) => one.endsWith('.md')))
    put(join(root, 'docs', file), `usr/share/doc/${name}/${file}`);
  put(join(root, 'LICENSE'), `usr/share/doc/${name}/copyright`);
  for (const file of ['CHANGELOG.md', 'SECURITY.md']) put(join(root, file), `usr/share/doc/${name}/${file}`);
}

/** Tests and what they need are not part of a program, and neither are libraries, which are copied from the lock file's list. */
function isProgram(path: string): boolean {
  return !relative(root, path)
    .split('/')
    .some((part) => part === 'test' || part === 'node_modules');
}

/** The name by which others import a package of the workspace. */
function nameOf(workspace: string): string {
  return (JSON.parse(readFileSync(join(root, workspace, 'package.json'), 'utf8')) as { name: string }).name;
}

function controlFile(architecture: string, size: number): string {
  return `Package: ${name}
Version: ${version}-1
Architecture: ${architecture}
Maintainer: The kpatch project <root@localhost>
Installed-Size: ${size}
Depends: libc6 (>= 2.28), libstdc++6, libatomic1, systemd
Suggests: bubblewrap, git, gcc, make, qemu-system-x86, postgresql
Section: kernel
Priority: optional
Description: fleet server and factory for live patches of the Linux kernel
 kpatch-fleet knows what really runs on every machine of a fleet and rolls live
 patches out in rings. kpatch-factory goes from a CVE to a proven, published
 live patch. Machines that only load patches do not need this package.
`;
}
