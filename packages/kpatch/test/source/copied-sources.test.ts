/** Objects that kbuild compiles from a source of another name: a change of the source reaches all of them. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { copiedSources } from '#kpatch/kbuild/copied-sources.ts';
import { includeSearch, readIncludeGraph } from '#kpatch/kbuild/include-graph.ts';
import type { ObjectMap } from '#kpatch/kbuild/object-map.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { HeaderReach } from '#kpatch/source/reach/reach.ts';

const folder = temporaryFolder('kpatch-copied-');
after(() => folder.dispose());

const xe = `# Rule to build display code shared with i915
$(obj)/i915-display/%.o: $(srctree)/drivers/gpu/drm/i915/display/%.c FORCE
	$(call cmd,force_checksrc)
	$(call if_changed_rule,cc_o_c)

xe-$(CONFIG_DRM_XE_DISPLAY) += \\
	i915-display/bw.o \\
	i915-display/dp.o
xe-y += xe_bo.o
obj-$(CONFIG_DRM_XE) += xe.o
`;

test('rules of Makefiles: a pattern, one object, another name beside it; not what is generated', () => {
  const display = (name: string): object => ({
    unit: `drivers/gpu/drm/xe/i915-display/${name}.c`,
    source: `drivers/gpu/drm/i915/display/${name}.c`,
  });
  assert.deepEqual(copiedSources('drivers/gpu/drm/xe/Makefile', xe), [display('bw'), display('dp')]);
  const purgatory = `$(obj)/sha256.o: $(srctree)/lib/crypto/sha256.c FORCE
$(obj)/mem.o: $(srctree)/arch/x86/lib/mem.S FORCE
$(obj)/inat.o: $(obj)/inat-tables.c
$(obj)/own.o: $(src)/own.c\n`;
  assert.deepEqual(copiedSources('arch/x86/purgatory/Makefile', purgatory), [
    { unit: 'arch/x86/purgatory/sha256.c', source: 'lib/crypto/sha256.c' },
    { unit: 'arch/x86/purgatory/mem.S', source: 'arch/x86/lib/mem.S' },
  ]);
  const aes = `$(obj)/aes-glue-%.o: $(src)/aes-glue.c FORCE\naes-ce-y := aes-glue-ce.o aes-ce.o\n`;
  assert.deepEqual(copiedSources('arch/arm64/crypto/Makefile', aes), [
    { unit: 'arch/arm64/crypto/aes-glue-ce.c', source: 'arch/arm64/crypto/aes-glue.c' },
  ]);
});

const files: Readonly<Record<string, string>> = {
  'drivers/gpu/drm/xe/Makefile': xe,
  'drivers/gpu/drm/xe/xe_bo.c': 'int x;\n',
  'drivers/gpu/drm/i915/Makefile': 'i915-y := display/bw.o display/dp.o\n',
  'drivers/gpu/drm/i915/display/bw.c': '#include "bw.h"\nint bw(void) { return limit(); }\n',
  'drivers/gpu/drm/i915/display/dp.c': '#include "bw.h"\nint dp;\n',
  'drivers/gpu/drm/i915/display/bw.h':
    'static inline int limit(void) { return 1; }\nstatic inline int other(void) { return 1; }\n',
};

test('a changed source or header reaches the objects of other modules that are compiled from it', async () => {
  const tree = join(folder.path, 'tree');
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, file)), { recursive: true });
    writeFileSync(join(tree, file), text);
  }
  const units = [
    'i915/display/bw.o',
    'i915/display/dp.o',
    'xe/i915-display/bw.o',
    'xe/i915-display/dp.o',
    'xe/xe_bo.o',
  ];
  const objects: ObjectMap = new Map(
    units.map((unit) => [`drivers/gpu/drm/${unit}`, [{ object: unit.split('/')[0]!, directory: 'x' }]]),
  );
  const search = includeSearch({ SRCARCH: 'x86', LINUXINCLUDE: '-I./include' });
  const graph = await readIncludeGraph(tree, search, objects.keys());
  const copy = 'drivers/gpu/drm/xe/i915-display/bw.c';
  assert.equal(graph.copiedFrom(copy), 'drivers/gpu/drm/i915/display/bw.c');
  assert.ok(graph.reaching(['drivers/gpu/drm/i915/display/bw.c']).has(copy));
  assert.ok(!graph.isGenerated(copy));

  const header = 'drivers/gpu/drm/i915/display/bw.h';
  const before = files[header]!;
  const change = { file: header, before, after: before.replace('limit(void) { return 1', 'limit(void) { return 2') };
  const more = new Map([...objects, ...['a', 'b', 'c'].map((name) => [`fs/${name}.o`, []] as const)]);
  const reach = new HeaderReach(tree, graph, more, join(folder.path, 'derived'));
  const found = (await reach.of(change)).units.map(({ source }) => source);
  assert.ok(found.includes('drivers/gpu/drm/i915/display/bw.c') && found.includes(copy), found.join(' '));
});

test('a folder that the tree does not have is made in an overlay, with the objects that kbuild writes there', () => {
  const root = join(folder.path, 'overlay');
  mkdirSync(root);
  const overlay = new SourceOverlay(join(folder.path, 'tree'), root);
  overlay.openBelow('drivers/gpu/drm/xe/i915-display');
  assert.ok(existsSync(join(root, 'drivers/gpu/drm/xe/i915-display')));
  assert.ok(existsSync(join(root, 'drivers/gpu/drm/i915/display/bw.c')));
});
