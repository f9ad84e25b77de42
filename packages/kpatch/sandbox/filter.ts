/**
 * A filter of system calls (seccomp(2)) for programs in the sandbox: what compilers never call and exploits of kernels often
 * do is refused. It is a program for the kernel's BPF machine (linux/filter.h), an array of 8-byte instructions in the byte order of this machine.
 */
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { endianness } from 'node:os';
import { join } from 'node:path';
import { temporaryFolder } from '../base/files.ts';
import { once } from '../base/once.ts';
import { type SystemCalls, systemCallsOf } from './system-calls.ts';

/** BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JEQ | BPF_K, … (linux/bpf_common.h). */
const code = { load: 0x20, equal: 0x15, atLeast: 0x35, anyBit: 0x45, return: 0x06 } as const;

/** struct seccomp_data (linux/seccomp.h): offsets in bytes. */
const field = { number: 0, machine: 4, arguments: 16 } as const;

/** SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with EPERM, ENOSYS, EAFNOSUPPORT. */
const verdict = { allow: 0x7fff0000, refuse: 0x00050001, unknown: 0x00050026, family: 0x00050061 } as const;

/** CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET (linux/sched.h). */
const newNamespaces = 0x7e020080;
const AF_UNIX = 1;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** The instructions for the machine with this AUDIT_ARCH; `low` is the offset of the lower half of an argument. */
function instructions(calls: SystemCalls, audit: number, low: number): Instruction[] {
  const { denied, clone, clone3, socket, cloneFlags, foreign } = calls;
  const argument = (index: number): Instruction => [code.load, 0, 0, field.arguments + 8 * index + low];
  return [
    // Calls of another ABI of the same processor have other numbers.
    [code.load, 0, 0, field.machine],
    [code.equal, 1, 0, audit],
    [code.return, 0, 0, verdict.unknown],
    [code.load, 0, 0, field.number],
    ...(foreign === undefined
      ? []
      : ([
          [code.atLeast, 0, 1, foreign],
          [code.return, 0, 0, verdict.unknown],
        ] as const)),
    ...denied.flatMap((number): Instruction[] => [
      [code.equal, 0, 1, number],
      [code.return, 0, 0, verdict.refuse],
    ]),
    // Its flags are in memory, where a filter cannot look: C libraries then use clone.
    [code.equal, 0, 1, clone3],
    [code.return, 0, 0, verdict.unknown],
    [code.equal, 0, 4, clone],
    argument(cloneFlags),
    [code.anyBit, 0, 1, newNamespaces],
    [code.return, 0, 0, verdict.refuse],
    [code.return, 0, 0, verdict.allow],
    [code.equal, 0, 3, socket],
    argument(0),
    [code.equal, 1, 0, AF_UNIX],
    [code.return, 0, 0, verdict.family],
    [code.return, 0, 0, verdict.allow],
  ];
}

/** The program for a machine by `e_machine`; undefined if it is not known. */
export function filterProgram(machine: number, little: boolean): Uint8Array | undefined {
  const calls = systemCallsOf(machine);
  if (calls === undefined) return undefined;
  // AUDIT_ARCH_64BIT and AUDIT_ARCH_LE (linux/audit.h).
  const audit = (0x80000000 | (little ? 0x40000000 : 0) | machine) >>> 0;
  const program = instructions(calls, audit, little ? 0 : 4);
  const bytes = Buffer.alloc(program.length * 8);
  for (const [index, [operation, ifTrue, ifFalse, value]] of program.entries()) {
    const at = index * 8;
    if (little) bytes.writeUInt16LE(operation, at);
    else bytes.writeUInt16BE(operation, at);
    bytes[at + 2] = ifTrue;
    bytes[at + 3] = ifFalse;
    if (little) bytes.writeUInt32LE(value, at + 4);
    else bytes.writeUInt32BE(value, at + 4);
  }
  return bytes;
}

/** A file with the filter for this machine, which bwrap reads; undefined on a machine that is not known. Written once. */
export const filterFile = once((): string | undefined => {
  const program = filterProgram(machineHere(), endianness() === 'LE');
  if (program === undefined) return undefined;
  const file = join(temporaryFolder('kpatch-filter-').path, 'filter');
  writeFileSync(file, program);
  return file;
});

/** `e_machine` of this very program: bytes 18 and 19 of its ELF header. */
function machineHere(): number {
  const header = Buffer.alloc(20);
  const fd = openSync('/proc/self/exe', 'r');
  try {
    readSync(fd, header, 0, header.length, 0);
  } finally {
    closeSync(fd);
  }
  return endianness() === 'LE' ? header.readUInt16LE(18) : header.readUInt16BE(18);
}
