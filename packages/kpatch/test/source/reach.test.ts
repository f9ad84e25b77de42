/** Which units a changed header reaches, on small trees that each test writes. */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { type IncludeGraph, includeGraph, includeSearch } from '#kpatch/kbuild/include-graph.ts';
import { changedNames } from '#kpatch/source/reach/header-change.ts';
import { headerItems } from '#kpatch/source/reach/header-items.ts';
import { HeaderReach, type Reach } from '#kpatch/source/reach/reach.ts';

const search = includeSearch({
  SRCARCH: 'x86',
  LINUXINCLUDE: '-I./arch/x86/include -I./arch/x86/include/generated -I./include -include ./include/linux/kconfig.h',
});

interface Tree {
  readonly path: string;
  readonly graph: IncludeGraph;
  reach(file: string, before: string, after: string): Promise<Reach>;
}

/** Writes the files, and takes every .c file for a unit of vmlinux unless `objects` says otherwise. */
async function treeOf(
  t: { after: (work: () => void) => void },
  files: Readonly<Record<string, string>>,
  objects = Object.keys(files)
    .filter((file) => file.endsWith('.c'))
    .map((file) => file.replace(/c$/, 'o')),
): Promise<Tree> {
  const folder = temporaryFolder('kpatch-reach-');
  t.after(() => folder.dispose());
  const path = join(folder.path, 'tree');
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(dirname(join(path, file)), { recursive: true });
    writeFileSync(join(path, file), text);
  }
  const derived = join(folder.path, 'derived');
  const graph = await includeGraph(path, search, objects, derived);
  const map = new Map(objects.map((object) => [object, [{ object: 'vmlinux', directory: dirname(object) }]]));
  const reach = new HeaderReach(path, graph, map, derived);
  return { path, graph, reach: (file, before, after) => reach.of({ file, before, after }) };
}

/** Units that use nothing, so that there are enough of them to look. */
const idle = Object.fromEntries(
  Array.from({ length: 6 }, (_, index) => [`fs/idle${index}.c`, '#include <linux/a.h>\nint idle;\n']),
);

const sourcesOf = ({ units }: Reach): string[] => units.map(({ source }) => source);

test('quoted names lead beside the includer first, others along the search path, unknown ones to every file they can mean', async (t) => {
  const { graph } = await treeOf(t, {
    'fs/a.c': '#include "x.h"\n#include <linux/x.h>\n',
    'fs/x.h': '',
    'include/linux/x.h': '#  include   <asm/y.h>\n',
    'arch/x86/include/generated/asm/y.h': '',
    'include/asm/y.h': '',
    'drivers/one/inc/deep.h': '',
    'drivers/two/inc/deep.h': '',
    'drivers/two/b.c': '#include "inc/deep.h"\n',
    'drivers/three/c.c': '#include "deep.h"\n#include "nowhere.h"\n',
  });
  const includers = (file: string): string[] =>
    [...graph.reaching([file])].filter((name) => name.endsWith('.c')).sort();
  assert.deepEqual(includers('fs/x.h'), ['fs/a.c']);
  assert.deepEqual(includers('arch/x86/include/generated/asm/y.h'), ['fs/a.c']);
  assert.deepEqual(includers('include/asm/y.h'), []);
  assert.deepEqual(includers('drivers/two/inc/deep.h'), ['drivers/three/c.c', 'drivers/two/b.c']);
  assert.deepEqual(includers('drivers/one/inc/deep.h'), ['drivers/three/c.c']);
});

test('circles end, a file included by a file that is included counts, a forced header reaches every unit', async (t) => {
  const { graph } = await treeOf(t, {
    'include/linux/a.h': '#include <linux/b.h>\n',
    'include/linux/b.h': '#include <linux/a.h>\n',
    'kernel/policy.c': '#include "rt.c"\n',
    'kernel/rt.c': '#include <linux/a.h>\n',
    'mm/other.c': '#include <linux/c.h>\n',
    'include/linux/c.h': '',
  });
  assert.deepEqual(
    [...graph.reaching(['include/linux/b.h'])].sort().filter((file) => file.endsWith('.c')),
    ['kernel/policy.c', 'kernel/rt.c'],
  );
  assert.ok(graph.reaching(['kernel/rt.c']).has('kernel/policy.c'));
  assert.ok(graph.reaching(['include/linux/kconfig.h']).has('mm/other.c'));
});

