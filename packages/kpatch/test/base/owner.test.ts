/** Root does not work in the folder of a service's account. */
import assert from 'node:assert/strict';
import { chownSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { requireOwnFolder } from '#kpatch/base/process/owner.ts';
import { readConfig as readFactory } from '../../../factory/config.ts';
import { readConfig as readFleet } from '../../../fleet/config.ts';
import { provokes } from '../provoke.ts';

test('a folder of another account is refused to root, by its name, and to nobody else', async () => {
  using folder = temporaryFolder('kpatch-owner-');
  requireOwnFolder(join(folder.path, 'none'), 0);
  requireOwnFolder(folder.path);
  const isRoot = process.geteuid!() === 0;
  // Every Debian and Fedora has this account.
  if (isRoot) chownSync(folder.path, 65_534, 65_534);
  const { message, fix } = await provokes('folder-owner', () => requireOwnFolder(folder.path, 0));
  if (!isRoot) return;
  assert.match(message, / belongs to nobody, and you are root$/);
  assert.match(fix, /runuser -u nobody -- /);
  requireOwnFolder(folder.path, 65_534);
  for (const read of [readFleet, readFactory]) await provokes('folder-owner', () => read(folder.path));
});
