/** Emulators of other machines that are missing or that hang, shown with a machine that does not exist. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { after, before, test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { useSandbox } from '#kpatch/base/workspace.ts';
import { platforms, registerPlatform } from '#kpatch/platform/registry.ts';
import { checkCompiler } from '#kpatch/toolchain/compiler.ts';
import { boot } from '#kpatch/vm/boot.ts';
import { qemuBuild } from '#kpatch/vm/qemu/qemu.ts';
import { mill } from '../platform/mill.ts';
import { provokes } from '../provoke.ts';

const folder = temporaryFolder('kpatch-emulators-');
const registered = registerPlatform(mill);
const before_ = { path: process.env.PATH, cache: process.env.XDG_CACHE_HOME };
const image = join(folder.path, 'image');

before(() => {
  process.env.XDG_CACHE_HOME = join(folder.path, 'cache');
  const programs = join(folder.path, 'cache/kpatch/programs', mill.naming.uname);
  mkdirSync(programs, { recursive: true });
  writeFileSync(join(programs, 'busybox'), '[\0[[\0cat\0sh\0\0');
  writeFileSync(image, `MILLBOOT${'\0'.repeat(64)}`);
  useSandbox(false);
});
after(() => {
  useSandbox(true);
  process.env.PATH = before_.path;
  if (before_.cache === undefined) delete process.env.XDG_CACHE_HOME;
  else process.env.XDG_CACHE_HOME = before_.cache;
  registered[Symbol.dispose]();
  folder.dispose();
});

test('a missing emulator is named with the package that has it', async () => {
  const error = await provokes('tool-missing', () => boot({ image, acceleration: 'tcg' }));
  assert.match(`${error.message} ${error.fix}`, /qemu-system-mill.*apt-get install qemu-system-mill/);
  for (const { emulator } of platforms()) {
    const absent = { ...emulator, program: `${emulator.program}-absent` };
    const missing = await provokes('tool-missing', () => qemuBuild(absent));
    assert.match(missing.fix, new RegExp(`apt-get install ${emulator.package}`));
  }
});

test('an emulator that hangs is ended at the deadline', async () => {
  const program = join(folder.path, mill.emulator.program);
  writeFileSync(
    program,
    '#!/bin/sh\ncase $1 in --version) echo "QEMU emulator version 7.2.0";; *) exec sleep 1000;; esac\n',
  );
  chmodSync(program, 0o755);
  process.env.PATH = `${folder.path}${delimiter}${before_.path}`;
  const error = await provokes('guest-silent', () => boot({ image, acceleration: 'tcg', bootDeadlineMs: 300 }));
  assert.match(error.message, /printed nothing/);
});

test('a missing cross compiler is named with the package that has it', async () => {
  const compiler = { command: 'aarch64-linux-gnu-gcc-99', builtBy: '', makeArguments: [] };
  const kernel = { compiler } as unknown as Parameters<typeof checkCompiler>[0];
  const error = await provokes('tool-missing', () => checkCompiler(kernel));
  assert.match(`${error.message} ${error.fix}`, /aarch64-linux-gnu-gcc-99.*apt-get install gcc-99-aarch64-linux-gnu/);
});
