/**
 * Source line numbers in code. A constant that an instruction loads is one if it reaches, in the register of that argument,
 * a function that takes a line for its message: might_sleep, lockdep, the slow paths of WARN, error functions of file
 * systems; or a message function whose argument before it is the name of a source file, or of the function if
 * the format prints the number as its line (`%s:%d`). For any other function the argument
 * before it must be the name of a source file or of the function, and debug information must show that the constant is the
 * line of its statement. Everything else that differs is a change: without debug information, `report(__func__, 5)` looks the
 * same as a line.
 */

import { SHF } from '../../formats/elf/constants.ts';
import type { Instruction } from '../../platform/platform.ts';
import { type Part, sourceOf } from './part.ts';
import { baseName, familyOf, isFunctionName } from './symbols/names.ts';
import { contentOf, type ReferenceTarget, targetOf, throughList, useOf } from './target.ts';

/**
 * Which argument (from 0) is the line, also without the name of a file or function before it. From include/linux/kernel.h,
 * bug.h, lockdep.h, uaccess.h of 3.10 to 6.12, and the file systems below.
 */
const lineArguments: Readonly<Record<string, readonly number[]>> = {
  __might_sleep: [1],
  ___might_sleep: [1],
  __might_resched: [1],
  __might_fault: [1],
  __cant_sleep: [1],
  __cant_migrate: [1],
  lockdep_rcu_suspicious: [1],
  warn_slowpath_null: [1],
  warn_slowpath_fmt: [1],
  warn_slowpath_fmt_taint: [1],
  // fs/ext4: the number of the argument of __ext4_journal_start_sb changed in 6.2.
  __ext4_journal_start_sb: [1, 2],
  __ext4_journal_start_reserved: [1],
  __ext4_journal_stop: [1],
  __ext4_journal_get_write_access: [1],
  __ext4_journal_get_create_access: [1],
  __ext4_handle_dirty_metadata: [1],
  __ext4_forget: [1],
  __ext4_error: [2],
  __ext4_error_inode: [2],
  __ext4_error_file: [2],
  __ext4_std_error: [2],
  __ext4_abort: [2],
  __ext4_warning: [2],
  __ext4_warning_inode: [2],
  // fs/btrfs: (…, function, line, …).
  __btrfs_abort_transaction: [2],
  __btrfs_panic: [2],
  __btrfs_std_error: [2],
  __btrfs_handle_fs_error: [2],
  btrfs_assertfail: [2],
};

/** Functions that print a format with arguments, and do nothing else with them. */
const printers =
  /^(?:_?printk|__warn_printk|panic|early_printk|_?dev_(?:emerg|alert|crit|err|warn|notice|info|printk)|netdev_(?:emerg|alert|crit|err|warn|notice|info|printk)|__dynamic_(?:pr|dev|netdev|ibdev)_?(?:debug|dbg))$/;

/** Lines beyond this do not occur in a source file. */
const LAST_LINE = 0x1ffff;

/** How many instructions are followed from the load to the call. */
const REACH = 64;

/** True if both instructions load a line number into the same register for a message, and nothing else differs. */
export function isLineLoad(
  original: Part,
  a: Instruction | undefined,
  patched: Part,
  b: Instruction | undefined,
): boolean {
  if (a?.load === undefined || b?.load === undefined) return false;
  if (a.length !== b.length || a.load.register !== b.load.register) return false;
  for (const { value } of [a.load, b.load]) if (value <= 0 || value > LAST_LINE) return false;
  const evidence = evidenceOf(original, a);
  if (evidence === undefined || evidence !== evidenceOf(patched, b)) return false;
  if (evidence === 'argument' || evidence === 'message') return true;
  // Any other constant that looks like a line may be a number that the patch changes. Only debug information can show that
  // it is the line of its instruction, before and after. Without it, the function counts as changed, which is always safe.
  const [before, after] = [distanceToLine(original, a), distanceToLine(patched, b)];
  if (before === undefined || before !== after) return false;
  return evidence === 'place' ? before >= 0 && before <= STATEMENT : before === 0;
}

/**
 * Why a constant may be a line: `argument`, the function takes one there; `message`, a message function gets it behind the
 * name of a source file; `printed`, a message function gets it; `place`, another function gets it behind the name of the
 * source file or function.
 */
type Evidence = 'argument' | 'message' | 'printed' | 'place';

/** How many lines a statement with a macro has at most: its `__LINE__` and its instructions may be of different lines. */
const STATEMENT = 4;

/**
 * How far the constant is from the line of the very instruction that loads it; undefined without debug information.
 */
function distanceToLine(part: Part, { offset, load }: Instruction): number | undefined {
  const line = sourceOf(part, offset)?.line;
  return line === undefined ? undefined : load!.value - line;
}

/** Follows the register from the load to the next call. */
function evidenceOf(part: Part, load: Instruction): Evidence | undefined {
  const { model } = part;
  const register = load.load!.register;
  const argument = model.arch.argumentRegisters.indexOf(register);
  if (argument < 1) return undefined;
  let home = part;
  let at = load.offset + load.length;
  /** The instructions on the way, oldest first, for the argument before. */
  const path = before(part, load);
  for (let steps = 0; steps < REACH; steps++) {
    const instruction = model.decoder(home.section).instruction(at);
    if (instruction === undefined) return undefined;
    const out = leaves(home, instruction);
    if (out !== undefined && (instruction.flow === 'call' || out.family !== baseName(familyOf(part.name)))) {
      return evidenceAt(part, out.name, argument, path);
    }
    if (instruction.flow === 'call' || instruction.flow === 'branch' || instruction.flow === 'end') return undefined;
    if (instruction.copies === register) return undefined; // the number is used elsewhere too
    const completes = instruction.completes === true && instruction.load?.register === register;
    if ((instruction.writes & (1 << register)) !== 0 && !completes) return undefined;
    path.push({ part: home, instruction });
    if (instruction.flow !== 'jump') at += instruction.length;
    else if (out !== undefined) {
      home = out.part!;
      at = out.offset;
    } else if (instruction.target !== undefined) at = instruction.target;
    else return undefined;
    if (at < home.start || at >= home.end) return undefined;
  }
  return undefined;
}

