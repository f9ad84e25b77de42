/**
 * Patch files as git, cgit, mail programs, quilt and diff write them: what they do to a small tree, or why they are
 * refused.
 */
import assert from 'node:assert/strict';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import type { KpatchError } from '#kpatch/base/errors/error.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { applyPatch } from '#kpatch/source/apply.ts';
import { parseSourcePatch, placeInTree } from '#kpatch/source/patch.ts';
import { readSeries } from '#kpatch/source/series.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-formats-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const numbered = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => `line ${from + index}\n`).join('');

/** The tree of all tests: bytes one character each. */
const files: Readonly<Record<string, string>> = {
  'fs/a.c': numbered(1, 30),
  'fs/b.c': numbered(1, 30),
  'fs/latin1.c': 'caf\xe9\nx\ny\n',
  'fs/crlf.c': 'one\r\ntwo\r\nthree\r\n',
  'fs/with space.c': numbered(1, 3),
  'fs/open.c': 'no newline',
  'fs/empty.c': '',
  'kernel/Makefile': 'obj-y = k.o\n',
  Makefile: 'VERSION = 6\n',
};

let count = 0;
function overlay(): SourceOverlay {
  const place = join(folder, String(count++));
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(place, 'tree', file, '..'), { recursive: true });
    writeFileSync(join(place, 'tree', file), text, 'latin1');
  }
  mkdirSync(join(place, 'overlay'));
  return new SourceOverlay(join(place, 'tree'), join(place, 'overlay'));
}

interface Applied {
  readonly strip: number;
  readonly root: string;
  /** What became of a file; undefined if it is gone. */
  readonly text: (file: string) => string | undefined;
}

async function apply(patch: string | Uint8Array, on = overlay()): Promise<Applied> {
  const bytes = typeof patch === 'string' ? Buffer.from(patch, 'latin1') : patch;
  const [placed] = placeInTree([parseSourcePatch('fix.patch', bytes)], on.tree);
  assert.deepEqual(await applyPatch(on, placed!, '6.1.0-9-amd64'), []);
  const text = (file: string): string | undefined =>
    existsSync(join(on.root, file)) ? readFileSync(join(on.root, file), 'latin1') : undefined;
  return { strip: placed!.strip, root: on.root, text };
}

const hunk = (at: number, to = 'new'): string =>
  `@@ -${at - 1},3 +${at - 1},3 @@\n line ${at - 1}\n-line ${at}\n+${to}\n line ${at + 1}\n`;
