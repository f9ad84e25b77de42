/** A source patch: a file with unified diffs, read and checked before anything is done with it. */
import { basename } from 'node:path';
import { parsePatch, type StructuredPatch } from 'diff';
import { sha256 } from '../base/digest.ts';
import { fail } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';

/** A hunk by its line numbers (from 1) in the old and the new file. */
export interface Hunk {
  readonly oldStart: number;
  readonly oldLines: number;
  readonly newStart: number;
  readonly newLines: number;
  /** The lines with their sign: ' ', '-', '+'. */
  readonly lines: readonly string[];
}

export interface PatchedFile {
  /** Path in the kernel source, after the patch. */
  readonly path: string;
  readonly kind: 'modify' | 'create' | 'delete' | 'rename';
  /** Path before the patch, where `kind` is rename. */
  readonly from?: string;
  readonly hunks: readonly Hunk[];
}

export interface SourcePatch {
  readonly file: string;
  /** Last part of the path, by which messages and manifest call it. */
  readonly name: string;
  readonly sha256: string;
  readonly text: string;
  /** How many leading parts of the paths are to be stripped (patch -p). */
  readonly strip: 0 | 1;
  readonly files: readonly PatchedFile[];
}

const noCode =
  /^(Documentation|tools|samples|scripts|LICENSES|usr)\/|(^|\/)(MAINTAINERS|CREDITS|COPYING|README|\.\w+)$|\.(rst|txt|yaml|yml|dts|dtsi|json|md|py|sh|pl|cocci)$/;

/** True for a file that a kernel's code is not made of: documents, tests, tools. */
export function isNoCode(path: string): boolean {
  return noCode.test(path);
}

/** Reads a patch file. Errors: `file-unreadable`, `patch-empty`, `patch-not-a-patch`, `patch-malformed`, `patch-binary`, `patch-escapes`. */
export function readPatch(file: string): SourcePatch {
  return parseSourcePatch(file, readBytes(file));
}

/** As `readPatch`, for bytes at hand. */
export function parseSourcePatch(file: string, bytes: Uint8Array): SourcePatch {
  const text = Buffer.from(bytes).toString('utf8');
  const where = { where: { file } };
  if (text.trim() === '') throw fail('patch-empty', { file }, where);
  if (text.includes('\0')) throw fail('patch-not-a-patch', { file }, where);
  const binary = /^(?:Binary files (?:\S+) and (\S+) differ|GIT binary patch)$/m.exec(text);
  if (binary !== null) throw fail('patch-binary', { file, target: binary[1] ?? binaryTarget(text) }, where);
  const parts = parse(file, text).filter(
    (part) => part.hunks.length > 0 || part.isRename || part.isDelete || part.isCreate,
  );
  if (parts.length === 0) throw fail('patch-not-a-patch', { file }, where);
  const strip = parts.every((part) => isPrefixed(part.oldFileName, 'a') && isPrefixed(part.newFileName, 'b'))
    ? 1
    : stripOf(parts);
  return {
    file,
    name: basename(file),
    sha256: sha256(bytes),
    text,
    strip,
    files: parts.map((part) => patchedFile(file, part, strip)),
  };
}

function parse(file: string, text: string): StructuredPatch[] {
  try {
    return parsePatch(withoutSignature(text));
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    const line = /line (\d+)/.exec(problem)?.[1];
    throw fail(
      'patch-malformed',
      { file, problem },
      { where: { file, ...(line === undefined ? {} : { line: Number(line) }) } },
    );
  }
}

/** `git format-patch` ends a mail with `-- ` and its version, which a strict reader takes for a line of the hunk. */
function withoutSignature(text: string): string {
  return text.replace(/\n-- ?\n[\d.]+[^\n]*\s*$/, '\n');
}

function binaryTarget(text: string): string {
  const before = text.slice(0, text.indexOf('GIT binary patch'));
  return /.*^diff --git \S+ b\/(\S+)$/ms.exec(before)?.[1] ?? 'a file';
}

function isPrefixed(name: string | undefined, letter: string): boolean {
  return name === undefined || name === '/dev/null' || name.startsWith(`${letter}/`);
}

/** Patches of `diff -ur old/ new/` carry folder names of any kind; those of `git diff --no-prefix` start with the tree's own. */
function stripOf(parts: readonly StructuredPatch[]): 0 | 1 {
  const top = /^(arch|block|certs|crypto|drivers|fs|include|init|io_uring|ipc|kernel|lib|mm|net|security|sound|virt)\//;
  return parts.every((part) =>
    [part.oldFileName, part.newFileName].some((name) => name !== undefined && top.test(name)),
  )
    ? 0
    : 1;
}

function patchedFile(file: string, part: StructuredPatch, strip: 0 | 1): PatchedFile {
  const path = (name: string | undefined): string | undefined => {
    if (name === undefined || name === '/dev/null') return undefined;
    const stripped = strip === 1 ? name.replace(/^[^/]*\//, '') : name;
    const escapes =
      name.startsWith('/') || stripped.startsWith('/') || stripped.split('/').includes('..') || stripped === '';
    if (escapes) throw fail('patch-escapes', { file, target: name }, { where: { file } });
    return stripped;
  };
  const before = path(part.oldFileName);
  const after = path(part.newFileName);
  const hunks = part.hunks;
  if (before === undefined && after === undefined)
    throw fail('patch-malformed', { file, problem: 'a diff names no file' });
  if (before === undefined) return { path: after!, kind: 'create', hunks };
  if (after === undefined) return { path: before, kind: 'delete', hunks };
  // `diff -ruN` names both sides, and gives the absent one no lines.
  const [only] = hunks;
  if (hunks.length === 1 && before === after && only!.oldLines === 0 && only!.oldStart <= 1)
    return { path: after, kind: 'create', hunks };
  if (hunks.length === 1 && before === after && only!.newLines === 0 && isEpoch(part.newHeader))
    return { path: after, kind: 'delete', hunks };
  if (part.isRename === true || (before !== after && part.isGit === true))
    return { path: after, kind: 'rename', from: before, hunks };
  return { path: before.length <= after.length ? before : after, kind: 'modify', hunks };
}

/** The time that `diff -N` gives a file that is not there; a file that is only emptied has a time of its own. */
function isEpoch(header: string | undefined): boolean {
  return header !== undefined && /^(?:1970-01-01|1969-12-31) \d\d:\d\d:00/.test(header.trim());
}
