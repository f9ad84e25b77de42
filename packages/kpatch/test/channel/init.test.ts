/** `kpatch channel init` on a folder that is a channel already. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import type { ErrorCode } from '#kpatch/base/errors/catalogue.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { layout } from '#kpatch/channel/repository/config.ts';

test('a folder that is a channel already is not created again', () => {
  using folder = temporaryFolder('kpatch-test-');
  const { config } = layout(folder.path);
  mkdirSync(dirname(config), { recursive: true });
  writeFileSync(config, 'kept');
  const program = join(import.meta.dirname, '../../../../bin/kpatch');
  const options = ['--name', 'x', '--url', 'http://localhost/', '--key', 'nobody', '--json'];
  const { status, stdout } = spawnSync(program, ['channel', 'init', folder.path, ...options], { encoding: 'utf8' });
  const { error } = JSON.parse(stdout) as { error: { code: ErrorCode; fix: string } };
  const expected: ErrorCode = 'channel-exists';
  assert.equal(error.code, expected);
  assert.notEqual(error.fix, '');
  assert.equal(status, 3);
  assert.equal(readFileSync(config, 'utf8'), 'kept');
});