interface Step {
  readonly part: Part;
  readonly instruction: Instruction;
}

/** The instructions of the part up to and with the load, for finding how the argument before it was set. */
function before(part: Part, load: Instruction): Step[] {
  const steps: Step[] = [];
  const decoder = part.model.decoder(part.section);
  for (let at = part.symbol?.value ?? part.start; at <= load.offset; ) {
    const instruction = decoder.instruction(at);
    if (instruction === undefined) at++;
    else {
      steps.push({ part, instruction });
      if (steps.length > 2 * REACH) steps.shift();
      at += instruction.length;
    }
  }
  return steps;
}

/** Where a call or jump with a relocation leads. */
function leaves(
  part: Part,
  { offset, length }: Instruction,
): { name: string; family: string; part: Part | undefined; offset: number } | undefined {
  const { model, section } = part;
  for (const relocation of model.relocationsIn(section, offset, offset + length)) {
    const use = useOf(model, section, relocation);
    if (use === 'address') continue;
    const target = targetOf(model, section, relocation);
    if (target.kind === 'external') return { name: target.symbol.name, family: '', part: undefined, offset: 0 };
    if (target.kind === 'part') {
      const { name, start } = target.part;
      return { name, family: baseName(familyOf(name)), part: target.part, offset: start + target.offset };
    }
  }
  return undefined;
}

function evidenceAt(part: Part, callee: string, argument: number, path: readonly Step[]): Evidence | undefined {
  if (lineArguments[callee]?.includes(argument) === true) return 'argument';
  const before = addressIn(path, part.model.arch.argumentRegisters[argument - 1]!);
  if (printers.test(callee)) {
    const named =
      before !== undefined && (namesFile(before) || (namesPlace(before, part) && printsLine(part, path, argument)));
    return named ? 'message' : 'printed';
  }
  // Macros pass `__FILE__, __LINE__` or `__func__, __LINE__` to functions of their own.
  return before !== undefined && namesPlace(before, part) ? 'place' : undefined;
}

/** A format that prints a name and directly behind it a number as its line: `%s:%d`, `%s() line %u`, `%s(%d)`. */
const linePrinted = /%s(?:\(\))?(?::%|\(%|[,:]? ?(?:at )?line:? ?#?%)l?[diu]/i;

/** True if the format, an argument before the name, prints the number as a line. */
function printsLine(part: Part, path: readonly Step[], argument: number): boolean {
  const { argumentRegisters } = part.model.arch;
  for (let index = argument - 2; index >= 0; index--) {
    const format = addressIn(path, argumentRegisters[index]!);
    const text = format === undefined ? undefined : textOf(format);
    if (text !== undefined) return linePrinted.test(text);
  }
  return false;
}

/** True for the name of a source file, or of the function as `__func__`. */
function namesPlace(target: ReferenceTarget, part: Part): boolean {
  if (target.kind === 'part') return target.offset === 0 && isFunctionName(target.part.name);
  // clang's `__func__` is a string like any other.
  return namesFile(target) || textOf(target) === familyOf(part.name);
}

/** True for the name of a source file. */
function namesFile(target: ReferenceTarget): boolean {
  const text = textOf(target);
  return text !== undefined && isFileName(text);
}

/** The string that begins at the target; undefined if none does. */
function textOf(target: ReferenceTarget): string | undefined {
  if (target.kind !== 'content' || target.offset !== 0 || (target.section.flags & SHF.STRINGS) === 0) return undefined;
  return Buffer.from(contentOf(target.section, target.at)).toString('latin1');
}

/** What the last instruction that writes the register loads the address of. */
function addressIn(path: readonly Step[], register: number): ReferenceTarget | undefined {
  const step = lastWrite(path, register);
  if (step === undefined || step.instruction.flow === 'call') return undefined;
  const { copies } = step.instruction;
  if (copies !== undefined) return addressIn(path.slice(0, path.indexOf(step)), copies);
  const { part, instruction } = step;
  const { model, section } = part;
  const relocations = model.relocationsIn(section, instruction.offset, instruction.offset + instruction.length);
  for (const relocation of relocations) {
    const target = throughList(model, targetOf(model, section, relocation));
    if (target.kind === 'content' || target.kind === 'part') return target;
  }
  return undefined;
}

/** The last instruction that writes the register, but for those behind which the function only returns. */
function lastWrite(path: readonly Step[], register: number): Step | undefined {
  let returns = false;
  for (let index = path.length - 1; index >= 0; index--) {
    const step = path[index]!;
    const { flow, writes } = step.instruction;
    if (flow === 'end') returns = true;
    else if (flow === 'branch' || flow === 'jump') returns = false;
    if (!returns && (writes & (1 << register)) !== 0) return step;
  }
  return undefined;
}

function isFileName(text: string): boolean {
  return /^[\w./+-]+\.(?:c|h|S|rs)$/.test(text);
}
