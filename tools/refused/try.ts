/** Builds a refused fix with rewriting, proves the module and reviews the fix, with the commands that people use. */

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { reviewFiles } from '#kpatch/review/patches.ts';
import { leftOut } from '../corpus/attempt.ts';
import type { SourceDifference } from '../corpus/source-difference.ts';
import { folderOf, type TriedFix } from './store.ts';

const fine = new Set(['built', 'cut', 'no-change', 'not-built', 'failed']);
const program = join(import.meta.dirname, '../../bin/kpatch');

/** True if a build without rewriting refuses the fix, or builds it only with a part left out. */
export function isRefused({ result }: TriedFix): boolean {
  return !fine.has(result) || result === leftOut;
}

interface Answer {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function kpatch(folder: string, minutes: number, ...args: string[]): Answer {
  const options = { cwd: folder, encoding: 'utf8', timeout: minutes * 60_000, maxBuffer: 1 << 28 } as const;
  const { status, stdout, stderr } = spawnSync(program, args, options);
  return { status, stdout, stderr };
}

/** `kpatch build --rewrite`. */
export async function rewriteFix(folder: string, fix: TriedFix): Promise<NonNullable<TriedFix['rewrite']>> {
  const own = folderOf(folder, fix);
  const name = `refused_${fix.id.replace(/\W/g, '_')}`;
  const args = ['-k', fix.release, '--name', name, '-o', join(own, `${name}.ko`), '--json'];
  const { status, stdout, stderr } = kpatch(own, 15, 'build', 'fix.patch', '--rewrite', ...args);
  const answer = documentIn(stdout);
  const rewritten = join(own, 'fix.rewritten.patch');
  const head = existsSync(rewritten) ? readFileSync(rewritten, 'latin1').split('\n')[0]! : '';
  const rules = /^Rewritten by kpatch rewrite: (.*)$/.exec(head)?.[1]?.split(', ') ?? [];
  if (status === 0) return { result: 'built', detail: '', rules };
  const { code, message, detail } = answer?.error ?? {};
  return { result: code ?? 'failed', detail: `${message ?? stderr}\n${detail ?? ''}`.trim(), rules };
}

/** `kpatch prove`, the quick plan. */
export async function proveRewritten(folder: string, fix: TriedFix): Promise<NonNullable<TriedFix['proof']>> {
  const own = folderOf(folder, fix);
  const module = `refused_${fix.id.replace(/\W/g, '_')}.ko`;
  const { stdout, stderr } = kpatch(own, 15, 'prove', module);
  const verdict = /^(PROVEN EXCEPT|PROVEN|NOT PROVEN)\b/m.exec(stdout)?.[1]?.toLowerCase() ?? 'failed';
  return { verdict, detail: `${stdout}\n${stderr}`.trim().slice(-4000) };
}

/** The hazards of the fix as it is. */
export async function reviewOf(fix: TriedFix, source: SourceDifference): Promise<NonNullable<TriedFix['hazards']>> {
  const [older, newer] = [source.older.paths.tree, source.newer.paths.tree];
  const text = (tree: string, file: string): string => readFileSync(join(tree, file), 'latin1');
  const files = fix.files.map((file) => ({ file, before: text(older, file), after: text(newer, file) }));
  return (await reviewFiles(files, older)).map(({ kind, place, reason }) => ({ kind, place, reason }));
}

function documentIn(text: string): { error?: { code?: string; message?: string; detail?: string } } | undefined {
  try {
    return JSON.parse(text) as { error?: { code?: string } };
  } catch {
    return undefined;
  }
}
