/** Both versions of a function side by side, disassembled, with relocations named and the first real difference marked. */
import { failure } from '../base/errors/error.ts';
import type { ObjectFile } from '../formats/elf/object-file.ts';
import { parsed, prepare } from './diff.ts';
import type { DiffOptions, Reason } from './options.ts';
import { codeOf } from './parts/code.ts';
import { entryOf, isFunction, type Part } from './parts/part.ts';
import { parentOf } from './parts/symbols/names.ts';
import { describeTarget, targetOf } from './parts/target.ts';

export interface ExplainedLine {
  /** Bytes from the function's entry. */
  readonly offset: number;
  readonly text: string;
  /** What the instruction refers to. */
  readonly references: readonly string[];
}

export interface Explanation {
  readonly name: string;
  /** Undefined where the versions mean the same. */
  readonly reason: Reason | undefined;
  /** Undefined for a new function. */
  readonly original: readonly ExplainedLine[] | undefined;
  /** Undefined for a removed function. */
  readonly patched: readonly ExplainedLine[] | undefined;
  /** Index of the first line that differs, in both lists. */
  readonly first: number | undefined;
}

/** Explains one function. Error: `diff-function-unknown`. */
export function explain(
  original: Uint8Array | ObjectFile,
  patched: Uint8Array | ObjectFile,
  options: DiffOptions,
  name: string,
): Explanation {
  const { names } = options;
  const { pair, comparison } = prepare(parsed(original, names.original), parsed(patched, names.patched), options);
  const find = (parts: readonly Part[]): Part | undefined =>
    parts.find((part) => isFunction(part) && part.name === name) ??
    parts.find((part) => isFunction(part) && part.symbols.some((symbol) => symbol.name === name));
  const after = find(pair.patched.parts) ?? find(pair.original.parts)?.twin;
  const before = after === undefined ? find(pair.original.parts) : after.twin;
  if (before === undefined && after === undefined) {
    throw failure('diff-function-unknown', { name }, { where: { file: options.names.patched } });
  }
  const reason = before && after && comparison.difference(before, after);
  if (before !== undefined && after !== undefined && reason === undefined) {
    const cold = pair.patched.parts.find(
      (part) => parentOf(part.name) === after.name && part.twin !== undefined && comparison.difference(part.twin, part),
    );
    if (cold !== undefined) return explain(original, patched, options, cold.name);
  }
  const left = before && linesOf(before);
  const right = after && linesOf(after);
  return { name, reason, original: left, patched: right, first: firstDifference(left, right, reason) };
}

function linesOf(part: Part): ExplainedLine[] {
  const { model, section, start } = part;
  const { bytes, relocations } = codeOf(part);
  const entry = entryOf(part);
  const lines: ExplainedLine[] = [];
  let next = 0;
  for (const { offset, length, text } of model.arch.disassemble(bytes, 0, bytes.length)) {
    const references: string[] = [];
    for (
      let one = relocations[next];
      one !== undefined && one.offset - start < offset + length;
      one = relocations[++next]
    ) {
      references.push(describeTarget(targetOf(model, section, one)));
    }
    // Until it is relocated a call or jump leads nowhere: the name says more.
    const [first] = references;
    const branch = first === undefined ? null : /^((?:call|j)\S*\s+)\S+$/.exec(text);
    if (branch === null) lines.push({ offset: start + offset - entry, text, references });
    else lines.push({ offset: start + offset - entry, text: `${branch[1]}${first}`, references: [] });
  }
  return lines;
}

/** The line of the reason's offset; without one, the first line whose text differs. */
function firstDifference(
  left: readonly ExplainedLine[] | undefined,
  right: readonly ExplainedLine[] | undefined,
  reason: Reason | undefined,
): number | undefined {
  if (left === undefined || right === undefined || reason === undefined) return undefined;
  if (reason.offset !== undefined) {
    const at = left.findLastIndex(({ offset }) => offset <= reason.offset!);
    return Math.max(at, 0);
  }
  const same = (a: ExplainedLine, b: ExplainedLine): boolean =>
    a.text === b.text && a.references.join() === b.references.join();
  const index = left.findIndex((line, at) => right[at] === undefined || !same(line, right[at]));
  return index < 0 ? Math.min(left.length, right.length) : index;
}

/** The explanation as text; `width` is that of the terminal in columns. */
export function renderExplanation({ name, reason, original, patched, first }: Explanation, width = 160): string {
  const verdict =
    reason?.text ?? (original === undefined ? 'it is new' : patched === undefined ? 'it is gone' : 'no change');
  const column = Math.max(30, Math.floor((width - 5) / 2));
  const cell = (line: ExplainedLine | undefined): string => {
    if (line === undefined) return ''.padEnd(column);
    const references = line.references.length === 0 ? '' : `  # ${line.references.join(', ')}`;
    const text = `${line.offset.toString(16).padStart(5)}  ${line.text}${references}`;
    return text.length > column ? `${text.slice(0, column - 1)}…` : text.padEnd(column);
  };
  const rows = [`${name}: ${verdict}`, `  ${'original'.padEnd(column)} | patched`];
  const count = Math.max(original?.length ?? 0, patched?.length ?? 0);
  for (let index = 0; index < count; index++) {
    const mark = index === first ? '>' : ' ';
    rows.push(`${mark} ${cell(original?.[index])} | ${cell(patched?.[index])}`.trimEnd());
  }
  return rows.join('\n');
}
