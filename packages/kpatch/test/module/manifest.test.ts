import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { type Glue, type GlueObject, livepatchInterface, printGlue } from '#kpatch/module/make/glue.ts';
import { manifestBytes, parseManifest, readManifest } from '#kpatch/module/manifest.ts';
import { x86_64 } from '#kpatch/platform/x86_64/machine.ts';
import { provokes } from '../provoke.ts';
import { compile, madeModule, manifest } from './made-module.ts';

describe('the manifest', () => {
  test('what is put into a module is read from it', () => {
    assert.deepEqual(readManifest(madeModule(), 'made.ko'), manifest);
    assert.deepEqual(readManifest(new ElfFile(madeModule(), 'made.ko')), manifest);
    assert.equal(readManifest(compile('int a;'), 'a.o'), undefined);
  });

  test('manifest-damaged: anything that is not one', async () => {
    await provokes('manifest-damaged', () => parseManifest('{', 'a.ko'));
    await provokes('manifest-damaged', () => parseManifest('null', 'a.ko'));
    await provokes('manifest-damaged', () => parseManifest('[]', 'a.ko'));
    const wrong: Record<string, unknown> = {
      schema: 'kpatch.manifest/2',
      name: 5,
      version: -1,
      replace: 'yes',
      functions: [{ name: 'f' }],
      states: [{ id: 1 }],
      runPre: 'maybe',
      buildId: 7,
    };
    for (const [field, value] of Object.entries(wrong)) {
      const text = JSON.stringify({ ...manifest, [field]: value });
      const error = await provokes('manifest-damaged', () => parseManifest(text, 'a.ko'));
      assert.match(error.message, new RegExp(`: ${field}\\b`));
    }
    await provokes('manifest-damaged', () => {
      readManifest(madeModule({ manifest: { version: 1.5 } }), 'made.ko');
    });
  });

  test('the same manifest is the same bytes', () => {
    assert.deepEqual(manifestBytes(manifest), manifestBytes({ ...manifest }));
  });
});

const glue: Glue = {
  name: 'livepatch_x',
  description: 'fixes "all" of\nit ü',
  replace: true,
  objects: [
    {
      object: 'vmlinux',
      functions: [{ name: 'f', sympos: 0, replacement: 'new_f' }],
      callbacks: { pre_patch: 'before' },
      relocated: false,
    },
    {
      object: 'tun',
      functions: [{ name: 'g', sympos: 2, replacement: 'new_g' }],
      callbacks: { post_unpatch: 'late' },
      relocated: false,
    },
  ],
  states: [{ id: 7, version: 2 }],
  namespaces: ['SPECIAL'],
  modinfo: [['kpatch_version', '1']],
};

/** As much of the kernel's headers as the glue uses. */
const headers = (version: { major: number; minor: number }): string => `
#define NULL ((void *)0)
#define bool _Bool
#define true 1
#define false 0
#define THIS_MODULE NULL
#define __init
#define __exit
#define module_init(f) int (*in)(void) = f
#define module_exit(f) void (*out)(void) = f
#define MODULE_LICENSE(x) extern int license
#define MODULE_DESCRIPTION(x) const char *description = x
#define MODULE_INFO(k, v) const char *info_##k = v
#define MODULE_IMPORT_NS(x) extern int ns_##${livepatchInterface(version, x86_64.loader).namespaceIsString ? '_' : 'x'}
struct klp_object;
struct klp_callbacks { int (*pre_patch)(struct klp_object *); void (*post_patch)(struct klp_object *), (*pre_unpatch)(struct klp_object *), (*post_unpatch)(struct klp_object *); };
struct klp_func { const char *old_name; void *new_func; unsigned long old_sympos; };
struct klp_object { const char *name; struct klp_func *funcs; struct klp_callbacks callbacks; };
struct klp_state { unsigned long id; unsigned version; };
struct klp_patch { void *mod; struct klp_object *objs; struct klp_state *states; bool replace; };
int klp_enable_patch(struct klp_patch *), klp_register_patch(struct klp_patch *), klp_unregister_patch(struct klp_patch *);
`;

const compiles = (one: Glue, version: { major: number; minor: number }): string => {
  const text = printGlue(one, livepatchInterface(version, x86_64.loader));
  const bytes = compile(`${headers(version)}${text.replace(/#include.*/g, '')}`);
  assert.ok(bytes.length > 0);
  return text;
};

describe('the glue', () => {
  test('it is C for every generation of the livepatch interface', () => {
    const now = compiles(glue, { major: 6, minor: 13 });
    assert.match(now, /MODULE_IMPORT_NS\("SPECIAL"\)/);
    assert.match(compiles(glue, { major: 6, minor: 1 }), /MODULE_IMPORT_NS\(SPECIAL\)/);
    assert.doesNotMatch(now, /klp_register_patch/);
    const old = compiles({ ...glue, states: [] }, { major: 4, minor: 12 });
    assert.match(old, /klp_register_patch\(&patch\)/);
    assert.doesNotMatch(old, /\.replace/);
  });

  test('between Linux 5.8 and 6.3 it takes relocations back, after what the author does', () => {
    const [vmlinux, tun] = glue.objects as [GlueObject, GlueObject];
    const bound = { ...tun, relocated: true };
    const print = (object: GlueObject, major: number, minor: number): string =>
      printGlue({ ...glue, objects: [vmlinux, object] }, livepatchInterface({ major, minor }, x86_64.loader));
    for (const [major, minor] of [
      [5, 8],
      [6, 2],
    ] as const) {
      assert.match(
        print(bound, major, minor),
        /post_unpatch_1\(struct klp_object \*object\)\n\{\n\tlate\(object\);\n\tlivepatch_clear_relocations\(object\);/,
      );
      assert.match(print(bound, major, minor), /\.callbacks\.post_unpatch = livepatch_post_unpatch_1,/);
      const without = print({ ...bound, callbacks: {} }, major, minor);
      assert.match(without, /\.callbacks\.post_unpatch = livepatch_clear_relocations,/);
      assert.doesNotMatch(print(tun, major, minor), /clear_relocations/);
    }
    for (const [major, minor] of [
      [5, 7],
      [6, 3],
    ] as const)
      assert.doesNotMatch(print(bound, major, minor), /clear_relocations/);
  });

  test('texts become C literals whatever is in them', () => {
    const text = printGlue(glue, livepatchInterface({ major: 6, minor: 1 }, x86_64.loader));
    assert.match(text, /MODULE_DESCRIPTION\("fixes \\"all\\" of\\nit \\303\\274"\)/);
  });
});
