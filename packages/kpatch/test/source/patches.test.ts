/** Source patches: read, put in order, and applied to an overlay of a small tree that the test makes. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { checkName, nameFor } from '#kpatch/module/name.ts';
import { type Adjustment, applyPatch } from '#kpatch/source/apply.ts';
import { cvesOf } from '#kpatch/source/cves.ts';
import { placeInTree, readPatch, type SourcePatch } from '#kpatch/source/patch.ts';
import { readSeries } from '#kpatch/source/series.ts';
import { provokes } from '../provoke.ts';
import { change, lines, parse } from './small-patch.ts';

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-patches-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

describe('reading a patch', () => {
  test('what git and diff write: mails with signatures, new files, removed files, renames, with and without a/ and b/', () => {
    const mail = `From 1234 Mon Sep 17 00:00:00 2001\nSubject: [PATCH] fix\n\nCVE-2024-1234\n---\n fs/a.c | 2 +-\n\n${change(5, 'new')}-- \n2.39.5\n`;
    assert.deepEqual(
      parse(mail).files.map(({ path, kind }) => [path, kind]),
      [['fs/a.c', 'modify']],
    );
    assert.deepEqual(cvesOf(['CVE-2023-0001'], [parse(mail)]), ['CVE-2023-0001', 'CVE-2024-1234']);
    const made = parse('--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1,1 @@\n+int a;\n');
    assert.deepEqual(
      made.files.map(({ path, kind }) => [path, kind]),
      [['fs/new.c', 'create']],
    );
    const gone = parse('--- a/fs/old.c\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-int a;\n');
    assert.deepEqual(
      gone.files.map(({ path, kind }) => [path, kind]),
      [['fs/old.c', 'delete']],
    );
    const plain = parse(
      '--- a/fs/new.c\t1970-01-01 00:00:00.000000000 +0000\n+++ b/fs/new.c\t2026-01-01 10:00:00.000000000 +0000\n@@ -0,0 +1,1 @@\n+int a;\n' +
        '--- a/fs/old.c\t2026-01-01 10:00:00.000000000 +0000\n+++ b/fs/old.c\t1970-01-01 01:00:00.000000000 +0100\n@@ -1,1 +0,0 @@\n-int a;\n' +
        '--- a/fs/emptied.c\t2026-01-01 10:00:00.000000000 +0000\n+++ b/fs/emptied.c\t2026-01-01 10:00:00.000000000 +0000\n@@ -1,1 +0,0 @@\n-int a;\n',
    );
    assert.deepEqual(
      plain.files.map(({ path, kind }) => [path, kind]),
      [
        ['fs/new.c', 'create'],
        ['fs/old.c', 'delete'],
        ['fs/emptied.c', 'modify'],
      ],
    );
    const bare = parse(change(5, 'new').replace('a/fs', 'fs').replace('b/fs', 'fs'));
    assert.equal(bare.strip, 0);
    assert.equal(bare.files[0]?.path, 'fs/a.c');
    const named = parse(change(5, 'new').replace('a/fs', 'linux-6.1.orig/fs').replace('b/fs', 'linux-6.1/fs'));
    assert.equal(named.files[0]?.path, 'fs/a.c');
  });

  test('patch-empty, patch-not-a-patch, patch-malformed, patch-name-too-long, patch-binary, patch-escapes', async () => {
    await provokes('patch-empty', () => parse(' \n\n'));
    await provokes('patch-not-a-patch', () => parse('just words\n'));
    await provokes('patch-not-a-patch', () => parse(`${change(5, 'new')}\0`));
    await provokes('patch-malformed', () => parse(change(5, 'new').replace('+new\n', '')));
    await provokes('patch-name-too-long', () => parse(change(5, `int ${'a'.repeat(512)};`)));
    await provokes('patch-name-too-long', () => parse(change(5, 'a'.repeat(1_000_000))));
    assert.equal(
      parse(change(5, `int ${'a'.repeat(511)}; /* ${'-'.repeat(9000)} ${'0'.repeat(600)} */`)).files.length,
      1,
    );
    await provokes('patch-binary', () => parse('Binary files a/x.bin and b/x.bin differ\n'));
    await provokes('patch-binary', () => parse('diff --git a/x.bin b/x.bin\nGIT binary patch\nliteral 1\n'));
    const place = (text: string): unknown => placeInTree([parse(text)], folder);
    await provokes('patch-escapes', () => place(change(5, 'new', '../../etc/passwd')));
    await provokes('patch-escapes', () => place(change(5, 'new', 'fs/../../x.c')));
    await provokes('file-unreadable', () => readPatch(join(folder, 'none.patch')));
  });

  test('any damage of a patch is an error of the catalogue, never a crash', () => {
    const text = change(5, 'new') + change(9, 'newer', 'fs/b.c');
    for (let at = 0; at < text.length; at++) {
      for (const damaged of [text.slice(0, at), `${text.slice(0, at)}@${text.slice(at + 1)}`, text.slice(at)]) {
        try {
          parse(damaged);
        } catch (error) {
          assert.match(String((error as { code?: string }).code), /^patch-/, `${at}: ${error}`);
        }
      }
    }
  });
});

describe('a series', () => {
  test('files as given; a folder by its series file, or by names; comments and options of quilt', () => {
    const place = join(folder, 'series-folder');
    mkdirSync(join(place, 'sub'), { recursive: true });
    for (const name of ['b.patch', 'a.diff', 'sub/c.patch']) writeFileSync(join(place, name), change(5, name));
    writeFileSync(join(place, 'notes.txt'), 'no patch');
    const names = (given: readonly string[]): string[] => readSeries(given).map(({ name }) => name);
    assert.deepEqual(names([place]), ['a.diff', 'b.patch']);
    assert.deepEqual(names([join(place, 'b.patch'), join(place, 'a.diff')]), ['b.patch', 'a.diff']);
    writeFileSync(join(place, 'series'), '# the order\nsub/c.patch -p1\n\nb.patch # last\n');
    assert.deepEqual(names([place]), ['c.patch', 'b.patch']);
    assert.deepEqual(names([join(place, 'series')]), ['c.patch', 'b.patch']);
  });

  test('series-empty: a folder without patches, a series without lines', async () => {
    const place = join(folder, 'empty');
    mkdirSync(place);
    await provokes('series-empty', () => readSeries([place]));
    writeFileSync(join(place, 'series'), '# nothing yet\n');
    await provokes('series-empty', () => readSeries([place]));
  });
});

describe('applying', () => {
  let count = 0;
  /** A fresh tree with `fs/a.c` and an overlay of it. */
  function overlay(): SourceOverlay {
    const place = join(folder, `apply-${count++}`);
    mkdirSync(join(place, 'tree/fs'), { recursive: true });
    mkdirSync(join(place, 'overlay'));
    writeFileSync(join(place, 'tree/fs/a.c'), lines(1, 30));
    return new SourceOverlay(join(place, 'tree'), join(place, 'overlay'));
  }
  const apply = (text: string, on = overlay(), earlier: SourcePatch[] = []): Promise<Adjustment[]> => {
    const patch = placeInTree([parse(text)], on.tree)[0]!;
    return applyPatch(on, patch, '6.1.0-9-amd64', [...earlier, patch]);
  };

  test('the overlay changes and the tree does not', async () => {
    const on = overlay();
    assert.deepEqual(await apply(change(5, 'new'), on), []);
    assert.match(readFileSync(join(on.root, 'fs/a.c'), 'utf8'), /^new$/m);
    assert.equal(readFileSync(join(on.tree, 'fs/a.c'), 'utf8'), lines(1, 30));
    await apply('--- /dev/null\n+++ b/fs/deep/new.c\n@@ -0,0 +1,1 @@\n+int a;\n', on);
    assert.equal(readFileSync(join(on.root, 'fs/deep/new.c'), 'utf8'), 'int a;\n');
    assert.ok(!existsSync(join(on.tree, 'fs/deep')));
  });

  test('a hunk that moved is taken silently, one that fits only roughly is told with the lines', async () => {
    const moved = change(5, 'new').replace('@@ -4,3 +4,3 @@', '@@ -7,3 +7,3 @@');
    assert.deepEqual(await apply(moved), []);
    const rough = `--- a/fs/a.c\n+++ b/fs/a.c\n@@ -3,5 +3,5 @@\n other\n line 4\n-line 5\n+new\n line 6\n line 7\n`;
    const [adjustment] = await apply(rough);
    assert.equal(adjustment?.fuzz, 1);
    assert.match(adjustment?.lines ?? '', /5 {2}new/);
  });

  test('patch-does-not-apply: what it expects and what is there, and which earlier patch touched the file', async () => {
    const on = overlay();
    const first = parse(change(5, 'taken'), 'first.patch');
    await applyPatch(on, first, '6.1.0-9-amd64');
    const error = await provokes('patch-does-not-apply', () => apply(change(5, 'differently'), on, [first]));
    assert.match(
      error.detail ?? '',
      /the patch expects:[\s\S]*5 {2}line 5[\s\S]*the file has:[\s\S]*5 {2}taken[\s\S]*first\.patch/,
    );
  });

  test('patch-already-applied, series-patch-applied, patch-file-missing, patch-file-exists', async () => {
    const on = overlay();
    await apply(change(5, 'new'), on);
    const again = await provokes('patch-already-applied', () => apply(change(5, 'new'), on));
    assert.equal(again.exit, 3);
    const twice = await provokes('series-patch-applied', () =>
      apply(change(5, 'new'), on, [parse(change(5, 'new'), 'one.patch')]),
    );
    assert.equal(twice.exit, 1);
    assert.match(twice.detail ?? '', /changed before it by: one\.patch/);
    await provokes('patch-file-missing', () => apply(change(5, 'new', 'fs/none.c')));
    await provokes('patch-file-exists', () => apply('--- /dev/null\n+++ b/fs/a.c\n@@ -0,0 +1,1 @@\n+int a;\n'));
    await provokes('patch-already-applied', () => {
      const text = lines(1, 30).replace(/^/gm, '+').slice(0, -1);
      return apply(`--- /dev/null\n+++ b/fs/a.c\n@@ -0,0 +1,30 @@\n${text}`);
    });
  });
});

describe('names of modules', () => {
  test('from the patch, or as given', async () => {
    for (const file of ['0001-fix-it.patch', '0001-fix-it.diff.gz', '0001-fix-it.mbox', '0001-fix-it'])
      assert.equal(nameFor(file), 'livepatch_0001_fix_it');
    assert.equal(nameFor(`${'x'.repeat(80)}.patch`).length, 55);
    assert.equal(checkName('a_b1'), 'a_b1');
    for (const name of ['', '1a', 'a-b', 'a b', 'x'.repeat(56), 'ä'])
      await provokes('name-invalid', () => checkName(name));
  });
});
