/** A source patch: a file with diffs, read and checked before kpatch does anything with it. */
import { basename } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import type { PatchedFile } from './diff/file.ts';
import { displayed, linesOf } from './diff/lines.ts';
import { findSections, isEdCommand, type Section } from './diff/sections.ts';
import { plainBytes } from './diff/unpack.ts';
import { placeSections } from './place.ts';
import { TreeView } from './tree-view.ts';

export type { PatchedFile } from './diff/file.ts';
export type { Hunk } from './diff/hunk.ts';

export interface SourcePatch {
  readonly file: string;
  /** Last part of the path, by which messages and manifest call it. */
  readonly name: string;
  /** Of the file as it was given, compressed or not. */
  readonly sha256: string;
  /** The text around the diffs: subject, description, signature. */
  readonly description: string;
  /** How many leading parts of the paths are stripped (patch -p). */
  readonly strip: number;
  /** What it changes, in the order of the patch; a file can appear more than once. */
  readonly files: readonly PatchedFile[];
  /** The diffs that the files come from. */
  readonly sections: readonly Section[];
}

/** Folders without code of the kernel, and files that only people and git read. Extensions prove nothing: tables are text files. */
const noCode = /^(?:Documentation|LICENSES|samples|tools|scripts)\//;
const readByPeople = /(?:^|\/)(?:MAINTAINERS|CREDITS|COPYING|TODO|README(?:\.\w+)?|\.(?!config$|scmversion$)[\w.-]+)$/;
const documents = /^(?:Documentation|LICENSES)\//;

/** Programs and settings below tools/ that take part in building the image and its modules. */
const buildTools = /^tools\/(?:objtool|lib|include|arch|bpf\/resolve_btfids|build|scripts)\//;

/**
 * What of scripts/ does not take part in building a kernel: what people and packagers run. Everything else there counts as part of
 * the build (scripts/module-common.c is compiled into every module), also what a later kernel adds.
 */
const otherScripts = new RegExp(
  `^scripts/(?:${[
    // Folders.
    '(?:atomic|bash-completion|clang-tools|coccinelle|container|crypto|dummy-tools|ksymoops|livepatch|package|sbom|tracing)/.*',
    'gdb/(?!linux/constants).*',
    // What people run on source.
    String.raw`Lindent|check-(?:git|sysctl-docs|uapi\.sh)|check(?:declares|includes|patch|stack|version|\w*symbols)\.\w+|clean(?:file|patch)|coccicheck`,
    String.raw`(?:const_structs\.checkpatch|spelling\.txt|cocci\w*|macro_checker\.py|headerdep\.pl|git[.-]\w+(?:\.sh)?|tags\.sh|spdx[\w-]+(?:\.\w+)?)`,
    String.raw`(?:get_(?:maintainer|feat|abi)\.p[ly]|get_dvb_firmware|parse-maintainers\.pl|kernel-doc(?:[.-][\w.-]+)?|split-man\.pl|sphinx-pre-install)`,
    String.raw`(?:documentation-file-ref-check|find-unused-docs\.sh|patch-kernel|prune-kernel|stableversion|namespace\.pl|nsdeps|export_report\.pl)`,
    // What people run on a kernel that is built or running.
    String.raw`(?:bloat-o-meter|bootgraph\.pl|config|decode_stacktrace\.sh|decodecode|dev-needs\.sh|diffconfig|extract[-_][\w-]+(?:\.pl)?)`,
    String.raw`(?:faddr2line|file-size\.sh|gfp-translate|leaking_addresses\.pl|markup_oops\.pl|obj(?:diff|dump-func)|show_delta|stackdelta|stackusage)`,
    String.raw`(?:container|timer_migration_tree\.py|ver_linux|profile2linkerlist\.pl|makelst)`,
  ].join('|')})$`,
);

/** True for a file that no kernel code is compiled from: documents, tests, tools. */
export function isNoCode(path: string): boolean {
  return noCode.test(path) || readByPeople.test(path);
}

