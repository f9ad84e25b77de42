/** What a source patch can make a build do: it reads and writes nothing but the kernel's tree, and changes no other object. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { compilationKey, compileUnits, ObjectStore } from '#kpatch/kbuild/compile.ts';
import { readObjectMap } from '#kpatch/kbuild/object-map.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import type { CompiledUnit, Unit } from '#kpatch/kbuild/unit.ts';
import { linkModule } from '#kpatch/module/make/link.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';

const SECRET = 'TOP-SECRET-OF-THE-BUILDER';
let folder = '';
let secret = '';
let target = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-builds-'));
  secret = join(folder, 'secret');
  target = join(folder, 'target');
  writeFileSync(secret, `${SECRET}\n`);
});
after(() => rmSync(folder, { recursive: true, force: true }));

const kbuild = '%.o: %.c\n\tgcc -c -o $@ $<\n\techo > $(@D)/.$(@F).cmd\n';
let count = 0;

/** An overlay of a tree with these files and rules; `patched` are the files that a patch changed. */
function overlayOf(rules: string, files: Readonly<Record<string, string>>, patched = files): SourceOverlay {
  const place = join(folder, String(count++));
  mkdirSync(join(place, 'overlay'), { recursive: true });
  for (const [file, text] of Object.entries({ ...files, 'scripts/Makefile.build': rules })) {
    mkdirSync(join(place, 'tree', file, '..'), { recursive: true });
    writeFileSync(join(place, 'tree', file), text);
  }
  const overlay = new SourceOverlay(join(place, 'tree'), join(place, 'overlay'));
  for (const [file, text] of Object.entries(patched)) {
    overlay.copy(file);
    writeFileSync(join(overlay.root, file), text);
  }
  return overlay;
}

const unit = (object: string): Unit => ({
  object,
  owners: [{ object: 'vmlinux', directory: object.slice(0, object.lastIndexOf('/')) }],
  through: [],
});
const compilation = { variables: {}, jobs: 2, when: 'after', settings: [] } as const;
const compile = (overlay: SourceOverlay, ...objects: string[]): Promise<CompiledUnit[]> => {
  return compileUnits(overlay, objects.map(unit), compilation);
};
const builder = (how: string) => ({ area: 'build', attacker: 'patch author', how }) as const;

attack(builder('a patch takes a secret file of the builder into the module with .incbin'), async () => {
  const source = `__asm__(".incbin \\"${secret}\\"");\n`;
  const error = await provokes('compile-failed', () => compile(overlayOf(kbuild, { 'fs/a.c': source }), 'fs/a.o'));
  assert.doesNotMatch(`${error.detail}`, new RegExp(SECRET));
  assert.match(`${error.detail}`, /file not found|No such file/);
  return error;
});

attack(builder('a patch prints a secret file of the builder in the error message of #include'), async () => {
  for (const file of [secret, '/etc/shadow', '/etc/passwd', '../../../../../../etc/passwd']) {
    const overlay = overlayOf(kbuild, { 'fs/a.c': `#include "${file}"\n` });
    const error = await provokes('compile-failed', () => compile(overlay, 'fs/a.o'));
    assert.doesNotMatch(`${error.detail}`, new RegExp(`${SECRET}|root:`));
  }
  return 'the compiler sees the tree and the toolchain only';
});

attack(builder('rules of make that run a command with the rights of the builder'), async () => {
  const witness = join(folder, 'witness');
  const shell = `x := $(shell cat ${secret} > ${witness}; id -u > who; cat ${secret} >> who)\n`;
  const overlay = overlayOf(`${shell}${kbuild}`, { 'fs/a.c': 'int a;\n' });
  await compile(overlay, 'fs/a.o');
  assert.equal(existsSync(witness), false);
  assert.doesNotMatch(readFileSync(join(overlay.root, 'who'), 'utf8'), new RegExp(`^0$|${SECRET}`, 'm'));
  return 'make runs in the sandbox, without the rights and the files of the builder';
});