test('what a macro includes, and what is generated, is known', async (t) => {
  const { graph } = await treeOf(
    t,
    {
      'include/linux/magic.h': '#include MAGIC_FILE\n',
      'drivers/m.c': '#define MAGIC_FILE <linux/list.h>\n#include <linux/magic.h>\n',
      'include/linux/list.h': '',
      'include/linux/asn1.h': '',
      'include/linux/else.h': '',
      'scripts/gen.c': 'printf("#include <linux/asn1.h>\\n");\n',
      'crypto/use.c': '#include "key.asn1.h"\n',
    },
    ['drivers/m.o', 'crypto/use.o', 'crypto/key.asn1.o'],
  );
  assert.ok(graph.reaching(['include/linux/list.h']).has('drivers/m.c'));
  const generated = graph.reaching(['include/linux/asn1.h']);
  assert.ok(generated.has('crypto/use.c') && generated.has('crypto/key.asn1.c'));
  assert.equal(graph.reaching(['include/linux/else.h']).has('crypto/use.c'), false);
});

test('the top level of a header', () => {
  const items = headerItems(`
    #ifndef A_H
    #define A_H /* a guard */
    struct forward;
    struct tag { int plain, *second; unsigned bits:3; u8 data[LENGTH] __aligned(8); void (*call)(int arg); } __packed;
    enum kind { ONE = 1, TWO };
    typedef unsigned long number_t;
    extern int global;
    int declared(struct tag *t);
    static inline int get(struct tag *t)
    {
    #ifdef CONFIG_X
    	if (t->plain) {
    #else
    	if (1) {
    #endif
    		return '}';
    	}
    	return 0;
    }
    DECLARE_THING(a, b)
    static __always_inline void after(void) { }
    int emitted(void) { return 1; }
    static_assert(sizeof(int) == 4);
    #endif`);
  const named = items.filter(({ names }) => names.length > 0).map(({ kind, names }) => `${kind} ${names.join(' ')}`);
  assert.deepEqual(named, [
    'macro A_H',
    'type tag plain second bits data call arg',
    'type kind ONE TWO',
    'type number_t',
    'declaration global',
    'declaration declared',
    'function get',
    'function after',
  ]);
  const open = items.filter(({ kind }) => kind === 'open').map(({ text }) => text);
  assert.deepEqual(open, ['DECLARE_THING ( a , b )', 'int emitted ( void ) { return 1 ; }']);
});

test('comments change nothing, a moved definition counts, includes and conditions have no names', () => {
  const file = 'include/linux/a.h';
  const before = 'static inline int f(void) { return 1; }\n#define A 1\n';
  const changed = (after: string): unknown => changedNames({ file, before, after });
  assert.deepEqual(changed(`/* new */\n${before}`), { names: [] });
  assert.deepEqual(changed(before.replace('A 1', 'A 2')), { names: ['A'] });
  assert.match(JSON.stringify(changed(`#include <linux/b.h>\n${before}`)), /includes/);
  assert.match(JSON.stringify(changed(`${before}#ifdef X\n#endif\n`)), /conditions/);
  assert.match(JSON.stringify(changed(`${before}DEFINE_IT(x);\n`)), /outer level/);
});

test('only units that use what changed are kept, also through other headers, and each says through which name', async (t) => {
  const header = 'static inline int f(void) { return 1; }\nstatic inline int g(void) { return 1; }\n';
  const tree = await treeOf(t, {
    ...idle,
    'include/linux/a.h': header,
    'include/linux/b.h':
      '#include <linux/a.h>\n#define VIA_MACRO() f()\nstatic inline int helper(void) { return f(); }\n',
    'fs/direct.c': '#include <linux/a.h>\nint x(void) { return f(); }\n',
    'fs/other.c': '#include <linux/a.h>\nint x(void) { return g(); /* not f */ }\n',
    'fs/macro.c': '#include <linux/b.h>\nint x(void) { return VIA_MACRO(); }\n',
    'fs/function.c': '#include <linux/b.h>\nint x(void) { return helper(); }\n',
    'fs/stranger.c': '#include <linux/a.h>\nint helper(void);\n',
    'fs/never.c': 'int f(void) { return 0; }\n',
  });
  const found = await tree.reach('include/linux/a.h', header, header.replace('return 1', 'return 2'));
  assert.deepEqual(Object.fromEntries(found.units.map(({ source, names }) => [source, names])), {
    'fs/direct.c': ['f'],
    'fs/function.c': ['helper'],
    'fs/macro.c': ['VIA_MACRO'],
  });
  assert.equal(found.includers, 11);
});