const change = (at: number, from = 'a/fs/a.c', to = from.replace(/^a\//, 'b/')): string =>
  `--- ${from}\n+++ ${to}\n${hunk(at)}`;
const changed = (...at: number[]): string =>
  at.reduce((text, line) => text.replace(`line ${line}\n`, 'new\n'), numbered(1, 30));
const mail = (subject: string): string =>
  `From 24fcffb9889a5bea7181d2e013928557b66944e9 Mon Sep 17 00:00:00 2001\nFrom: T <t@example.org>\nSubject: [PATCH] ${subject}\n\nWhy\n---\n fs/a.c | 2 +-\n 1 file changed\n\n`;
const git = (file: string, ...header: string[]): string =>
  [`diff --git a/${file} b/${file}`, ...header].map((line) => `${line}\n`).join('');

describe('what stands around diffs', () => {
  const cases: Readonly<Record<string, string>> = {
    'the signature of git': `${mail('one')}${git('fs/a.c')}${change(5)}-- \n2.39.5\n\n`,
    'the signature of cgit': `${mail('one')}${git('fs/a.c')}${change(5)}-- \ncgit 1.2.3-korg\n\n`,
    'the signature of a person': `${mail('one')}${git('fs/a.c')}${change(5)}-- \nJane Doe\nExample Labs\n`,
    'a signature whose space was removed': `${change(5)}--\nJane Doe\n+1\n`,
    'text below an empty line': `${change(5)}\n- that is all\n-Jane\n`,
    'a footer of a mailing list': `${change(5)}_______\nlist mailing list\n`,
    'what diff -r prints for other files': `Only in b/fs: new.c\ndiff -ur a/fs/a.c b/fs/a.c\n${change(5)}Only in a/fs: old.c\n`,
    'the lines of quilt': `Index: linux-6.1/fs/a.c\n${'='.repeat(67)}\n${change(5, 'linux-6.1.orig/fs/a.c', 'linux-6.1/fs/a.c')}`,
    'a quoted hunk in the description': `${mail('one')}this is wrong:\n@@ -1,2 +1,2 @@\n\n${change(5)}`,
    'CR LF at the end of each line': `${mail('one')}${change(5)}`.replaceAll('\n', '\r\n'),
    'indentation by a form': change(5).replace(/^/gm, '    ').trimEnd(),
    'white space removed at ends of lines': change(5).replace('line 4', 'line 4'),
    'no newline at the end': change(5).trimEnd(),
    'a clear-signed mail': `- ${change(5).replace('a/fs/a.c', 'a/fs/a.c\t2026-01-01 10:00:00')}`.replace(
      '\n-line',
      '\n- -line',
    ),
  };
  for (const [name, patch] of Object.entries(cases)) {
    test(name, async () => {
      const { text } = await apply(patch);
      assert.equal(text('fs/a.c'), changed(5));
    });
  }

  test('several mails in one file, of which the second changes what the first adds', async () => {
    const first = `${mail('one')}${git('fs/a.c')}${change(5)}-- \n2.39.5\n\n\n`;
    const second = `${mail('two')}${git('fs/new.c', 'new file mode 100644')}--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 @@\n+one\n-- \n2.39.5\n\n\n`;
    const third = `${mail('three')}${git('fs/new.c')}--- a/fs/new.c\n+++ b/fs/new.c\n@@ -1 +1,2 @@\n one\n+two\n${git('fs/a.c')}${change(9)}-- \n2.39.5\n`;
    const { text } = await apply(first + second + third);
    assert.equal(text('fs/a.c'), changed(5, 9));
    assert.equal(text('fs/new.c'), 'one\ntwo\n');
  });

  test('.patch.gz and .patch.zst', async () => {
    for (const pack of [gzipSync, zstdCompressSync])
      assert.equal((await apply(pack(Buffer.from(change(5))))).text('fs/a.c'), changed(5));
  });
});

describe('paths', () => {
  const cases: readonly [from: string, to: string, strip: number][] = [
    ['a/fs/a.c', 'b/fs/a.c', 1],
    ['i/fs/a.c', 'w/fs/a.c', 1],
    ['fs/a.c', 'fs/a.c', 0],
    ['./fs/a.c', './fs/a.c', 0],
    ['fs/a.c.orig', 'fs/a.c', 0],
    ['linux-6.1.orig/fs/a.c', 'linux-6.1/fs/a.c', 1],
    ['src/linux.orig/fs/a.c', 'src/linux.fixed/fs/a.c', 2],
    ['../linux.orig/fs/a.c', '../linux/fs/a.c', 2],
    ['/home/author/linux.orig/fs/a.c', '/home/author/linux/fs/a.c', 4],
    ['a//fs/a.c', 'b//fs/a.c', 1],
    ['"a/fs/\\141.c"', '"b/fs/\\141.c"', 1],
  ];
  for (const [from, to, strip] of cases) {
    test(`${from} and ${to}`, async () => {
      const result = await apply(change(5, from, to));
      assert.equal(result.text('fs/a.c'), changed(5));
      assert.equal(result.strip, strip);
    });
  }

  test('a name with a space, before a tab', async () => {
    const { text } = await apply(
      '--- a/fs/with space.c\t\n+++ b/fs/with space.c\t\n@@ -1,3 +1,3 @@\n line 1\n-line 2\n+new\n line 3\n',
    );
    assert.equal(text('fs/with space.c'), 'line 1\nnew\nline 3\n');
  });

  test('where two levels have the file, its lines decide', async () => {
    const patch = (line: string): string => `--- kernel/Makefile\n+++ kernel/Makefile\n@@ -1 +1 @@\n-${line}\n+new\n`;
    assert.equal((await apply(patch('obj-y = k.o'))).text('kernel/Makefile'), 'new\n');
    assert.equal((await apply(patch('VERSION = 6'))).text('Makefile'), 'new\n');
  });

  test('patch-file-missing names the path at the level that fits best', async () => {
    const error = await provokes('patch-file-missing', () =>
      apply(change(5, 'x/y/fs/a.c') + change(5, 'x/y/fs/none.c')),
    );
    assert.match(error.message, / changes fs\/none\.c,/);
  });
});

describe('hunks', () => {
  test('without context, before the first line and behind the last', async () => {
    const head = (text: string): string => `${git('fs/a.c')}--- a/fs/a.c\n+++ b/fs/a.c\n${text}`;
    assert.equal((await apply(head('@@ -0,0 +1 @@\n+zero\n'))).text('fs/a.c'), `zero\n${numbered(1, 30)}`);
    assert.equal((await apply(head('@@ -30,0 +31 @@\n+last\n'))).text('fs/a.c'), `${numbered(1, 30)}last\n`);
    assert.equal((await apply(head('@@ -5 +4,0 @@\n-line 5\n'))).text('fs/a.c'), numbered(1, 4) + numbered(6, 30));
    assert.equal(
      (await apply(head('@@ -1,30 +0,0 @@\n'.concat(numbered(1, 30).replace(/^(?=.)/gm, '-'))))).text('fs/a.c'),
      '',
    );
  });

  test('a file without a newline at its end gets one, and loses it', async () => {
    const head = '--- a/fs/open.c\n+++ b/fs/open.c\n@@ -1 +1 @@\n-no newline\n\\ No newline at end of file\n+more\n';
    assert.equal((await apply(head)).text('fs/open.c'), 'more\n');
    assert.equal((await apply(`${head}\\ Kein Zeilenumbruch am Dateiende.\n`)).text('fs/open.c'), 'more');
  });

  test('blank context lines that lost their space, and those cut off at the end', async () => {
    const on = overlay();
    writeFileSync(join(on.tree, 'fs/a.c'), 'a\n\nb\n\n\n');
    assert.equal(
      (await apply('--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,5 +1,5 @@\n a\n\n-b\n+c\n', on)).text('fs/a.c'),
      'a\n\nc\n\n\n',
    );
  });

  test('context diffs: changed, added and removed lines, and halves that are left out', async () => {
    const head = '*** a/fs/a.c\t2026-01-01 10:00:00\n--- b/fs/a.c\t2026-01-01 10:00:00\n***************\n';
    const both = '*** 4,6 ****\n  line 4\n! line 5\n  line 6\n--- 4,6 ----\n  line 4\n! new\n  line 6\n';
    assert.equal((await apply(head + both)).text('fs/a.c'), changed(5));
    const added = '*** 4,5 ****\n--- 4,6 ----\n  line 4\n+ new\n  line 5\n';
    assert.equal((await apply(head + added)).text('fs/a.c'), numbered(1, 30).replace('line 5', 'new\nline 5'));
    const removed = '*** 4,6 ****\n  line 4\n- line 5\n  line 6\n--- 4,5 ----\n';
    assert.equal((await apply(head + removed)).text('fs/a.c'), numbered(1, 30).replace('line 5\n', ''));
  });

  test('bytes stay bytes: Latin-1 in context and in added lines, CR in a file with CR LF', async () => {
    const latin = '--- a/fs/latin1.c\n+++ b/fs/latin1.c\n@@ -1,3 +1,3 @@\n caf\xe9\n-x\n+na\xefve\n y\n';
    assert.equal((await apply(latin)).text('fs/latin1.c'), 'caf\xe9\nna\xefve\ny\n');
    const crlf = '--- a/fs/crlf.c\n+++ b/fs/crlf.c\n@@ -1,3 +1,3 @@\n one\r\n-two\r\n+2\r\n three\r\n';
    assert.equal((await apply(crlf)).text('fs/crlf.c'), 'one\r\n2\r\nthree\r\n');
  });
});

describe('files that come and go', () => {
  test('new, removed, renamed, copied, and empty files, and permission bits', async () => {
    const moved = (kind: string): string =>
      `diff --git a/fs/a.c b/fs/c.c\nsimilarity index 90%\n${kind} from fs/a.c\n${kind} to fs/c.c\n--- a/fs/a.c\n+++ b/fs/c.c\n${hunk(5)}`;
    const renamed = await apply(moved('rename'));
    assert.deepEqual([renamed.text('fs/a.c'), renamed.text('fs/c.c')], [undefined, changed(5)]);
    const copied = await apply(`${git('fs/a.c')}${change(9)}${moved('copy')}`);
    assert.deepEqual([copied.text('fs/a.c'), copied.text('fs/c.c')], [changed(9), changed(5)]);
    const bare = await apply('diff --git fs/a.c fs/c.c\nsimilarity index 100%\nrename from fs/a.c\nrename to fs/c.c\n');
    assert.deepEqual([bare.text('fs/a.c'), bare.text('fs/c.c')], [undefined, numbered(1, 30)]);
    const made = await apply(
      git('fs/n.c', 'new file mode 100755', 'index 000..e69') + git('fs/empty.c', 'deleted file mode 100644'),
    );
    assert.deepEqual([made.text('fs/n.c'), made.text('fs/empty.c')], ['', undefined]);
    assert.equal(statSync(join(made.root, 'fs/n.c')).mode & 0o777, 0o755);
    const gone = numbered(1, 30).replace(/^(?=.)/gm, '-');
    for (const to of [
      '/dev/null',
      'b/fs/a.c\t1970-01-01 01:00:00.000000000 +0100',
      'b/fs/a.c\tThu Jan  1 00:00:00 1970',
    ])
      assert.equal((await apply(`--- a/fs/a.c\n+++ ${to}\n@@ -1,30 +0,0 @@\n${gone}`)).text('fs/a.c'), undefined);
    const odd = `${git('fs/a.c', 'deleted file mode 100644')}--- a/fs/a.c\n+++ /dev/null\n@@ -1,30 +7,0 @@\n${gone}`;
    assert.equal((await apply(odd)).text('fs/a.c'), undefined);
    for (const from of ['/dev/null', 'a/fs/n.c\t1970-01-01 00:00:00.000000000 +0000', 'a/fs/n.c'])
      assert.equal((await apply(`--- ${from}\n+++ b/fs/n.c\n@@ -0,0 +1 @@\n+one\n`)).text('fs/n.c'), 'one\n');
  });

  test('a header of git without "new file mode" creates no file', async () => {
    const added = '@@ -0,0 +1 @@\n+one\n';
    await provokes('patch-file-missing', () => apply(`${git('fs/n.c')}--- a/fs/n.c\n+++ b/fs/n.c\n${added}`));
    await provokes('patch-ambiguous', () => apply(`${git('fs/n.c')}--- /dev/null\n+++ b/fs/n.c\n${added}`));
  });

  test('a file that has more lines than the patch removes stays, and the patch does not apply', async () => {
    const error = await provokes('patch-does-not-apply', () =>
      apply(`--- a/fs/a.c\n+++ /dev/null\n@@ -1,2 +0,0 @@\n-line 1\n-line 2\n`),
    );
    assert.match(error.detail ?? '', /more lines than the patch/);
  });
});

describe('refused by name', () => {
  const tail = (text: string): string => change(5) + text;
  const cases: Readonly<Record<string, readonly [ErrorCode, string]>> = {
    'an indented diff below another': ['patch-ambiguous', tail(change(9).replace(/^/gm, '  '))],
    'an indented hunk below another': ['patch-malformed', tail(hunk(9).replace(/^/gm, '  '))],
    'a hunk below an empty line': ['patch-malformed', tail(`\n${hunk(9)}`)],
    'an indented diff in the description': [
      'patch-ambiguous',
      `${mail('x')}${change(9).replace(/^/gm, '  ')}\n${change(5)}`,
    ],
    'names that are indented and hunks that are not': [
      'patch-ambiguous',
      change(5).replace('---', ' ---').replace('+++', ' +++'),
    ],
    'more lines than the counts say': ['patch-malformed', tail('+extra\n')],
    'fewer lines than the counts say': ['patch-malformed', change(5).replace('+new\n', '')],
    'a diff whose names and line numbers are damaged': [
      'patch-malformed',
      tail(`diff -u a/fs/b.c b/fs/b.c\n${change(9).replace('+++', ' ++').replace('@@', ' @')}`),
    ],
    'names without a hunk': ['patch-malformed', tail('--- a/fs/b.c\n+++ b/fs/b.c\n')],
    'a hunk that changes nothing': ['patch-malformed', '--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n line 1\n'],
    'line numbers beyond any file': ['patch-malformed', change(5).replace('-4,3', '-4,99999999999')],
    'two files that both exist': ['patch-ambiguous', change(5, 'a/fs/a.c', 'b/fs/b.c')],
    'a header of git for another file': ['patch-ambiguous', git('fs/b.c') + change(5)],
    'two names in a header of git without rename': [
      'patch-ambiguous',
      `diff --git a/fs/a.c b/fs/b.c\nindex 1..2\n${hunk(5)}${change(5, 'a/fs/a.c', 'b/fs/b.c')}`,
    ],
    'a line of Prereq:': ['patch-ambiguous', `Prereq: 1.5\n${change(5)}`],
    'a combined diff': [
      'patch-style',
      'diff --cc fs/a.c\n--- a/fs/a.c\n+++ b/fs/a.c\n@@@ -1,1 -1,1 +1,1 @@@\n- x\n++y\n',
    ],
    'an ed script': ['patch-style', '5c\nnew\n.\n'],
    'an ed script with names': [
      'patch-style',
      '--- a/fs/a.c\n+++ b/fs/a.c\n'.replace('+++ b/fs/a.c\n', '5c\nnew\n.\n'),
    ],
    'a diff without context': ['patch-style', '5c5\n< line 5\n---\n> new\n'],
    'a binary diff of git': ['patch-binary', `${git('x.bin', 'index 1..2 100644')}GIT binary patch\nliteral 1\n`],
    'binary files': ['patch-binary', tail('Binary files a/x y.bin and b/x y.bin differ\n')],
    'a symbolic link': [
      'patch-special-file',
      `${git('fs/l', 'new file mode 120000')}--- /dev/null\n+++ b/fs/l\n@@ -0,0 +1 @@\n+/etc/passwd\n`,
    ],
    'a submodule': [
      'patch-special-file',
      `${git('sub', 'index 1..2 160000')}--- a/sub\n+++ b/sub\n@@ -1 +1 @@\n-a\n+b\n`,
    ],
    'a setuid bit': ['patch-special-file', git('fs/a.c', 'old mode 100644', 'new mode 104755')],
    'a file that became a link': [
      'patch-special-file',
      tail('File a/fs/b.c is a regular file while file b/fs/b.c is a symbolic link\n'),
    ],
    'a mail in quoted-printable': [
      'patch-encoded',
      `Content-Transfer-Encoding: quoted-printable\n\n${change(5).replace('+new', '+a =3D b')}`,
    ],
    'a mail in base64': ['patch-encoded', 'Content-Transfer-Encoding: base64\n\nLS0tIGEK\n'],
    'UTF-16': ['patch-encoded', `\xff\xfe${[...change(5)].join('\0')}\0`],
    'an xz file': ['patch-encoded', '\xfd7zXZ\0'],
    'a damaged gzip file': ['patch-malformed', '\x1f\x8b\x08abc'],
    'white space': ['patch-empty', ' \n\n'],
    words: ['patch-not-a-patch', 'just words\n'],
  };
  for (const [name, [code, patch]] of Object.entries(cases))
    test(`${code}: ${name}`, async () => void (await provokes(code, () => apply(patch))));

  test('patch-too-large: what is packed in a small file', async () => {
    await provokes('patch-too-large', () => apply(gzipSync(Buffer.alloc(257 * 1024 * 1024, 10))));
  });

  test('patch-special-file: through a link of the tree', async () => {
    const on = overlay();
    symlinkSync('fs', join(on.tree, 'link'));
    await provokes('patch-special-file', () => apply(change(5, 'a/link/a.c'), on));
  });
});

describe('attacks', () => {
  const refused = async (code: ErrorCode, patch: string): Promise<KpatchError> =>
    await provokes(code, () => apply(patch));
  attack(
    {
      area: 'patch',
      attacker: 'patch author',
      how: 'an indented second diff that a reader does not see and GNU patch applies',
    },
    () => refused('patch-ambiguous', change(5) + change(9).replace(/^/gm, '  ')),
  );
  attack({ area: 'patch', attacker: 'patch author', how: 'a path with .. that leaves the source tree' }, () =>
    refused('patch-escapes', change(5, 'a/../../etc/passwd')),
  );
  attack(
    { area: 'patch', attacker: 'patch author', how: 'a new symbolic link to a file outside of the source tree' },
    () =>
      refused(
        'patch-special-file',
        `${git('fs/l', 'new file mode 120000')}--- /dev/null\n+++ b/fs/l\n@@ -0,0 +1 @@\n+/etc/shadow\n`,
      ),
  );

  test('input that is long takes time in proportion to its length', () => {
    const long = 60_000;
    const inputs = [
      `${'\n-- \n'.repeat(long / 4)}x`,
      `diff --git ${'a '.repeat(long / 2)}`,
      `--- ${' '.repeat(long)}x`,
      `Binary files ${' and '.repeat(long / 5)}x`,
      `File ${' is a '.repeat(long / 6)}x`,
      `--- "${'\\'.repeat(long)}\n+++ x\n@@ -1 +1 @@\n`,
      '+'.repeat(long),
      '- '.repeat(long / 2),
      `1${',1'.repeat(long / 2)}!`,
      ' '.repeat(long),
      change(5) + ' \n'.repeat(long / 2),
      change(5).repeat(400),
    ];
    for (const input of inputs) {
      const start = process.cpuUsage();
      try {
        parseSourcePatch('x.patch', Buffer.from(input));
      } catch (error) {
        assert.match(String((error as { code?: string }).code), /^patch-/);
      }
      const { user } = process.cpuUsage(start);
      assert.ok(user < 1_000_000, `${input.slice(0, 20)} took ${user / 1000} ms`);
    }
  });
});

describe('series files', () => {
  test('CR LF, Latin-1 comments, strip options; series-option for what changes the patch', async () => {
    const place = join(folder, 'series');
    mkdirSync(place);
    writeFileSync(join(place, 'a.patch'), change(5));
    writeFileSync(join(place, 'b.patch.gz'), gzipSync(change(9)));
    assert.deepEqual(
      readSeries([place]).map(({ name }) => name),
      ['a.patch', 'b.patch.gz'],
    );
    const series = join(place, 'series');
    writeFileSync(series, Buffer.from('# caf\xe9\r\na.patch -p1\r\n\r\nb.patch.gz # last\r\n', 'latin1'));
    assert.deepEqual(
      readSeries([series]).map(({ name }) => name),
      ['a.patch', 'b.patch.gz'],
    );
    writeFileSync(series, 'a.patch -p1 -R\n');
    await provokes('series-option', () => readSeries([series]));
  });
});
