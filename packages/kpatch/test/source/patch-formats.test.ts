/** Patch files as git, cgit, mail programs, quilt and diff write them: what they do to a small tree. */
import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { readSeries } from '#kpatch/source/series.ts';
import { provokes } from '../provoke.ts';
import { apply, change, changed, folder, git, hunk, mail, numbered, overlay } from './patched-tree.ts';

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
