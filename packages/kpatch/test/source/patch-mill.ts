/**
 * Random patches for comparing readers: a small tree, a changed copy, the difference between them as diff or git writes it, and
 * damage to it. All text is bytes, one character each.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Files by path: bytes, and whether the file can be executed. */
export type Tree = ReadonlyMap<string, { readonly text: string; readonly executable: boolean }>;

/** Numbers that follow from a seed alone. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** From 0 to below `limit`. */
  below(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % limit;
  }

  /** True once in `times`. */
  once(times: number): boolean {
    return this.below(times) === 0;
  }

  of<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

const lines = [
  ...['int a;', '\treturn 0;', '}', '{', '', '', '\t}', '/* why */', '#include <x.h>', '#define A 1', 'caf\xe9', 'x\r'],
  ...[
    '-- ',
    '--x;',
    '++x;',
    '- a',
    '+ b',
    '*** c',
    '--- d',
    '+++ e',
    '@@ f',
    '\\ g',
    '   ',
    '\t',
    'From here',
    'Index: h',
    '5c',
    '.',
  ],
];

function someLines(dice: Dice, count: number): string[] {
  return Array.from({ length: count }, (_, index) => (dice.once(3) ? `line ${index}` : dice.of(lines)));
}

function textOf(dice: Dice, all: readonly string[]): string {
  const text = all.map((line) => `${line}\n`).join('');
  return dice.once(8) ? text.slice(0, -1) : text;
}

const paths = ['fs/a.c', 'fs/b.c', 'fs/proc/c.c', 'include/linux/d.h', 'Makefile', 'fs/with space.c'];

/** A tree of a few files. */
export function someTree(dice: Dice): Map<string, { text: string; executable: boolean }> {
  const chosen = paths.filter((path) => path === 'fs/a.c' || !dice.once(3));
  return new Map(
    chosen.map((path) => [
      path,
      { text: dice.once(12) ? '' : textOf(dice, someLines(dice, 5 + dice.below(40))), executable: false },
    ]),
  );
}

function edited(dice: Dice, text: string): string {
  const all = text.split('\n');
  for (let edits = 1 + dice.below(3); edits > 0; edits--) {
    const at = dice.below(all.length + 1);
    all.splice(at, dice.once(2) ? 0 : dice.below(3), ...someLines(dice, dice.below(3)));
  }
  return all.join('\n');
}

/** The tree with some changes: edits, files that come, go, are emptied, moved, or can be executed. */
export function changedTree(dice: Dice, tree: Tree): Map<string, { text: string; executable: boolean }> {
  const after = new Map([...tree].map(([path, file]) => [path, { ...file }]));
  for (const [path, file] of tree) {
    if (dice.once(2)) after.set(path, { ...file, text: edited(dice, file.text) });
    // GNU patch cannot read a name with a space from a header of git, so this file has to have hunks.
    const fate = path.includes(' ') ? -1 : dice.below(15);
    if (fate === 0) after.delete(path);
    if (fate === 1) after.set(path, { ...file, text: '' });
    if (fate === 2) after.set(`fs/moved-${after.size}.c`, after.get(path)!);
    if (fate === 2 && dice.once(2)) after.delete(path);
  }
  if (dice.once(4))
    after.set('fs/new.c', { text: textOf(dice, someLines(dice, dice.below(6))), executable: dice.once(4) });
  return after;
}

/** Writes a tree below a folder. */
export function writeTree(folder: string, tree: Tree): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [path, { text, executable }] of tree) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text, 'latin1');
    if (executable) chmodSync(join(folder, path), 0o755);
  }
}

/** Reads a tree; links count as what they lead to. */
export function readTree(folder: string): Tree {
  const found = new Map<string, { text: string; executable: boolean }>();
  const read = (at: string): void => {
    for (const name of readdirSync(join(folder, at)).sort()) {
      const path = at === '' ? name : `${at}/${name}`;
      const stat = statSync(join(folder, path));
      if (stat.isDirectory()) read(path);
      else found.set(path, { text: readFileSync(join(folder, path), 'latin1'), executable: (stat.mode & 0o100) !== 0 });
    }
  };
  read('');
  return found;
}

export interface Written {
  readonly text: string;
  /** How it was written, for the message of a failure. */
  readonly how: string;
}

