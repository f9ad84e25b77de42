/** `kpatch channel check` on a TUF repository: which root it is verified with. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { tufProblems } from '#kpatch/channel/repository/tuf/check.ts';
import { attack } from '../attack.ts';
import { gnupgHome, makeKey } from './keys.ts';
import { TufChannel } from './tuf-channel.ts';

const program = join(import.meta.dirname, '../../../../bin/kpatch');

attack(
  {
    area: 'tuf',
    attacker: 'mirror',
    how: 'the repository of a thief with a root of its own, before kpatch channel check',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    gnupgHome();
    const [owner, thief] = [
      await TufChannel.make(join(folder.path, 'owner')),
      await TufChannel.make(join(folder.path, 'thief')),
    ];
    for (const channel of [owner, thief]) {
      channel.add({ version: 1 });
      await channel.publish();
    }
    assert.deepEqual((await tufProblems(thief.tree)).problems, [], 'by its own root it is in order');
    const { problems } = await tufProblems(thief.tree, readFileSync(owner.rootFile));
    assert.equal(problems.length, 1);
    const key = join(folder.path, 'key.asc');
    const armored = spawnSync('gpg', ['--armor', '--export', makeKey('check <check@example.org>')]).stdout;
    writeFileSync(key, armored);
    const check = (...more: string[]): string =>
      spawnSync(program, ['channel', 'check', thief.tree, '--key', key, ...more], { encoding: 'utf8' }).stdout;
    assert.match(check('--tuf-root', owner.rootFile), /^problem: .*signatures by keys that count/m);
    assert.match(check(), /verified with its own first root only: give --tuf-root FILE/);
    return problems[0]!;
  },
);
