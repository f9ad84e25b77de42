/** Patch files that are refused, each by its name, and attacks by them. */
import assert from 'node:assert/strict';
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import type { KpatchError } from '#kpatch/base/errors/error.ts';
import { parseSourcePatch } from '#kpatch/source/patch.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';
import { apply, change, git, hunk, mail, overlay } from './patched-tree.ts';

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