/** The difference as one of the usual programs writes it. `folder` is empty and gets both trees. */
export function writtenPatch(dice: Dice, folder: string, before: Tree, after: Tree): Written {
  const [old, fresh] = dice.of([
    ['a', 'b'],
    ['linux.orig', 'linux'],
    ['src/linux.orig', 'src/linux'],
  ] as const);
  writeTree(join(folder, old), before);
  writeTree(join(folder, fresh), after);
  const context = dice.of(['0', '1', '3', '3', '3', '8']);
  const plain = [
    'diff',
    [
      dice.once(4) ? `-C${context === '0' ? '2' : context}` : `-U${context}`,
      '-rN',
      ...(dice.once(3) ? ['-p'] : []),
      old,
      fresh,
    ],
  ] as const;
  const prefix = dice.of([
    ['--src-prefix=a/', '--dst-prefix=b/'],
    ['--no-prefix'],
    ['--src-prefix=i/', '--dst-prefix=w/'],
  ]);
  const moves = dice.of([[], ['-M'], ['-M', '-C', '--find-copies-harder']]);
  const [program, options] =
    old === 'a' && dice.once(2)
      ? ([
          'git',
          [
            '-c',
            'core.fileMode=true',
            'diff',
            '--no-index',
            '--no-color',
            `-U${context}`,
            ...prefix,
            ...moves,
            old,
            fresh,
          ],
        ] as const)
      : plain;
  const env = {
    ...process.env,
    LC_ALL: 'C',
    TZ: dice.of(['UTC', 'Asia/Tokyo', 'America/New_York']),
    GIT_CONFIG_GLOBAL: '/dev/null',
  };
  const { stdout } = spawnSync(program, options, { cwd: folder, encoding: 'latin1', env });
  // Without an index git shows the folders as a part of the names.
  const text = program === 'git' ? stdout.replace(/(^|[ "])((?:[abiw]\/)?)[ab]\//gm, '$1$2') : stdout;
  return { text, how: `${program} ${options.join(' ')}` };
}

const head =
  'From 24fcffb9889a5bea7181d2e013928557b66944e9 Mon Sep 17 00:00:00 2001\nFrom: T <t@example.org>\nSubject: [PATCH] one\n\nWhy it\n  matters:\n- a\n---\n fs/a.c | 2 +-\n\n';

/** The patch as it arrives: in a mail, with a signature, with other line ends, indented, or as it is. */
export function wrapped(dice: Dice, patch: Written): Written {
  const ways: Readonly<Record<string, (text: string) => string>> = {
    'as it is': (text) => text,
    'in a mail': (text) => `${head}${text}-- \n2.39.5\n\n`,
    'with a signature': (text) => `${text}--\nJane Doe\nExample Labs\n`,
    'with CR LF': (text) => text.replaceAll('\n', '\r\n'),
    indented: (text) => text.replace(/^/gm, '    ').replace(/ {4}$/, ''),
    'without its last newline': (text) => text.replace(/\n$/, ''),
    'with white space removed': (text) => text.replace(/[ ]+$/gm, ''),
  };
  const way = dice.of(['as it is', 'in a mail', ...Object.keys(ways)]);
  // Dashes below a context diff whose last lines are left out make GNU patch count its context wrongly.
  if (patch.text.includes('*****') && /mail|signature/.test(way)) return patch;
  // GNU patch does not find this line when it is indented.
  if (way === 'indented' && patch.text.includes('\n\\ No newline')) return patch;
  return { text: ways[way]!(patch.text), how: `${patch.how}, ${way}` };
}

const tricky = [
  ...[
    '',
    ' ',
    '-- ',
    '--',
    '-',
    '+',
    '+x',
    '-x',
    ' x',
    '\tx',
    '# x',
    '\\ No newline at end of file',
    '.',
    '5d',
    'Prereq: x',
  ],
  ...[
    '--- a/fs/a.c',
    '+++ b/fs/a.c',
    '--- /dev/null',
    '+++ /dev/null',
    '*** a/fs/a.c',
    '***************',
    '*** 1,3 ****',
    '--- 1,3 ----',
  ],
  ...[
    '@@ -1 +1 @@',
    '@@ -0,0 +1 @@',
    '@@ -1,3 +1,3 @@',
    '@@ -30,0 +31 @@',
    '  @@ -1 +1 @@',
    'Index: fs/a.c',
    'Index: fs/b.c',
  ],
  ...[
    'diff --git a/fs/a.c b/fs/a.c',
    'diff --git a/fs/a.c b/fs/b.c',
    'new file mode 100644',
    'deleted file mode 100644',
  ],
  ...[
    'old mode 100644',
    'new mode 100755',
    'rename from fs/a.c',
    'rename to fs/z.c',
    'copy from fs/a.c',
    'copy to fs/z.c',
  ],
  ...[
    'From 1234 Mon Sep 17 00:00:00 2001',
    'Subject: x',
    'index 1234567..89abcde 100644',
    'Only in a: b',
    'Binary files a/x and b/x differ',
  ],
];

/** The patch with some damage. */
export function damaged(dice: Dice, patch: Written): Written {
  const all = patch.text.split('\n');
  const at = (): number => dice.below(all.length + 1);
  const done: string[] = [];
  const damages: Readonly<Record<string, () => void>> = {
    'a line is gone': () => void all.splice(at(), 1),
    'a line is there twice': () => {
      const place = at();
      all.splice(place, 0, all[place] ?? '');
    },
    'a line is put in': () => void all.splice(at(), 0, dice.of(tricky)),
    'two lines change places': () => {
      const place = at();
      all.splice(place, 2, ...all.slice(place, place + 2).reverse());
    },
    'a digit differs': () => {
      const places = all.flatMap((line, index) => (/^(?:@@|\*\*\* \d|--- \d)/.test(line) ? [index] : []));
      const place = places.length === 0 ? 0 : dice.of(places);
      const line = all[place] ?? '';
      const digits = [...line.matchAll(/\d/g)].map(({ index }) => index);
      if (digits.length === 0) return;
      const digit = dice.of(digits);
      all[place] = `${line.slice(0, digit)}${dice.below(10)}${line.slice(digit + 1)}`;
    },
    'a part is indented': () => {
      const from = at();
      const indent = dice.of([' ', '  ', '\t', 'X']);
      for (let index = from; index < Math.min(all.length, from + 1 + dice.below(12)); index++)
        all[index] = indent + all[index]!;
    },
    'the first characters of a line differ': () => {
      const place = at();
      all[place] = dice.of([' ', '+', '-', '\t', '#', '=', '']) + (all[place] ?? '').slice(1);
    },
    'it is cut off': () => void all.splice(at()),
    'another patch follows': () => void all.push(...patch.text.split('\n').slice(dice.below(4))),
    'a line ends with CR': () => {
      const place = at();
      if (place < all.length) all[place] += '\r';
    },
  };
  for (let times = 1 + dice.below(3); times > 0; times--) {
    const damage = dice.of(Object.keys(damages));
    damages[damage]!();
    done.push(damage);
  }
  return { text: all.join('\n'), how: `${patch.how}; ${done.join(', ')}` };
}
