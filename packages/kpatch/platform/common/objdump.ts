/** Instructions as text through objdump, for the architectures that this program decodes only as far as its rules need. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { temporaryFolder } from '../../base/files.ts';
import type { DisassembledLine, Platform } from '../platform.ts';

export interface ObjdumpTarget {
  /** Programs to try in turn: of a cross binutils, then the system's, which knows all machines with binutils-multiarch. */
  readonly programs: readonly string[];
  /** Options that name the machine of a file of plain bytes. */
  readonly machine: readonly string[];
  readonly littleEndian: boolean;
  /** Bytes of an instruction where it cannot be determined, for showing raw bytes. */
  readonly unit: number;
}

/** Milliseconds that objdump may take. */
const DEADLINE = 10_000;

/** Programs that turned out not to be there or not to know the machine. */
const useless = new Set<string>();

/** Shows the bytes from `start` to `end` as lines; as raw words where no objdump for the machine is installed. */
export function objdumpFor(target: ObjdumpTarget): Platform['disassemble'] {
  return (bytes, start, end) => disassembleWith(target, bytes, start, end);
}

function disassembleWith(
  target: ObjdumpTarget,
  bytes: Uint8Array,
  start: number,
  end: number,
): readonly DisassembledLine[] {
  if (end <= start) return [];
  for (const program of target.programs) {
    const key = `${program} ${target.machine.join(' ')}`;
    if (useless.has(key)) continue;
    const text = runObjdump(program, target, bytes.subarray(start, end));
    if (text === undefined) useless.add(key);
    else return parse(text, target, bytes, start, end);
  }
  return raw(target, bytes, start, end);
}

function runObjdump(program: string, target: ObjdumpTarget, bytes: Uint8Array): string | undefined {
  using folder = temporaryFolder('kpatch-objdump-');
  const file = join(folder.path, 'code');
  writeFileSync(file, bytes);
  const order = target.littleEndian ? '-EL' : '-EB';
  try {
    return execFileSync(program, ['-D', '-z', '-b', 'binary', ...target.machine, order, file], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: DEADLINE,
      maxBuffer: 1 << 28,
    });
  } catch {
    return undefined;
  }
}

/** Lines are `  10:\t02 40 \tlghi\t%r3,33`; the column of bytes says by its digits how long the instruction is. */
function parse(
  text: string,
  target: ObjdumpTarget,
  bytes: Uint8Array,
  start: number,
  end: number,
): readonly DisassembledLine[] {
  const lines: DisassembledLine[] = [];
  for (const [, address, , instruction] of text.matchAll(/^ *([0-9a-f]+):\t([0-9a-f ]+?) *\t(.*)$/gm)) {
    const words = instruction!
      .replace(/\t/g, ' ')
      .replace(/ *(?:\/\/|#) .*$/, '')
      .trim();
    lines.push({ offset: start + Number.parseInt(address!, 16), length: 0, text: words });
  }
  if (lines.length === 0) return raw(target, bytes, start, end);
  return lines.map((line, index) => ({ ...line, length: (lines[index + 1]?.offset ?? end) - line.offset }));
}

function raw(target: ObjdumpTarget, bytes: Uint8Array, start: number, end: number): readonly DisassembledLine[] {
  const lines: DisassembledLine[] = [];
  for (let offset = start; offset < end; offset += target.unit) {
    const length = Math.min(target.unit, end - offset);
    const shown = Buffer.from(bytes.subarray(offset, offset + length)).toString('hex');
    lines.push({ offset, length, text: `.inst 0x${shown}` });
  }
  return lines;
}
