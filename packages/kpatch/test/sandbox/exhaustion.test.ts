/**
 * Sources that use up the machine: each is compiled in the sandbox with limits narrower than those of a build, so that the
 * test is short. It must end by itself or by a limit, leave no large object, and leave no process.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import type { RunResult } from '#kpatch/base/run.ts';
import { sandboxed } from '#kpatch/sandbox/sandbox.ts';
import { shareFolder } from '#kpatch/sandbox/user.ts';
import { attack } from '../attack.ts';

const MIB = 1 << 20;
/** Where root starts kpatch, the sandbox has a user of its own; elsewhere the user's other processes count too. */
const processes = process.getuid?.() === 0 ? 64 : 4000;
const limits = { fileBytes: 8 * MIB, addressBytes: 256 * MIB, cpuSeconds: 1, processes };

interface Ended {
  /** Undefined if the time was up. */
  readonly result: RunResult | undefined;
  /** Bytes of all files that it left. */
  readonly left: number;
}

/** Runs a command in a folder with these files. */
async function runIn(
  files: Readonly<Record<string, string>>,
  command: string,
  args: readonly string[],
  timeoutMs = 120_000,
): Promise<Ended> {
  using folder = temporaryFolder('kpatch-test-');
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder.path, name), text);
  shareFolder(folder.path);
  const mark = `KPATCH_MARK_${randomBytes(8).toString('hex')}`;
  const options = {
    view: { writable: [folder.path] },
    cwd: folder.path,
    env: { [mark]: '1', TMPDIR: folder.path },
    limits,
    tmpBytes: 64 * MIB,
    timeoutMs,
  };
  const result = await sandboxed(command, args, options).catch((error: unknown) => {
    if (error instanceof KpatchError && error.code === 'timed-out') return undefined;
    throw error;
  });
  assert.deepEqual(processesWith(mark), [], 'nothing of it runs on');
  const left = readdirSync(folder.path).reduce((sum, name) => sum + statSync(join(folder.path, name)).size, 0);
  return { result, left };
}

/** Processes that have a variable in their environment. */
function processesWith(variable: string): string[] {
  return readdirSync('/proc').filter((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, 'latin1').includes(variable);
    } catch {
      return false; // it has ended, or is another user's
    }
  });
}

/** Compiles a source that must not compile; gives what the compiler, the assembler or the kernel said. */
async function refused(source: string): Promise<string> {
  const { result, left } = await runIn({ 'a.c': source }, 'gcc', ['-c', '-o', 'a.o', 'a.c']);
  assert.ok(result !== undefined, 'it did not end by itself');
  assert.notEqual(result.status, 0, 'it was compiled');
  assert.ok(left < 16 * MIB, `${left} bytes`);
  const lines = result.stderr
    .split('\n')
    .filter((line) => /error|[Ff]atal|limit|exhausted|[Kk]illed|signal|memory/.test(line));
  return `the limits of the sandbox: ${(lines[0] ?? result.stderr).trim().slice(0, 150)}`;
}

const assembly = (...lines: string[]): string =>
  `__asm__(${lines.map((line) => JSON.stringify(`${line}\n`)).join(' ')});\n`;
const author = (how: string) => ({ area: 'sandbox', attacker: 'patch author', how }) as const;

test('an ordinary source compiles within these limits', async () => {
  const { result } = await runIn({ 'a.c': 'int f(int x) { return x + 1; }\n' }, 'gcc', ['-c', '-o', 'a.o', 'a.c']);
  assert.equal(result?.status, 0, result?.stderr ?? '');
});

attack(author('assembly that repeats two thousand million times (.rept)'), () =>
  refused(assembly('.rept 0x7fffffff', '.quad 1', '.endr')),
);

attack(author('an assembly macro that calls itself twice'), () =>
  refused(assembly('.macro again', '.byte 1', 'again', 'again', '.endm', 'again')),
);

attack(author('assembly that moves beyond the largest file (.org)'), async () => {
  await refused(assembly('.section .text', '.org 0x7fffffffffffffff'));
  return await refused(assembly('.section .text', '.org 0x100000000, 1'));
});

attack(author('a file that includes itself twice'), () => refused('#include "a.c"\n#include "a.c"\n'));

attack(author('a file that assembly includes, which includes itself'), async () => {
  const files = { 'a.S': '.include "b.inc"\n', 'b.inc': '.include "b.inc"\n.include "b.inc"\n' };
  const { result, left } = await runIn(files, 'gcc', ['-c', '-o', 'a.o', 'a.S']);
  assert.ok(result !== undefined && result.status !== 0);
  assert.ok(left < 16 * MIB);
  return `the assembler or the limits of the sandbox: ${result.stderr.trim().slice(0, 150)}`;
});

attack(author('.incbin of /dev/zero, which never ends'), async () => {
  const source = assembly('.section .rodata', '.incbin "/dev/zero"');
  const { result, left } = await runIn({ 'a.c': source }, 'gcc', ['-c', '-o', 'a.o', 'a.c']);
  assert.ok(result !== undefined, 'it did not end by itself');
  assert.ok(left < 16 * MIB, `${left} bytes`);
  return result.status === 0 ? 'the assembler takes nothing of a device' : `${result.stderr.split('\n').at(-2)}`;
});

attack(author('#include of /dev/random and /dev/zero, which never end'), async () => {
  await refused('#include "/dev/zero"\n');
  return await refused('#include "/dev/random"\n');
});

attack(author('a static array of a tebibyte'), () => refused('char large[1UL << 40] = { 1 };\n'));

attack(author('macros that grow without bound when they are expanded'), () => {
  const lines = ['#define M0 x+x+x+x+x+x+x+x+x+x'];
  for (let n = 1; n < 12; n++)
    lines.push(
      `#define M${n} ${Array(10)
        .fill(`M${n - 1}`)
        .join('+')}`,
    );
  return refused([...lines, 'int f(int x) { return M11; }', ''].join('\n'));
});

attack(author('a fork bomb in a Makefile'), async () => {
  const bomb = 'all:\n\t@b() { b | b & }; b; sleep 60\n';
  const { result } = await runIn({ Makefile: bomb }, 'make', [], 1500);
  if (result !== undefined) assert.notEqual(result.status, 0);
  return 'the limit of processes; when the time is up, the kernel kills all of them';
});

attack(author('a Makefile that calls itself for ever'), async () => {
  const again = 'all:\n\t@$(MAKE) -s all\n';
  const { result } = await runIn({ Makefile: again }, 'make', ['-s'], 1500);
  if (result !== undefined) assert.notEqual(result.status, 0);
  return 'the limit of processes; when the time is up, the kernel kills all of them';
});
