/** A small tree that patches are applied to, and diffs of its files. */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { applyPatch } from '#kpatch/source/apply.ts';
import { parseSourcePatch, placeInTree } from '#kpatch/source/patch.ts';

/** The folder of the test file that uses this. */
export let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-formats-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

export const numbered = (from: number, to: number): string =>
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
export function overlay(): SourceOverlay {
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

export async function apply(patch: string | Uint8Array, on = overlay()): Promise<Applied> {
  const bytes = typeof patch === 'string' ? Buffer.from(patch, 'latin1') : patch;
  const [placed] = placeInTree([parseSourcePatch('fix.patch', bytes)], on.tree);
  assert.deepEqual(await applyPatch(on, placed!, '6.1.0-9-amd64'), []);
  const text = (file: string): string | undefined =>
    existsSync(join(on.root, file)) ? readFileSync(join(on.root, file), 'latin1') : undefined;
  return { strip: placed!.strip, root: on.root, text };
}

export const hunk = (at: number, to = 'new'): string =>
  `@@ -${at - 1},3 +${at - 1},3 @@\n line ${at - 1}\n-line ${at}\n+${to}\n line ${at + 1}\n`;
export const change = (at: number, from = 'a/fs/a.c', to = from.replace(/^a\//, 'b/')): string =>
  `--- ${from}\n+++ ${to}\n${hunk(at)}`;
export const changed = (...at: number[]): string =>
  at.reduce((text, line) => text.replace(`line ${line}\n`, 'new\n'), numbered(1, 30));
export const mail = (subject: string): string =>
  `From 24fcffb9889a5bea7181d2e013928557b66944e9 Mon Sep 17 00:00:00 2001\nFrom: T <t@example.org>\nSubject: [PATCH] ${subject}\n\nWhy\n---\n fs/a.c | 2 +-\n 1 file changed\n\n`;
export const git = (file: string, ...header: string[]): string =>
  [`diff --git a/${file} b/${file}`, ...header].map((line) => `${line}\n`).join('');
