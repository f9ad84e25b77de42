/** Packages and archives of other people: unpacking them reaches nothing else. */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import { readBytes, temporaryFolder } from '#kpatch/base/files.ts';
import { silentReporter } from '#kpatch/base/report.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { namesBelow } from '#kpatch/base/walk.ts';
import { readPackage } from '#kpatch/channel/package/read.ts';
import type { AptArchive } from '#kpatch/distro/debian/archive.ts';
import { buildRootPlan } from '#kpatch/distro/debian/build-root.ts';
import { unpackDeb } from '#kpatch/distro/debian/unpack.ts';
import { unpackSourceRpm } from '#kpatch/distro/fedora/rpm.ts';
import { type CpioEntry, cpio } from '#kpatch/formats/cpio.ts';
import { decompress } from '#kpatch/formats/payload.ts';
import { readTar } from '#kpatch/formats/tar.ts';
import { unpackModule } from '#kpatch/kernel/modules.ts';
import { unpackSource } from '#kpatch/prepare/offer/source-tree.ts';
import { readTestScript } from '#kpatch/prove/input/test-script.ts';
import { requireNoEscape, settleLinks } from '#kpatch/sandbox/output.ts';
import { takeBack } from '#kpatch/sandbox/user.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';

/** To write what these packages hold would take much longer, on any machine. */
const AT_ONCE_MS = 60_000;

/**
 * An rpm package with this archive in it: rpmbuild makes one, and its payload is exchanged for one of the same size, for which
 * the archive takes a file of any size.
 */
async function rpmOf(folder: string, archiveWith: (padding: CpioEntry) => Buffer): Promise<string> {
  const spec = join(folder, 'p.spec');
  const head = 'Name: p\nVersion: 1\nRelease: 1\nSummary: p\nLicense: GPL\nBuildArch: noarch\n%description\np\n';
  writeFileSync(spec, `${head}%install\nmkdir -p %{buildroot}\nhead -c 65536 /dev/zero > %{buildroot}/p\n%files\n/p\n`);
  const macros = ['--define', `_topdir ${folder}`, '--define', '_binary_payload w9.gzdio'];
  await runOk('rpmbuild', ['-bb', '--quiet', ...macros, spec]);
  const bytes = readBytes(join(folder, 'RPMS/noarch/p-1-1.noarch.rpm'));
  const at = bytes.lastIndexOf(Buffer.from([0x1f, 0x8b, 8]));
  const padded = (size: number): Buffer => archiveWith({ path: 'padding', content: Buffer.alloc(size) });
  const size = gunzipSync(bytes.subarray(at)).length - padded(0).length;
  const file = join(folder, 'evil.rpm');
  writeFileSync(file, Buffer.concat([bytes.subarray(0, at), gzipSync(padded(size))]));
  assert.equal((await run('rpm2cpio', [file])).status, 0);
  return file;
}

/** A deb package with the files of `root`, and what `control` is. */
async function debOf(folder: string, root: string): Promise<string> {
  mkdirSync(join(root, 'DEBIAN'), { recursive: true });
  const fields = ['Package: p', 'Version: 1', 'Architecture: all', 'Maintainer: m <m@example.org>', 'Description: p'];
  writeFileSync(join(root, 'DEBIAN/control'), `${fields.join('\n')}\n`);
  const file = join(folder, 'evil.deb');
  await runOk('dpkg-deb', ['-Zgzip', '-z1', '--build', root, file]);
  return file;
}

test('a tar archive is read as data: files, folders, what is neither; a damaged one is not', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const long = `${'d'.repeat(90)}/${'f'.repeat(60)}`;
  mkdirSync(join(folder.path, 'in', long, '..'), { recursive: true });
  writeFileSync(join(folder.path, 'in', long), 'text');
  writeFileSync(join(folder.path, 'in/empty'), '');
  symlinkSync('/etc', join(folder.path, 'in/link'));
  const { stdout } = await runOk('tar', ['-c', '--format=ustar', '-C', join(folder.path, 'in'), '.']);
  const entries = readTar(stdout)
    ?.map(({ path, kind, bytes }) => `${kind} ${path} ${bytes}`)
    .sort();
  assert.deepEqual(
    entries,
    [`file ${long} text`, 'file empty ', 'folder  ', `folder ${long.slice(0, 90)} `, 'other link '].sort(),
  );
  for (const bytes of [stdout.subarray(0, 900), Buffer.alloc(2000, 1), Buffer.alloc(0)])
    assert.equal(readTar(bytes), undefined);
});

