/**
 * Mill, a machine that does not exist: big-endian, with relocation 0 in use, fields of 24 bits that count halfwords from their
 * instruction, a place for ftrace before the function, jump entries of 20 bytes with the key in the middle, and a kernel that boots as
 * plain memory in the middle of the address space. Everything that kpatch has to know of it is in this file.
 *
 * Instructions: `00 00` nop; `E0 00` return; `A0 dd` short jump by signed dd halfwords; `20 dddddd` jump; `3c dddddd` branch on
 * condition c; `10 dddddd` call; `40 rr iiii` register rr = iiii; `50 rr aaaaaaaaaaaaaaaa` register rr = 64-bit address.
 */

import { type Branch, type LinkedField, plainField } from '#kpatch/platform/common/run-pre.ts';
import { longs, type SpecialSection, words } from '#kpatch/platform/common/special.ts';
import type { Decoder, Instruction, Platform, RelocationKind } from '#kpatch/platform/platform.ts';

/** Relocation types. */
export const R_MILL = { CALL24: 0, JUMP24: 1, ADDRESS: 62, DISTANCE: 63, NONE: 200 } as const;

const kinds: Readonly<Record<number, RelocationKind>> = {
  [R_MILL.CALL24]: { name: 'R_MILL_CALL24', form: 'pc-relative', bias: 0 },
  [R_MILL.JUMP24]: { name: 'R_MILL_JUMP24', form: 'pc-relative', bias: 0 },
  [R_MILL.ADDRESS]: { name: 'R_MILL_ADDRESS', form: 'absolute', bias: 0, bytes: 8 },
  [R_MILL.DISTANCE]: { name: 'R_MILL_DISTANCE', form: 'pc-relative', bias: 0, bytes: 4 },
  [R_MILL.NONE]: { name: 'R_MILL_NONE', form: 'none', bias: 0 },
};

/** The low 24 bits of the instruction, in halfwords. */
const low24: LinkedField = {
  size: 4,
  mask: new Uint8Array([0, 0xff, 0xff, 0xff]),
  relative: true,
  bias: 0,
  value: (bytes, at) => BigInt(distance24(bytes, at)),
};

function distance24(bytes: Uint8Array, at: number): number {
  const field = ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0);
  return ((field << 8) >> 8) * 2;
}

const distance8 = (bytes: Uint8Array, at: number): number => (((bytes[at + 1] ?? 0) << 24) >> 24) * 2;

const lengths: Readonly<Record<number, number>> = { 0: 2, 224: 2, 160: 2, 16: 4, 32: 4, 64: 4, 80: 10 };

function decode(bytes: Uint8Array, offset: number): Instruction | undefined {
  const opcode = bytes[offset] ?? 0xff;
  const length = opcode >> 4 === 3 ? 4 : (lengths[opcode] ?? 0);
  if (offset < 0 || length === 0 || offset + length > bytes.length) return undefined;
  const register = bytes[offset + 1] ?? 0;
  const common = { offset, length, writes: 0 };
  if (opcode === 0xe0) return { ...common, flow: 'end' };
  if (opcode === 0xa0) return { ...common, flow: 'jump', target: offset + distance8(bytes, offset) };
  const target = offset + distance24(bytes, offset);
  if (opcode === 0x10) return { ...common, flow: 'call', target, writes: 0xff };
  if (opcode === 0x20) return { ...common, flow: 'jump', target };
  if (opcode >> 4 === 3) return { ...common, flow: 'branch', target };
  const value = ((bytes[offset + 2] ?? 0) << 8) | (bytes[offset + 3] ?? 0);
  const load = opcode === 0x40 ? { load: { register, value } } : {};
  return { ...common, flow: 'next', ...load, writes: opcode === 0 ? 0 : 1 << register };
}

