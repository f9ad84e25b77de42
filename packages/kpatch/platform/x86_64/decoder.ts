/** Instructions of x86-64 through iced-x86. The library takes 70 ms to load, so it is loaded at the first instruction. */
import { createRequire } from 'node:module';
import { once } from '../../base/once.ts';
import type { Decoder, DisassembledLine, Flow, Instruction } from '../platform.ts';

type Iced = typeof import('iced-x86');

/** No instruction of x86 is longer. */
const LONGEST = 15;

const iced = once(() => createRequire(import.meta.url)('iced-x86') as Iced);

/** Bytes that are decoded at once: code is mostly asked for in order. */
const AHEAD = 128;

/** A decoder for a section; each instruction is decoded once. */
export function decoder(bytes: Uint8Array): Decoder {
  const known = new Map<number, Instruction | undefined>();
  return {
    instruction(offset) {
      const instruction = known.get(offset);
      if (instruction !== undefined || known.has(offset)) return instruction;
      decodeRun(bytes, offset, known);
      return known.get(offset);
    },
  };
}

/** Decodes the instruction at `offset`, and those after it until one is known, is none, or some bytes are read. */
function decodeRun(bytes: Uint8Array, offset: number, known: Map<number, Instruction | undefined>): void {
  known.set(offset, undefined);
  if (offset < 0 || offset >= bytes.length) return;
  const { Decoder: IcedDecoder, DecoderOptions, Instruction: IcedInstruction, Code } = iced();
  const end = Math.min(bytes.length, offset + AHEAD);
  const machine = new IcedDecoder(64, bytes.subarray(offset, end), DecoderOptions.None);
  const raw = new IcedInstruction();
  try {
    machine.ip = BigInt(offset);
    // Only an instruction that cannot reach beyond the bytes at hand is one.
    const last = end === bytes.length ? end - 1 : end - LONGEST;
    for (let at = offset; at <= last; ) {
      machine.decodeOut(raw);
      const { code } = raw;
      if (code === Code.INVALID) return;
      const { length } = raw;
      known.set(at, instructionOf(bytes, at, raw, code, length));
      at += length;
      if (known.has(at)) return;
    }
  } finally {
    raw.free();
    machine.free();
  }
}

/** Decodes one instruction and hands it to `take` before the library's objects are freed. */
function withInstruction<T>(
  bytes: Uint8Array,
  offset: number,
  take: (raw: import('iced-x86').Instruction) => T,
): T | undefined {
  if (offset < 0 || offset >= bytes.length) return undefined;
  const { Decoder: IcedDecoder, DecoderOptions } = iced();
  const window = bytes.subarray(offset, Math.min(bytes.length, offset + LONGEST));
  const machine = new IcedDecoder(64, window, DecoderOptions.None);
  try {
    machine.ip = BigInt(offset);
    const raw = machine.decode();
    try {
      return raw.isInvalid ? undefined : take(raw);
    } finally {
      raw.free();
    }
  } finally {
    machine.free();
  }
}

function instructionOf(
  bytes: Uint8Array,
  offset: number,
  raw: import('iced-x86').Instruction,
  code: import('iced-x86').Code,
  length: number,
): Instruction {
  const { FlowControl } = iced();
  const { flowControl } = raw;
  const instruction = new Decoded(bytes, offset, length, flowOf(flowControl, code));
  if (flowControl === FlowControl.Next) {
    const load = loadOf(raw, code);
    if (load !== undefined) instruction.load = load;
    return instruction;
  }
  if (isNear(raw)) instruction.target = Number(BigInt.asIntN(64, raw.nearBranchTarget));
  if (flowControl === FlowControl.Exception) instruction.traps = true;
  return instruction;
}

/** A decoded instruction; what it writes is found out when somebody asks. */
class Decoded implements Instruction {
  readonly offset: number;
  readonly length: number;
  readonly flow: Flow;
  target?: number;
  load?: { readonly register: number; readonly value: number };
  traps?: boolean;
  readonly #bytes: Uint8Array;
  #writes: number | undefined;

  constructor(bytes: Uint8Array, offset: number, length: number, flow: Flow) {
    this.#bytes = bytes;
    this.offset = offset;
    this.length = length;
    this.flow = flow;
  }

  get writes(): number {
    this.#writes ??= writesAt(this.#bytes, this.offset);
    return this.#writes;
  }
}

function isNear(raw: import('iced-x86').Instruction): boolean {
  const { OpKind } = iced();
  return raw.opCount > 0 && raw.op0Kind === OpKind.NearBranch64;
}

function flowOf(flowControl: import('iced-x86').FlowControl, code: import('iced-x86').Code): Flow {
  const { FlowControl, Code } = iced();
  switch (flowControl) {
    case FlowControl.Next:
    case FlowControl.Interrupt:
    case FlowControl.XbeginXabortXend:
      return code === Code.Int3 ? 'end' : 'next';
    case FlowControl.Call:
    case FlowControl.IndirectCall:
      return 'call';
    case FlowControl.UnconditionalBranch:
      return 'jump';
    case FlowControl.ConditionalBranch:
      return 'branch';
    case FlowControl.Exception:
      return 'next'; // UD2 of WARN continues; that of BUG has nothing after it that matters
    default:
      return 'end';
  }
}

/** `mov $constant, register`, in its three forms; a write to a 32-bit register clears the upper half. */
function loadOf(
  raw: import('iced-x86').Instruction,
  code: import('iced-x86').Code,
): { register: number; value: number } | undefined {
  const { Code, RegisterExt } = iced();
  if (code !== Code.Mov_r32_imm32 && code !== Code.Mov_rm32_imm32 && code !== Code.Mov_rm64_imm32) return undefined;
  if (raw.op0Kind !== iced().OpKind.Register) return undefined;
  return { register: RegisterExt.number(raw.op0Register), value: raw.immediate32 };
}

/** The general registers that the instruction writes, whole or in part; a call writes what a callee may write. */
function writesAt(bytes: Uint8Array, offset: number): number {
  const written = withInstruction(bytes, offset, (raw) => {
    const { InstructionInfoFactory, OpAccess, RegisterExt } = iced();
    const factory = new InstructionInfoFactory();
    const info = factory.info(raw);
    let mask = 0;
    for (const used of info.usedRegisters() as import('iced-x86').UsedRegister[]) {
      const { register, access } = used;
      const write = access !== OpAccess.Read && access !== OpAccess.CondRead && access !== OpAccess.None;
      if (write && RegisterExt.isGPR(register)) mask |= 1 << RegisterExt.number(RegisterExt.fullRegister(register));
      used.free();
    }
    info.free();
    factory.free();
    return mask;
  });
  return written ?? 0;
}

/** The bytes from `start` to `end` as lines, in the syntax that objdump uses. */
export function disassemble(bytes: Uint8Array, start: number, end: number): readonly DisassembledLine[] {
  const { Formatter, FormatterSyntax } = iced();
  const formatter = new Formatter(FormatterSyntax.Gas);
  const lines: DisassembledLine[] = [];
  for (let offset = start; offset < end; ) {
    const line = withInstruction(bytes, offset, (raw) => ({ length: raw.length, text: formatter.format(raw) }));
    const shown = line ?? { length: 1, text: `.byte 0x${(bytes[offset] ?? 0).toString(16)}` };
    lines.push({ offset, ...shown });
    offset += shown.length;
  }
  formatter.free();
  return lines;
}
