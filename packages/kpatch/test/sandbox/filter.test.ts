/** The filter of system calls: a program that runs in the sandbox tries them, with harmless arguments. */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { filterProgram } from '#kpatch/sandbox/filter.ts';
import { sandboxedOk } from '#kpatch/sandbox/sandbox.ts';
import { deniedNames, systemCallsOf } from '#kpatch/sandbox/system-calls.ts';
import { attack } from '../attack.ts';

/** Prints `NAME ERRNO` for each attempt. Arguments are 0 or -1, so that nothing happens where a call is allowed. */
const source = `
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#define TRY(name, ...) do { errno = 0; long r = syscall(__VA_ARGS__); printf("%s %d\\n", name, r < 0 ? errno : 0); } while (0)
int main(void) {
  char buffer[512];
  memset(buffer, 0, sizeof buffer);
#define ALL(name) TRY(#name, SYS_##name, -1L, 0L, 0L, 0L, 0L, 0L);
  CALLS
  TRY("harmless-unshare", SYS_unshare, 0L);
  TRY("harmless-adjtimex", SYS_adjtimex, buffer);
  TRY("clone3", SYS_clone3, 0L, 0L);
  errno = 0;
  long child = syscall(SYS_clone, 0x10000000L | SIGCHLD, 0L, 0L, 0L, 0L);
  if (child == 0) _exit(0);
  if (child > 0) waitpid(child, NULL, 0);
  printf("clone-newuser %d\\n", child < 0 ? errno : 0);
  TRY("inet", SYS_socket, AF_INET, SOCK_STREAM, 0L);
  TRY("netlink", SYS_socket, 16L, 3L, 0L);
  TRY("alg", SYS_socket, 38L, 5L, 0L);
  TRY("unix", SYS_socket, AF_UNIX, SOCK_STREAM, 0L);
  // The last one: from now on any signal, also that of a child, stops this program until its parent lets it go on.
  TRY("harmless-ptrace", SYS_ptrace, PTRACE_TRACEME, 0L, 0L, 0L);
  return 0;
}
`;

/** What the program prints, run by `how`, as a map from name to errno. */
async function attempts(how: (program: string) => Promise<Buffer>): Promise<ReadonlyMap<string, number>> {
  using folder = temporaryFolder('kpatch-filter-test-');
  chmodSync(folder.path, 0o755);
  const program = join(folder.path, 'try');
  // A few are not defined on every machine.
  const calls = deniedNames().map((name) => `\n#ifdef SYS_${name}\nALL(${name})\n#endif\n`);
  const text = source.replace('  CALLS\n', calls.join(''));
  writeFileSync(`${program}.c`, text);
  await runOk('gcc', ['-w', '-o', program, `${program}.c`]);
  const lines = (await how(program)).toString().trim().split('\n');
  return new Map(lines.map((line) => [line.split(' ')[0]!, Number(line.split(' ')[1])]));
}

const EPERM = 1;
const ENOSYS = 38;
const EAFNOSUPPORT = 97;

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a compiler that was taken over tries keyctl, bpf, perf_event_open, io_uring, userfaultfd, mount, ptrace and 50 more system calls',
  },
  async () => {
    const found = await attempts(async (program) => {
      return (await sandboxedOk(program, [], { view: { readOnly: [program] } })).stdout;
    });
    const tried = deniedNames().filter((name) => found.has(name));
    assert.ok(tried.length >= 50, `${tried.length} were tried`);
    for (const name of [...tried, 'harmless-unshare', 'harmless-ptrace', 'harmless-adjtimex', 'clone-newuser'])
      assert.equal(found.get(name), EPERM, name);
    assert.equal(found.get('clone3'), ENOSYS);
    for (const family of ['inet', 'netlink', 'alg']) assert.equal(found.get(family), EAFNOSUPPORT, family);
    assert.equal(found.get('unix'), 0);
    return `the filter of system calls: ${tried.length} of ${tried.length} refused`;
  },
);

test('the same program may do harmless ones outside, so it is the filter that refuses them', async () => {
  const found = await attempts(async (program) => (await run(program, [])).stdout);
  for (const name of ['harmless-unshare', 'harmless-ptrace', 'harmless-adjtimex', 'inet'])
    assert.equal(found.get(name), 0, name);
});

test('every machine with a filter has numbers for all that exist there, in its own byte order', () => {
  for (const [machine, little] of [
    [62, true],
    [183, true],
    [258, true],
    [21, true],
    [22, false],
  ] as const) {
    const { denied, clone, socket } = systemCallsOf(machine)!;
    assert.ok(denied.length >= 53 && denied.length <= deniedNames().length, String(machine));
    assert.equal(new Set([...denied, clone, socket]).size, denied.length + 2);
    const program = Buffer.from(filterProgram(machine, little)!);
    assert.equal(little ? program.readUInt16LE(0) : program.readUInt16BE(0), 0x20);
    const audit = little ? program.readUInt32LE(12) : program.readUInt32BE(12);
    assert.equal(audit & 0xffff, machine);
    assert.equal(audit >>> 30, little ? 3 : 2);
  }
  assert.equal(filterProgram(9999, true), undefined);
});