function branchAt(bytes: Uint8Array, at: number): Branch | undefined {
  const opcode = bytes[at] ?? 0;
  if (opcode === 0xa0) return { kind: 'jump', jump: true, at: 0, distance: distance8(bytes, at) };
  const kind = opcode === 0x10 ? 'call' : opcode === 0x20 ? 'jump' : opcode >> 4 === 3 ? `branch ${opcode & 15}` : '';
  if (kind === '') return undefined;
  return { kind, jump: kind === 'jump', at: 0, field: low24, distance: distance24(bytes, at) };
}

/** Code, key, target, padding. */
const jumpTable: SpecialSection = {
  name: '__jump_table',
  size: 20,
  location: 0,
  fields: [...words(0), ...longs(4), ...words(12)],
  key: { kind: 'jump label', field: 4, flags: 3 },
};
const hooks: SpecialSection = { name: '__hooks', size: 8, location: 0, trace: true, derived: true };

export const mill: Platform = {
  name: 'Mill',
  machine: 0x4d4c,
  littleEndian: false,
  address64: R_MILL.ADDRESS,
  relocation: (type) => kinds[type],
  use: (type) => (type === R_MILL.CALL24 ? 'call' : type === R_MILL.JUMP24 ? 'jump' : 'address'),
  isLabel: (name) => name.startsWith('%'),
  prefixOf: () => undefined,
  isPadding: (bytes, start, end) => bytes.subarray(start, end).every((byte) => byte === 0),
  localEntry: () => 0,
  trace: { sections: ['__hooks'], callees: ['__hook'], before: 8, after: 0 },
  // The eight bytes before a function are its own: four nops that ftrace makes a call of.
  leadIn: ({ value }) => Math.min(value, 8),
  argumentRegisters: [7, 6, 5, 4],
  decoder: (bytes): Decoder => ({ instruction: (offset) => decode(bytes, offset) }),
  branchRelocation: (bytes, offset) => {
    const opcode = bytes[offset] ?? 0;
    const type = opcode === 0x10 ? R_MILL.CALL24 : opcode === 0x20 || opcode >> 4 === 3 ? R_MILL.JUMP24 : undefined;
    if (type === undefined) return undefined;
    return { type, field: offset, addend: 0, size: 4, cleared: new Uint8Array([opcode, 0, 0, 0]) };
  },
  siblingCallProblem: undefined,
  specialSections: () => [jumpTable, hooks],
  disassemble: (bytes, start, end) => {
    const lines = [];
    for (let offset = start; offset < end; ) {
      const length = decode(bytes, offset)?.length ?? 1;
      const text = Buffer.from(bytes.subarray(offset, offset + length)).toString('hex');
      lines.push({ offset, length, text });
      offset += length;
    }
    return lines;
  },
  naming: {
    kernel: 'mill',
    source: 'mill',
    uname: 'mill64',
    deb: 'mill',
    rpm: 'mill64',
    triple: 'mill-linux-gnu',
    options: ['MILL'],
    lateObjtool: [],
  },
  boot: {
    open: (image) =>
      image.toString('latin1', 0, 8) === 'MILLBOOT'
        ? { payload: image.subarray(16), release: '6.1.0-mill' }
        : undefined,
    isFlat: (bytes) => bytes.toString('latin1', 0, 8) === 'MILLTEXT',
    lowestAddress: 0x4000_0000_0000_0000n,
    absolutePerCpu: false,
  },
  emulator: {
    program: 'qemu-system-mill',
    package: 'qemu-system-mill',
    arguments: [],
    tcg: { accel: 'tcg', cpu: 'max' },
    kvm: { accel: 'kvm', cpu: 'host' },
    serial: (device) => ['-serial', `chardev:${device}`],
    console: 'ttyM0',
    agentPort: '/dev/ttyM1',
    commandLine: [],
  },
  runPre: {
    field: (type) =>
      type === R_MILL.ADDRESS ? plainField(8, false, false) : type <= R_MILL.JUMP24 ? low24 : undefined,
    branchAt,
    isNop: (bytes, at) => bytes[at] === 0,
  },
  loader: {
    relocations: new Set([R_MILL.CALL24, R_MILL.JUMP24, R_MILL.ADDRESS, R_MILL.NONE]),
    early: { '.early': 12 },
  },
};