attack(
  {
    area: 'sandbox',
    attacker: 'supply chain',
    how: 'kpatch channel add of an .rpm with a symbolic link and a file through it',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const victim = join(folder.path, 'victim');
    mkdirSync(victim, { mode: 0o777 });
    // Two archives in one: our writer of archives refuses to write through a link.
    const link = cpio([
      { path: 'usr', folder: true },
      { path: 'usr/lib', link: victim },
    ]);
    const evil: CpioEntry = { path: 'usr/lib/evil', content: Buffer.from('evil') };
    const trailer = link.lastIndexOf('070701');
    const file = await rpmOf(folder.path, (padding) =>
      Buffer.concat([link.subarray(0, trailer), cpio([evil, padding])]),
    );
    const refusal = await provokes('channel-package', () => readPackage(file));
    assert.deepEqual(readdirSync(victim), []);
    return refusal;
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'supply chain',
    how: 'kpatch channel add of a .deb with a link to a secret file as the module',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const place = join(folder.path, 'root/usr/lib/kpatch/6.1.0-1-amd64');
    mkdirSync(place, { recursive: true });
    symlinkSync('/etc/shadow', join(place, 'x.ko'));
    const file = await debOf(folder.path, join(folder.path, 'root'));
    const refusal = await provokes('channel-package', () => readPackage(file));
    assert.match(refusal.message, /x\.ko is a link or a special file/);
    return refusal;
  },
);

attack({ area: 'sandbox', attacker: 'supply chain', how: 'a small package that unpacks to gigabytes' }, async () => {
  using folder = temporaryFolder('kpatch-test-');
  const place = join(folder.path, 'root/usr/lib/kpatch/6.1.0-1-amd64');
  mkdirSync(place, { recursive: true });
  await runOk('truncate', ['-s', '520M', join(place, 'x.ko')]);
  const file = await debOf(folder.path, join(folder.path, 'root'));
  assert.ok(readBytes(file).length < 5_000_000);
  return await provokes('channel-package', () => readPackage(file));
});

attack(
  { area: 'sandbox', attacker: 'mirror', how: 'a kernel image and a module of some KB of xz that unpack to gigabytes' },
  async () => {
    const { stdout: bomb } = await runOk('sh', ['-c', 'head -c 270M /dev/zero | xz -0 -c']);
    assert.ok(bomb.length < 5_000_000);
    await provokes('output-too-large', () => unpackModule(bomb, 'x.ko.xz'));
    return await provokes('output-too-large', () =>
      decompress(Buffer.concat([bomb, Buffer.alloc(4)]), 'vmlinuz', 256 << 20),
    );
  },
);