test('a name that macros join from pieces is found', async (t) => {
  const header = 'static inline int get_page(void) { return 1; }\n';
  const tree = await treeOf(t, {
    ...idle,
    'include/linux/a.h': header,
    'include/linux/join.h':
      '#define GET(x) get_##x()\n#define WRAP(y) GET(y)\n#define __PASTE(a, b) a##b\n#define LIST(X) X(page)\n',
    'fs/call.c': '#include <linux/a.h>\n#include <linux/join.h>\nint x(void) { return GET(page); }\n',
    'fs/wrapped.c': '#include <linux/a.h>\n#include <linux/join.h>\nint x(void) { return WRAP(page); }\n',
    'fs/paste.c': '#include <linux/a.h>\n#include <linux/join.h>\nint x(void) { return __PASTE(get_, page)(); }\n',
    'fs/list.c': '#include <linux/a.h>\n#include <linux/join.h>\nint x(void) { return LIST(GET); }\n',
    'fs/own.c': '#include <linux/a.h>\n#define MINE(x) get_##x()\n#include "own.h"\n',
    'fs/own.h': 'int x(void) { return MINE(page); }\n',
    'fs/none.c': '#include <linux/a.h>\n#include <linux/join.h>\nint x(void) { return GET(other); }\n',
  });
  const found = await tree.reach('include/linux/a.h', header, header.replace('1', '2'));
  assert.deepEqual(sourcesOf(found), ['fs/call.c', 'fs/list.c', 'fs/own.c', 'fs/paste.c', 'fs/wrapped.c']);
});

test('where names do not tell, every unit that includes the place is kept', async (t) => {
  const header = '#define SIZE 1\nstruct s { int a; };\n';
  const tree = await treeOf(t, {
    ...idle,
    'include/linux/a.h': header,
    'fs/open.h': 'DEFINE_SOMETHING(SIZE);\n',
    'fs/open.c': '#include <linux/a.h>\n#include "open.h"\n',
    'fs/condition.h': '#if SIZE > 1\nint more(void);\n#endif\n',
    'fs/condition.c': '#include <linux/a.h>\n#include "condition.h"\n',
    'fs/fragment.c': '#include <linux/a.h>\n#include "part.inc"\n',
    'fs/part.inc': 'int x = SIZE;\n',
  });
  const size = await tree.reach('include/linux/a.h', header, header.replace('1', '2'));
  assert.deepEqual(sourcesOf(size), ['fs/condition.c', 'fs/fragment.c', 'fs/open.c']);
  const whole = await tree.reach('include/linux/a.h', header, `#include <linux/b.h>\n${header}`);
  assert.equal(whole.units.length, 9);
  assert.match(whole.whole!, /includes/);
});

test('a new member of a structure reaches those that use any of its members, or what embeds it', async (t) => {
  const header = 'struct inner { int count; };\n';
  const tree = await treeOf(t, {
    ...idle,
    'include/linux/a.h': header,
    'include/linux/outer.h': '#include <linux/a.h>\nstruct outer { struct inner in; int last; };\n',
    'fs/member.c': '#include <linux/a.h>\nint x(void *p) { return ((typeof(get()))p)->count; }\n',
    'fs/outer.c': '#include <linux/outer.h>\nint x(void) { return it()->last; }\n',
  });
  const found = await tree.reach('include/linux/a.h', header, header.replace('int count;', 'int count; int more;'));
  assert.deepEqual(sourcesOf(found), ['fs/member.c', 'fs/outer.c']);
});

test('a new header reaches those whose include it takes', async (t) => {
  const tree = await treeOf(t, {
    ...idle,
    'include/linux/a.h': '#include <asm/b.h>\n',
    'arch/x86/include/generated/asm/b.h': '',
  });
  const folder = { file: 'arch/x86/include/asm/b.h', before: undefined, after: '' };
  const map = new Map(Object.keys(idle).map((file) => [file.replace(/c$/, 'o'), []]));
  const reach = new HeaderReach(tree.path, tree.graph, map, join(tree.path, '../derived'));
  assert.equal((await reach.of(folder)).units.length, 6);
});
