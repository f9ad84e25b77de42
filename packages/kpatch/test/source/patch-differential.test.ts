/**
 * kpatch's reader against GNU patch: random patches, whole and damaged, through both. Either the trees are the same byte
 * for byte, or kpatch refuses. Seeded: `KPATCH_SEED=N` repeats a run; `KPATCH_SOAK` runs for long.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { SourceOverlay } from '#kpatch/kbuild/overlay.ts';
import { applyPatch } from '#kpatch/source/apply.ts';
import { parseSourcePatch, placeInTree } from '#kpatch/source/patch.ts';
import {
  changedTree,
  Dice,
  damaged,
  readTree,
  someTree,
  type Tree,
  wrapped,
  writeTree,
  writtenPatch,
} from './patch-mill.ts';

const soak = process.env.KPATCH_SOAK !== undefined;
const seed = Number(process.env.KPATCH_SEED ?? (soak ? Date.now() % 1_000_000 : 1));
const count = Number(process.env.KPATCH_COUNT ?? (soak ? 20_000 : 150));

let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-differential-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

interface Outcome {
  /** The tree afterwards; undefined if the patch was refused or did not apply. */
  readonly tree?: Tree;
  readonly strip?: number;
  readonly fuzz?: boolean;
  readonly code?: string;
  readonly said?: string;
}

async function byKpatch(tree: Tree, patch: string): Promise<Outcome> {
  const root = join(folder, 'overlay');
  rmSync(root, { recursive: true, force: true });
  mkdirSync(root);
  writeTree(join(folder, 'tree'), tree);
  try {
    const overlay = new SourceOverlay(join(folder, 'tree'), root);
    const [placed] = placeInTree([parseSourcePatch('x.patch', Buffer.from(patch, 'latin1'))], overlay.tree);
    const adjustments = await applyPatch(overlay, placed!, 'the test');
    return { tree: readTree(root), strip: placed!.strip, fuzz: adjustments.length > 0 };
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return { code: error.code, said: `${error.message} ${error.where.line ?? ''}` };
  }
}

function byGnuPatch(tree: Tree, patch: string, strip: number): Outcome {
  const root = join(folder, 'gnu');
  writeTree(root, tree);
  const args = [`-p${strip}`, '--forward', '--no-backup-if-mismatch', '--reject-file=-'];
  const options = {
    cwd: root,
    input: Buffer.from(patch, 'latin1'),
    env: { ...process.env, LC_ALL: 'C' },
    detached: true,
  };
  const { status, stdout, stderr } = spawnSync('patch', args, options);
  const said = `${stdout.toString('latin1')}${stderr.toString('latin1')}`;
  if (status !== 0) return { said };
  return { tree: readTree(root), fuzz: said.includes(' with fuzz '), said };
}

/** Refusals on purpose: GNU patch may find something to apply in what kpatch does not accept. */
const onPurpose = /^patch-(?:ambiguous|malformed|style|binary|special-file|encoded|escapes|not-a-patch)$/;

function show(tree: Tree | undefined): string {
  const files = [...(tree ?? [])].map(([path, { text, executable }]) => [path, text, executable]);
  return JSON.stringify(files.sort(), undefined, 1);
}

/** Compares both on one patch; the strip levels up to this are tried where kpatch refuses. */
const LEVELS = 3;

async function compare(
  tree: Tree,
  patch: { text: string; how: string },
  whole: boolean,
  number: number,
): Promise<string> {
  const ours = await byKpatch(tree, patch.text);
  const context = (theirs: Outcome): string => {
    writeFileSync(join(tmpdir(), 'kpatch-differential.patch'), patch.text, 'latin1');
    return `seed ${seed} number ${number}: ${patch.how}\nkpatch: ${ours.code ?? `-p${ours.strip}`} ${ours.said ?? ''}\nGNU patch: ${theirs.said}\n${patch.text}\n${show(tree)}`;
  };
  if (ours.tree !== undefined) {
    const theirs = byGnuPatch(tree, patch.text, ours.strip!);
    // A last line without its newline is a line for kpatch and for git, and is left out by GNU patch.
    if (theirs.said?.includes('patch unexpectedly ends in middle of line')) return 'last line';
    assert.equal(show(ours.tree), show(theirs.tree), context(theirs));
    return 'same';
  }
  if (!whole && onPurpose.test(ours.code ?? '')) return ours.code!;
  for (let strip = 0; strip <= LEVELS; strip++) {
    const theirs = byGnuPatch(tree, patch.text, strip);
    const applied = theirs.tree !== undefined && theirs.fuzz === false && show(theirs.tree) !== show(tree);
    assert.ok(!applied, `-p${strip} ${context(theirs)}`);
  }
  return ours.code!;
}

test(`${count} random patches, seed ${seed}`, async (context) => {
  const outcomes = new Map<string, number>();
  for (let number = 0; number < count; number++) {
    const dice = new Dice(seed * 1_000_003 + number);
    const original = someTree(dice);
    const changed = changedTree(dice, original);
    const mill = join(folder, 'mill');
    rmSync(mill, { recursive: true, force: true });
    mkdirSync(mill);
    const patch = wrapped(dice, writtenPatch(dice, mill, original, changed));
    if (patch.text.trim() === '') continue;
    const whole = dice.once(3);
    // In a third of the cases the tree is not the one that the patch was made for.
    const target = new Map(
      [...original].map(([path, file]) => {
        return [path, dice.once(8) ? { ...file, text: `first\n${file.text}` } : file];
      }),
    );
    const outcome = await compare(target, whole ? patch : damaged(dice, patch), whole, number);
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
  }
  context.diagnostic(`seed ${seed}: ${[...outcomes].map(([name, times]) => `${name} ${times}`).join(', ')}`);
  assert.ok((outcomes.get('same') ?? 0) > count / 4);
});
