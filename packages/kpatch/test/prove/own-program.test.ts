import assert from 'node:assert/strict';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { ownProgram, programFor } from '#kpatch/prove/input/own-program.ts';
import { mill } from '../platform/mill.ts';
import { provokes } from '../provoke.ts';

test('the program in a guest has the packages that its packages need', () => {
  const names = Object.keys(ownProgram()).flatMap(
    (path) => /^\/opt\/kpatch\/node_modules\/((?:@[^/]+\/)?[^/]+)\/package\.json$/.exec(path)?.[1] ?? [],
  );
  // asn1js needs the second one; without it every module signature looked malformed in the guest.
  for (const name of ['asn1js', '@peculiar/utils', 'commander', 'iced-x86']) assert.ok(names.includes(name), name);
});

test('its files name each other by the names that they have in the guest', () => {
  for (const [path, file] of Object.entries(ownProgram())) {
    if (!path.endsWith('.js') || typeof file !== 'string') continue;
    assert.doesNotMatch(file, /'\.{1,2}\/[^'\n]*\.ts'/, path);
  }
});

test('without an executable for the machine of the guest, the error names it and its place', async () => {
  using folder = temporaryFolder('kpatch-own-program-');
  const cache = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = folder.path;
  try {
    const error = await provokes('guest-own-program', () => programFor(mill));
    assert.match(error.fix, /make packages MACHINE=mill64.*programs\/mill64\/kpatch/);
  } finally {
    if (cache === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = cache;
  }
});