attack(builder('$(shell …) in a Makefile that kpatch reads to learn what is built'), async () => {
  const witness = join(folder, 'map-witness');
  const place = join(folder, String(count++));
  for (const name of ['fs', 'scripts', 'include/config']) mkdirSync(join(place, name), { recursive: true });
  writeFileSync(join(place, 'include/config/auto.conf'), '');
  writeFileSync(join(place, 'scripts/Kbuild.include'), `x := $(shell touch ${witness}; touch evil)\n`);
  writeFileSync(join(place, 'fs/Makefile'), 'obj-y += a.o\n');
  const map = await readObjectMap(place, { KPATCH_ROOTS: 'fs/' });
  assert.deepEqual([...map.keys()], ['fs/a.o']);
  assert.deepEqual([existsSync(witness), existsSync(join(place, 'evil'))], [false, false]);
  return 'make can write nothing while it reads Makefiles';
});

attack(builder('a compilation changes the sources and the rules of the units after it'), async () => {
  const evil = 'echo "int evil;" > fs/b.c; rm -f fs/b.c; echo evil > scripts/Makefile.build';
  const overlay = overlayOf(`%.o: %.c\n\t-${evil}\n\tgcc -c -o $@ $<\n`, {
    'fs/a.c': 'int a;\n',
    'fs/b.c': 'int b;\n',
  });
  await compile(overlay, 'fs/a.o', 'fs/b.o');
  const sources = ['fs/b.c', 'scripts/Makefile.build'].map((file) => readFileSync(join(overlay.tree, file), 'utf8'));
  assert.doesNotMatch(sources.join(''), /^int evil|^evil/m);
  if (process.getuid?.() === 0) assert.equal(readFileSync(join(overlay.root, 'fs/b.c'), 'utf8'), 'int b;\n');
  return 'the prepared tree is read-only, and the patched files belong to root';
});

attack(
  builder('a compilation leaves a link to a secret file as its object, and a link as the folder of the next'),
  async () => {
    writeFileSync(target, 'untouched');
    const overlay = overlayOf(`%.o: %.c\n\tln -sf ${secret} $@\n`, { 'fs/a.c': 'int a;\n' });
    const error = await provokes('sandbox-output', async () => (await compile(overlay, 'fs/a.o'))[0]!.bytes);
    const moving = overlayOf(`%.o: %.c\n\tmv fs old; ln -s ${folder} fs; true\n`, { 'fs/a.c': 'int a;\n' });
    await compile(moving, 'fs/a.o').catch(() => {});
    try {
      moving.copy('fs/target');
    } catch {
      // refused where kpatch is not root; impossible where it is
    }
    assert.equal(readFileSync(target, 'utf8'), 'untouched');
    return error;
  },
);

attack(builder('a patched build puts an object of its own into the store of unpatched objects'), async () => {
  const place = join(folder, 'store');
  const store = new ObjectStore(place, compilationKey('kernel', compilation));
  const overlay = overlayOf(`%.o: %.c\n\tgcc -c -o $@ $<; touch ${place}/evil; ls ${place} > seen; true\n`, {
    'fs/a.c': 'int a;\n',
  });
  const [compiled] = await compile(overlay, 'fs/a.o');
  assert.equal(store.get(compiled!.unit), undefined);
  assert.equal(existsSync(join(place, 'evil')), false);
  assert.equal(readFileSync(join(overlay.root, 'seen'), 'utf8'), '');
  return 'the store is not in the sandbox; kpatch itself keeps what the unpatched tree gave';
});

attack(builder('linking reads a secret of the builder and writes into the headers of the kernel'), async () => {
  const place = join(folder, 'link');
  const headers = join(folder, 'headers');
  for (const path of [place, headers]) mkdirSync(path);
  writeFileSync(join(headers, 'Makefile'), `modules:\n\t-echo evil > ${headers}/new\n\tcat ${secret} > $(M)/x.ko\n`);
  const input = {
    folder: place,
    headers,
    folders: [headers],
    compiler: [],
    buildRoot: undefined,
    name: 'x',
    glue: '',
    objects: [],
    settings: [],
  };
  const error = await provokes('module-link-failed', () => linkModule(input));
  assert.doesNotMatch(`${error.detail}`, new RegExp(SECRET));
  assert.equal(existsSync(join(headers, 'new')), false);
  return error;
});