/** True for a file that only people read, in a kernel or in a module with a source of its own. */
export function isDocument(path: string): boolean {
  return documents.test(path) || readByPeople.test(path);
}

/** True for such a file that takes part in the build of a kernel, so that a change can alter its code. */
export function isBuildPart(path: string): boolean {
  if (readByPeople.test(path)) return false;
  return buildTools.test(path) || (path.startsWith('scripts/') && !otherScripts.test(path));
}

/** Reads a patch file. Errors: `file-unreadable` and those of `parseSourcePatch`. */
export function readPatch(file: string): SourcePatch {
  return parseSourcePatch(file, readBytes(file));
}

/**
 * As `readPatch`, for bytes. Which files it changes is a guess until `placeInTree` looks at a tree.
 * Errors: `patch-empty`, `patch-too-large`, `patch-encoded`, `patch-not-a-patch`, `patch-malformed`, `patch-ambiguous`, `patch-style`,
 * `patch-binary`, `patch-special-file`, `patch-escapes`, `patch-name-too-long`.
 */
export function parseSourcePatch(file: string, bytes: Uint8Array): SourcePatch {
  const where = { where: { file } };
  const plain = plainBytes(file, bytes);
  const text = plain.toString('latin1');
  if (!/\S/.test(text)) throw failure('patch-empty', { file }, where);
  if (text.includes('\0')) throw failure('patch-not-a-patch', { file }, where);
  const lines = linesOf(text);
  const { sections, around } = findSections(file, lines);
  if (sections.length === 0) throw notAPatch(file, lines);
  requireNames(file, lines);
  return {
    file,
    name: basename(file),
    sha256: sha256(bytes),
    description: displayed(around.join('\n')),
    sections,
    ...placeSections(file, sections, TreeView.assumed()),
  };
}

/** Bytes of a name in the kernel's symbol table with its final zero: KSYM_NAME_LEN, include/linux/kallsyms.h. */
const KSYM_NAME_LEN = 512;
const longName = new RegExp(`^\\+.*?(?<!\\w)[A-Za-z_]\\w{${KSYM_NAME_LEN - 1}}`);

/** Refuses an added name that no kernel symbol can have: it would be a pattern of any length for all that search for names. */
function requireNames(file: string, lines: readonly string[]): void {
  const at = lines.findIndex((line) => line.length > KSYM_NAME_LEN && longName.test(line));
  if (at < 0) return;
  throw failure(
    'patch-name-too-long',
    { file, line: at + 1, limit: KSYM_NAME_LEN - 1 },
    { where: { file, line: at + 1 } },
  );
}

/**
 * The patches of a series with the files of `tree` that they change; each sees what those before it do.
 * Errors: `patch-escapes`, `patch-ambiguous`, `patch-special-file`.
 */
export function placeInTree(patches: readonly SourcePatch[], tree: string): SourcePatch[] {
  const view = TreeView.of(tree);
  return patches.map((patch) => ({ ...patch, ...placeSections(patch.file, patch.sections, view) }));
}

function notAPatch(file: string, lines: readonly string[]): Error {
  const where = { where: { file } };
  const encoding = lines.map((line) => /^content-transfer-encoding:\s*(base64)/i.exec(line)?.[1]).find(Boolean);
  if (encoding !== undefined) return failure('patch-encoded', { file, encoding: 'a base64 mail' }, where);
  const at = lines.findIndex(isEdCommand);
  const next = lines[at + 1] ?? '';
  if (at >= 0 && /^[<>] /.test(next)) return failure('patch-style', { file, style: 'a diff without context' }, where);
  if (at >= 0 && (lines.includes('.') || /^[\d,]+d/.test(lines[at]!)))
    return failure('patch-style', { file, style: 'an ed script' }, where);
  return failure('patch-not-a-patch', { file }, where);
}