attack(
  { area: 'sandbox', attacker: 'mirror', how: 'a spec file of a source package that runs a command' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const witness = join(folder.path, 'witness');
    const spec = `Name: k\nVersion: 1\nRelease: 1\nSummary: %(cat /etc/shadow; echo evil > ${witness}; echo ran)\nLicense: GPL\nSource0: linux-1.tar.xz\n%description\nk\n`;
    const entries: CpioEntry[] = [
      { path: 'kernel.spec', content: Buffer.from(spec) },
      { path: 'linux-1.tar.xz', content: Buffer.from('') },
    ];
    const file = await rpmOf(folder.path, (padding) => cpio([...entries, padding]));
    const parts = await unpackSourceRpm(file, join(folder.path, 'source'));
    assert.equal(basename(parts.path), 'linux-1.tar.xz');
    assert.equal(existsSync(witness), false);
    return 'the spec file is read in a sandbox that can write nothing';
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'mirror',
    how: 'a source archive with links that lead out of it, and a package with links out of its root',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const inside = join(folder.path, 'linux');
    mkdirSync(inside);
    symlinkSync('/etc/shadow', join(inside, 'Makefile'));
    const archive = join(folder.path, 'linux.tar');
    await runOk('tar', ['-cf', archive, '-C', folder.path, 'linux']);
    await provokes('sandbox-output', () => unpackSource({ kind: 'archive', path: archive }, join(folder.path, 'tree')));
    const root = join(folder.path, 'root');
    mkdirSync(join(root, 'usr/src'), { recursive: true });
    symlinkSync('/usr/src/linux', join(root, 'usr/build'));
    const unpacked = join(folder.path, 'unpacked');
    await unpackDeb(await debOf(folder.path, root), unpacked);
    settleLinks(unpacked);
    // What is absolute in a package is meant below its root.
    writeFileSync(join(unpacked, 'usr/src/linux'), 'ours');
    assert.equal(readFileSync(join(unpacked, 'usr/build'), 'utf8'), 'ours');
    symlinkSync('../../../etc', join(unpacked, 'usr/out'));
    return await provokes('sandbox-output', () => requireNoEscape(unpacked));
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a test script whose "# needs: file" names a secret of this machine, also through a link',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const script = join(folder.path, 'x.test.sh');
    symlinkSync('/etc/shadow', join(folder.path, 'data'));
    writeFileSync(script, '# needs: file data\ntrue\n');
    await provokes('prove-test-script', () => readTestScript(script));
    writeFileSync(script, '# needs: file /etc/shadow\ntrue\n');
    return await provokes('prove-test-script', () => readTestScript(script));
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a program of a test whose loader runs when kpatch looks for its libraries, and names a secret as one',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const witness = join(folder.path, 'witness');
    writeFileSync(
      join(folder.path, 'loader.c'),
      `#include <fcntl.h>
#include <stdio.h>
int main(void) { open("${witness}", O_CREAT | O_WRONLY, 0600); puts("\\tx => /etc/shadow (0x0000)"); return 0; }\n`,
    );
    const loader = join(folder.path, 'loader');
    await runOk('gcc', ['-static', '-o', loader, join(folder.path, 'loader.c')]);
    writeFileSync(join(folder.path, 'p.c'), 'int main(void) { return 0; }\n');
    await runOk('gcc', ['-o', join(folder.path, 'p'), `-Wl,--dynamic-linker=${loader}`, join(folder.path, 'p.c')]);
    const script = join(folder.path, 'x.test.sh');
    writeFileSync(script, '# needs: file p\ntrue\n');
    const { files } = readTestScript(script);
    assert.equal(existsSync(witness), false);
    assert.deepEqual(
      files.filter(({ from }) => !from.startsWith('/lib') && !from.startsWith(folder.path)),
      [],
    );
    return 'ldd works on a copy in a sandbox, and only libraries of the system are believed';
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'supply chain',
    how: 'kpatch channel add of a .deb with 60,000 files, which take long to unpack, and of an .rpm with many',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    // rpmOf has no room for more.
    const many = Array.from({ length: 150 }, (_, index) => ({ path: `usr/${index}`, content: Buffer.alloc(0) }));
    const rpm = await rpmOf(folder.path, (padding) => cpio([...many, padding]));
    // One empty file under 60,000 names.
    const one = join(folder.path, 'one');
    writeFileSync(one, '');
    const rename = '--transform=s,.*,usr/lib/kpatch/6.1.0-1-amd64/x,';
    const list = join(folder.path, 'list');
    writeFileSync(list, 'one\n'.repeat(60_000));
    const tar = ['-cf', join(folder.path, 'data.tar'), '--hard-dereference', rename, '-C', folder.path, '-T', list];
    const deb = await debOfTar(folder.path, tar);
    const said = [];
    for (const file of [deb, rpm]) {
      const start = Date.now();
      said.push(await provokes('channel-package', () => readPackage(file)));
      assert.match(said.at(-1)!.message, /more than 100 files and folders/);
      assert.ok(Date.now() - start < AT_ONCE_MS, `${Date.now() - start} ms`);
    }
    return said[0]!;
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'supply chain',
    how: 'kpatch channel add of a .deb with a sparse file of 100 GB, which takes a few bytes in the archive',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const place = join(folder.path, 'in/usr/lib/kpatch/6.1.0-1-amd64');
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, 'x.ko'), '');
    truncateSync(join(place, 'x.ko'), 100e9);
    const archive = join(folder.path, 'data.tar');
    const file = await debOfTar(folder.path, [
      '-cf',
      archive,
      '-S',
      '--format=gnu',
      '-C',
      join(folder.path, 'in'),
      '.',
    ]);
    assert.ok(statSync(file).size < 100_000);
    const start = Date.now();
    const refusal = await provokes('channel-package', () => readPackage(file));
    assert.ok(Date.now() - start < AT_ONCE_MS, `${Date.now() - start} ms`);
    return refusal;
  },
);

/** A deb package whose content is the archive `data.tar` that tar makes with these arguments. */
async function debOfTar(folder: string, args: readonly string[]): Promise<string> {
  await runOk('tar', args);
  const { stdout } = await runOk('dpkg-deb', ['--ctrl-tarfile', await debOf(folder, join(folder, 'empty'))]);
  writeFileSync(join(folder, 'control.tar'), stdout);
  writeFileSync(join(folder, 'debian-binary'), '2.0\n');
  const file = join(folder, 'made.deb');
  const members = ['debian-binary', 'control.tar', 'data.tar'].map((name) => join(folder, name));
  await runOk('ar', ['rc', file, ...members]);
  return file;
}

