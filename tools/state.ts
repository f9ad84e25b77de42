/**
 * Holds that the state of the process is in packages/kpatch/base only: no other room has a variable of its own that changes,
 * or reads the environment, except what is listed here with the reason. What is loaded or found out once goes through
 * `base/once.ts`. Prints each line that does not keep to this.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..', 'packages', 'kpatch');

/** Lines that may stay, by file: what they contain, and why. A WeakMap needs no entry: it is a property of its keys. */
const allowed: readonly (readonly [file: string, text: RegExp, reason: string])[] = [
  ['documents/form.ts', /^const patterns/, 'compiled patterns'],
  ['formats/elf/file.ts', /^let parsed/, 'a count for measurements'],
  ['module/tables.ts', /^let next/, 'numbers that tell sections apart'],
  ['platform/common/objdump.ts', /^const useless/, 'what this machine turned out to lack'],
  ['sandbox/sandbox.ts', /^let modern/, 'what this machine turned out to have'],
  ['sandbox/scope.ts', /^let usable/, 'what this machine turned out to have'],
  ['source/reach/pasting.ts', /^const known/, 'results of a function of its argument'],
  ['vm/qemu/budget.ts', /^let counter/, 'numbers that tell guests apart'],
  ['vm/files/initramfs.ts', /^let found/, 'a program that is looked for once'],
  ['vm/files/modules.ts', /^const algorithms/, 'names that a kernel has, read once'],
  ['vm/qemu/qemu.ts', /^const builds/, 'the version of a program, asked once'],
  ['compat/*', /process\.env\)/, 'the environment is the interface of these programs'],
  ['kbuild/kbuild.ts', /process\.env/, 'what make must not inherit'],
  ['sandbox/sandbox.ts', /process\.env/, 'what a sandbox must not inherit'],
  ['vm/qemu/qemu.ts', /process\.env/, 'what QEMU inherits without a sandbox'],
  ['vm/agent/shell.ts', /process\.env/, 'the terminal of the user'],
  ['vm/qemu/acceleration.ts', /process\.env/, 'a setting for tests'],
  ['host/*', /process\.env(?:,|\)|\.PATH)/, 'a default of a parameter; folders that root needs besides'],
  ['module/make/sign.ts', /process\.env\[PASSPHRASE\]/, 'a passphrase, as the kernel build takes it'],
  ['cli/channel/channel-publish.ts', /process\.env\.KPATCH_CHANNEL_KEYS/, 'an option that can be given so'],
];

const state = /^(?:export )?let |^(?:export )?const \w+(?:: [^=]+)? = new (?:Map|Set)\b(?:<.*>)?\(\);/;
const used = new Set<number>();

function isAllowed(file: string, line: string): boolean {
  const index = allowed.findIndex(
    ([name, pattern]) =>
      (name.endsWith('*') ? file.startsWith(name.slice(0, -1)) : file === name) && pattern.test(line),
  );
  used.add(index);
  return index >= 0;
}

const files = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.ts$/.test(name) && !/^(?:test|base)\/|node_modules\//.test(name))
  .sort();
for (const file of files) {
  for (const [index, line] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
    const comment = /^\s*(?:\*|\/\/|\/\*)/.test(line);
    if (comment || (!state.test(line) && !line.includes('process.env')) || isAllowed(file, line)) continue;
    console.error(`packages/kpatch/${file}:${index + 1}: state of the process outside of base/: ${line.trim()}`);
    process.exitCode = 1;
  }
}
for (const [index, [file, pattern]] of allowed.entries()) {
  if (used.has(index)) continue;
  console.error(`tools/state.ts: nothing in ${file} matches ${pattern} any more; take it off the list`);
  process.exitCode = 1;
}
