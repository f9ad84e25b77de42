import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { runOk } from '#kpatch/base/run.ts';
import { cpio } from '#kpatch/formats/cpio.ts';
import { provokes } from '../provoke.ts';

test('cpio(1) unpacks what was written: folders, modes, links, contents of any length', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'kpatch-test-'));
  try {
    const archive = cpio([
      { path: '/a/b/one', content: Buffer.from('1') },
      { path: 'a/script', content: Buffer.from('12345'), mode: 0o755 },
      { path: 'empty', content: Buffer.alloc(0) },
      { path: 'a/link', link: 'b/one' },
      { path: 'd', folder: true, mode: 0o700 },
      { path: 'with blank/ä', content: Buffer.from('x') },
    ]);
    assert.equal(archive.length % 4, 0);
    await runOk('cpio', ['-i', '--quiet'], { cwd: folder, input: archive });
    const { stdout } = await runOk('find', ['.', '-mindepth', '1', '-printf', '%p %m %y %s %l\\n'], { cwd: folder });
    const listed = stdout
      .toString()
      .trim()
      .split('\n')
      .map((line) => line.trim());
    const wanted = ['./a 755 d', './a/b 755 d', './a/b/one 644 f 1', './a/link 777 l 5 b/one', './a/script 755 f 5'];
    for (const start of [...wanted, './d 700 d', './empty 644 f 0', './with blank/ä 644 f 1']) {
      assert.ok(
        listed.some((line) => line.startsWith(start)),
        `${start} not in\n${listed.join('\n')}`,
      );
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a path that a guest could not have is refused', async () => {
  for (const path of ['', '/', '../x', 'a//b', 'a/./b', `a\0b`, 'x'.repeat(5000)]) {
    await provokes('guest-file', () => cpio([{ path, content: Buffer.alloc(0) }]));
  }
  const file = { content: Buffer.alloc(0) };
  await provokes('guest-file', () =>
    cpio([
      { path: 'a', ...file },
      { path: 'a/b', ...file },
    ]),
  );
  await provokes('guest-file', () =>
    cpio([
      { path: 'a', ...file },
      { path: '/a', ...file },
    ]),
  );
});