test('a source that was built in by root: sources are copied, its private key and other results of the build are not', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const source = join(folder.path, 'source');
  for (const path of ['usr', 'certs', 'kernel']) mkdirSync(join(source, path), { recursive: true });
  for (const path of [
    'Makefile',
    'usr/gen_init_cpio.c',
    'usr/initramfs_data.S',
    'certs/system_keyring.c',
    'kernel/fork.c',
  ])
    writeFileSync(join(source, path), 'source');
  // In the sandbox another user reads, who may not read these.
  for (const path of ['usr/initramfs_data.cpio', 'certs/signing_key.pem'])
    writeFileSync(join(source, path), 'secret', { mode: 0o600 });
  writeFileSync(join(source, 'kernel/fork.o'), 'object');
  symlinkSync(source, join(source, 'usr/build'));
  symlinkSync('fork.c', join(source, 'kernel/same.c'));
  const tree = join(folder.path, 'tree');
  await unpackSource({ kind: 'folder', path: source }, tree);
  await takeBack([tree]);
  const files = readdirSync(tree, { recursive: true, withFileTypes: true }).filter((entry) => !entry.isDirectory());
  assert.deepEqual(files.map(({ name }) => name).sort(), [
    'Makefile',
    'fork.c',
    'gen_init_cpio.c',
    'initramfs_data.S',
    'same.c',
    'system_keyring.c',
  ]);
});

attack(
  {
    area: 'sandbox',
    attacker: 'mirror',
    how: "a package with a relative link to a folder of the machine, so that the machine's own links there are taken for the package's and rewritten",
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const [root, unpacked, etc] = ['root', 'unpacked', 'etc'].map((name) => join(folder.path, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(join(etc, 'alternatives'), { recursive: true });
    symlinkSync('/usr/bin/vim', join(etc, 'alternatives/editor'));
    mkdirSync(join(root, 'usr'), { recursive: true });
    symlinkSync('../../etc', join(root, 'usr/out'));
    await unpackDeb(await debOf(folder.path, root), unpacked);
    const refused = await provokes('sandbox-output', () => settleLinks(unpacked));
    assert.equal(readlinkSync(join(etc, 'alternatives/editor')), '/usr/bin/vim');
    return refused;
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'mirror',
    how: 'a package of a build root with a link to a folder of the machine in the place of usr/share, which kpatch rids of manuals',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    const [root, unpacked, share] = ['root', 'unpacked', 'share'].map((name) => join(folder.path, name)) as [
      string,
      string,
      string,
    ];
    mkdirSync(join(share, 'doc'), { recursive: true });
    writeFileSync(join(share, 'doc/ours'), 'ours');
    mkdirSync(join(root, 'usr'), { recursive: true });
    symlinkSync('../../share', join(root, 'usr/share'));
    const archive = { recorded: () => Promise.resolve({ Package: 'p', Version: '1' }) } as unknown as AptArchive;
    const context = { report: silentReporter(), packages: folder.path, cache: folder.path };
    const compiler = { family: 'gcc', major: '12', text: '' } as const;
    const plan = await buildRootPlan(archive, compiler, context, [{ name: 'p', version: '1' }]);
    const file = await debOf(folder.path, root);
    const refused = await provokes('sandbox-output', () => plan.unpack([file], unpacked));
    assert.equal(readFileSync(join(share, 'doc/ours'), 'utf8'), 'ours');
    return refused;
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'links that lead back to their own folder, so that whoever walks through it does not come to an end',
  },
  () => {
    using folder = temporaryFolder('kpatch-test-');
    for (const name of ['a', 'b', 'c']) symlinkSync('.', join(folder.path, name));
    writeFileSync(join(folder.path, 'file'), '');
    requireNoEscape(folder.path);
    assert.deepEqual(namesBelow(folder.path).sort(), ['a', 'b', 'c', 'file']);
    return Promise.resolve('links are never followed');
  },
);

test('no source of the programs walks through folders with readdir(recursive), which follows links', () => {
  const packages = join(import.meta.dirname, '../../..');
  const sources = ['kpatch', 'factory', 'fleet'].flatMap((name) =>
    namesBelow(join(packages, name)).map((path) => join(name, path)),
  );
  const own = sources.filter((path) => /\.ts$/.test(path) && !/(^|\/)(test|node_modules)\//.test(path));
  assert.ok(own.length > 500);
  const walking = own.filter((path) =>
    /readdir(?:Sync)?\([^)]*recursive/.test(readFileSync(join(packages, path), 'utf8')),
  );
  assert.deepEqual(walking, []);
});
