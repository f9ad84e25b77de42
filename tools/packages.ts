/**
 * `make packages`: the one executable, a .deb and an .rpm that carry it, and its bill of materials (CycloneDX), into `dist/`. `--executable` makes only that.
 * `--machine NAME` makes them for another machine (its executable is `kpatch-NAME`).
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { gzipSync } from 'node:zlib';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { version } from '#kpatch/base/version.ts';
import { bashCompletion, fishCompletion, zshCompletion } from './packages/completion.ts';
import { buildDeb } from './packages/deb.ts';
import { buildExecutable, root } from './packages/executable.ts';
import { manPages } from './packages/man.ts';
import { commandShapes } from './packages/program.ts';
import { epoch } from './packages/request.ts';
import { buildRpm } from './packages/rpm.ts';
import { packagesOf, writeSbom } from './packages/sbom.ts';
import { targetOf } from './packages/target.ts';

const dist = join(root, 'dist');

mkdirSync(dist, { recursive: true });
using work = temporaryFolder('kpatch-packages-');
const { values } = parseArgs({ options: { executable: { type: 'boolean' }, machine: { type: 'string' } } });
const target = await targetOf(values.machine);
const { uname, deb: debArch, rpm } = target.naming;
const executable = join(dist, target.isHere ? 'kpatch' : `kpatch-${uname}`);
const made = await buildExecutable(work.path, target);
rmSync(executable, { force: true });
copyFileSync(made.path, executable);
chmodSync(executable, 0o755);
// What was just written is in the page cache whole; forgotten, only what is used counts as this program's memory.
await run('sh', ['-c', 'sync -d "$1" && dd if="$1" iflag=nocache count=0 2>/dev/null', 'sh', executable]);
console.log(executable);
if (values.executable !== true) {
  const tree = join(work.path, 'tree');
  await layOut(tree);
  const { bundled } = made;
  const request = { tree, work: work.path, dist, version, epoch };
  const libraries = packagesOf(bundled);
  console.log(await writeSbom(request, { name: 'kpatch', content: readFileSync(executable), libraries }));
  console.log(await buildDeb(request, debArch));
  console.log(await buildRpm(request, rpm));
}

/** The files of the package, as they are on a machine. */
async function layOut(tree: string): Promise<void> {
  const put = (path: string, content: string | Uint8Array): void => {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    writeFileSync(join(tree, path), content);
    chmodSync(join(tree, path), 0o644);
  };
  const shapes = await commandShapes();
  const date = new Date(epoch * 1000).toISOString().slice(0, 10);
  for (const [name, text] of manPages(shapes, date)) put(`usr/share/man/man1/${name}.gz`, gzipSync(text, { level: 9 }));
  put('usr/share/bash-completion/completions/kpatch', bashCompletion(shapes));
  put('usr/share/zsh/site-functions/_kpatch', zshCompletion(shapes));
  put('usr/share/fish/vendor_completions.d/kpatch.fish', fishCompletion(shapes));
  // Errors and man pages name these files.
  const documents = join(tree, 'usr/share/doc/kpatch');
  cpSync(join(root, 'docs'), documents, { recursive: true });
  copyFileSync(join(root, 'LICENSE'), join(documents, 'copyright'));
  for (const name of ['CHANGELOG.md', 'SECURITY.md']) copyFileSync(join(root, name), join(documents, name));
  cpSync(join(root, 'examples'), join(documents, 'examples'), { recursive: true });
  mkdirSync(join(tree, 'usr/sbin'), { recursive: true });
  copyFileSync(executable, join(tree, 'usr/sbin/kpatch'));
  chmodSync(join(tree, 'usr/sbin/kpatch'), 0o755);
  // dynup/kpatch has its builder in the path and the programs that it calls beside it.
  for (const [path, target] of [
    ['usr/bin/kpatch-build', '../sbin/kpatch'],
    ['usr/libexec/kpatch/create-diff-object', '../../sbin/kpatch'],
    ['usr/libexec/kpatch/create-klp-module', '../../sbin/kpatch'],
  ] as const) {
    mkdirSync(dirname(join(tree, path)), { recursive: true });
    symlinkSync(target, join(tree, path));
  }
  mkdirSync(join(tree, 'var/lib/kpatch'), { recursive: true });
  put('etc/needrestart/conf.d/kpatch.conf', readFileSync(join(root, 'packaging/needrestart/kpatch.conf')));
  for (const unit of readdirSync(join(root, 'packaging/systemd'))) {
    const folder = unit.endsWith('.preset') ? 'usr/lib/systemd/system-preset' : 'usr/lib/systemd/system';
    mkdirSync(join(tree, folder), { recursive: true });
    cpSync(join(root, 'packaging/systemd', unit), join(tree, folder, unit));
  }
}
