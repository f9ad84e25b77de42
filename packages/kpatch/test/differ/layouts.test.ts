/** Changed layouts of structures, seen in debug information of the formats that compilers write. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { changedLayouts } from '#kpatch/differ/compare/layouts.ts';
import { ElfFile } from '#kpatch/formats/elf/file.ts';
import { provokes } from '../provoke.ts';
import { differ } from './fixture.ts';

const use = 'int f(struct s *s) { return s->a; }\n';

function layouts(before: string, after: string, ...flags: string[]): string[] {
  using folder = temporaryFolder('kpatch-test-');
  const compile = (name: string, source: string): ElfFile => {
    const [input, output] = [join(folder.path, `${name}.c`), join(folder.path, `${name}.o`)];
    writeFileSync(input, source + use);
    execFileSync('gcc', ['-c', '-g', ...flags, input, '-o', output]);
    return new ElfFile(readFileSync(output), output);
  };
  return changedLayouts(compile('a', before), compile('b', after)).map(({ name, text }) => `${name}: ${text}`);
}

const cases: readonly [title: string, before: string, after: string, expected: string[]][] = [
  ['nothing', 'struct s { int a; };', 'struct s { int a; };', []],
  [
    'a larger structure',
    'struct s { int a; };',
    'struct s { int a, b; };',
    ['struct s: its size changes from 4 to 8 bytes'],
  ],
  [
    'a member in a hole',
    'struct s { char a; long b; };',
    'struct s { char a; char n; long b; };',
    ['struct s: the member n at byte 1 is new'],
  ],
  [
    'a member that lies in a hole because the author says so',
    'struct s { char a; long b; };',
    'struct s { char a; char n; char kpatch_padding_n[0]; long b; };',
    [],
  ],
  [
    'a member of which the author says so, and there is no hole',
    'struct s { int a; long b; };',
    'struct s { int a; long n; char kpatch_padding_n[0]; long b; };',
    ['struct s: its size changes from 16 to 24 bytes'],
  ],
  [
    'a member of which the author says so, and another one moves',
    'struct s { int a; char c; long b; };',
    'struct s { int a; char n; char kpatch_padding_n[0]; char c; long b; };',
    ['struct s: the member c moves from byte 4 to byte 5'],
  ],
  [
    'another layout of objects that are all on stacks, as the author says',
    'struct s { int a; };',
    'struct s { int a; long b; char kpatch_on_stacks[0]; };',
    [],
  ],
  [
    'members that change places',
    'struct s { int a; int b; };',
    'struct s { int b; int a; };',
    ['struct s: the member b moves from byte 4 to byte 0'],
  ],
  [
    'a bit field that grows',
    'struct s { unsigned a : 3; unsigned b : 4; };',
    'struct s { unsigned a : 3; unsigned b : 5; };',
    ['struct s: the member b changes from 0.5 to 0.625 bytes'],
  ],
  [
    'an unnamed structure inside',
    'struct s { int a; union { int u; char c[4]; }; };',
    'struct s { int a; union { int u; char c[8]; }; };',
    ['struct s: its size changes from 8 to 12 bytes'],
  ],
  [
    'an unnamed structure behind a typedef',
    'typedef struct { int x; } t; struct s { int a; t *p; };',
    'typedef struct { long x; } t; struct s { int a; t *p; };',
    ['t: its size changes from 4 to 8 bytes'],
  ],
  ['another type behind a pointer', 'struct s { int a; char *p; };', 'struct s { int a; long *p; };', []],
  ['a new name for a reserved member', 'struct s { int a; int reserved; };', 'struct s { int a; int flags; };', []],
  ['a new structure', 'struct s { int a; };', 'struct n { int x; }; struct s { int a; };', []],
];

describe('layouts of structures', () => {
  for (const version of [2, 3, 4, 5]) {
    for (const [title, before, after, expected] of cases) {
      test(`DWARF ${version}: ${title}`, () => {
        assert.deepEqual(layouts(before, after, `-gdwarf-${version}`), expected);
      });
    }
  }

  test('without debug information nothing is said', () => {
    assert.deepEqual(layouts('struct s { int a; };', 'struct s { int a, b; };', '-g0'), []);
  });
});

describe('a patch that changes a layout', () => {
  const before = 'struct s { int a; }; int f(struct s *s) { return s->a; }';
  const after = 'struct s { int a, b; }; int f(struct s *s) { return s->a + s->b; }';

  test('is refused with the structure and what changes', async () => {
    const error = await provokes('diff-layout-changed', () => differ(before, after, { more: ['-g'] }));
    assert.match(error.message, /struct s changes: its size changes from 4 to 8 bytes/);
  });

  test('is taken where the person accepts it, with a note', () => {
    const { functions, notes } = differ(before, after, { more: ['-g'], options: { acceptLayouts: ['struct s'] } });
    assert.deepEqual(
      functions.map(({ name }) => name),
      ['f'],
    );
    assert.ok(notes.some((note) => note.includes('layout of struct s')));
  });
});
