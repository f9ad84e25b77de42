/** The series of a kernel from the changes between its source and that of a newer kernel. */
import { type Advisory, type TriagedCve, triageAll } from 'kpatch/advisories';
import { plural, sha256 } from 'kpatch/parts';
import type { DroppedFix } from '../../fixes/series.ts';
import { attribute, changesBetween, patchOf, withNeeds } from '../../fixes/source-pair.ts';
import type { StoredDocument } from '../../store/documents.ts';
import { type Factory, kernelOf, type StoredPatch, type StoredSeries } from '../factory.ts';

type StoredPair = StoredDocument<'pair'>;
/** A group of changes, with its patch in the store. */
type StoredGroup = StoredPair['groups'][number];

export interface PairRequest {
  /** CVEs that the kernel needs. */
  readonly wanted: readonly string[];
  readonly held: ReadonlyMap<string, { readonly word: string; readonly reason: string }>;
  /** Ids of groups that stay out, with the reason. */
  readonly excluded: ReadonlyMap<string, string>;
  readonly advisories: ReadonlyMap<string, Advisory>;
}

/** One patch for each group: those that a CVE is attributed to, or all that this configuration compiles. */
export async function pairSeries(factory: Factory, release: string, request: PairRequest): Promise<StoredSeries> {
  const { wanted, held, excluded, advisories } = request;
  const { newer = '', changes } = kernelOf(factory, release);
  const [older, later] = [await factory.tools.kernel(release), await factory.tools.kernel(newer)];
  const { groups } = await groupsOf(factory, release, [older, later]);
  const fixed = fixedIn(later.kernel, wanted, advisories, factory.config.selection);
  const { claims, unattributed } = attribute(groups, fixed);
  const without: { cve: string; reason: string }[] = [...unattributed];
  for (const cve of wanted)
    if (!fixed.some(({ id }) => id === cve))
      without.push({ cve, reason: `${newer} does not fix it, as far as is known` });
  const claimed = new Map<number, string[]>();
  for (const { cve, groups: own } of claims) {
    const decision = held.get(cve);
    if (decision === undefined) for (const group of own) claimed.set(group, [...(claimed.get(group) ?? []), cve]);
    else without.push({ cve, reason: `${decision.word === 'hold' ? 'held' : 'withdrawn'}: ${decision.reason}` });
  }
  const isBuilt = ({ files }: StoredGroup): boolean =>
    files.every((file) => file.endsWith('.h')) || files.some((file) => older.kernel.code.built(file).state === 'built');
  const heldGroups = new Set(claims.filter(({ cve }) => held.has(cve)).flatMap((claim) => claim.groups));
  const taken = groups.filter(({ id }) => !heldGroups.has(id) && claimed.has(id)).map(({ id }) => id);
  if (changes === 'all')
    for (const group of groups) if (!heldGroups.has(group.id) && isBuilt(group)) taken.push(group.id);
  const isTaken = new Set(taken);
  const all = new Set(taken.flatMap((id) => [...withNeeds(id, groups)]));
  const idOf = (group: number): string => groups[group]!.digest.slice(0, 40);
  const patches: StoredPatch[] = [];
  const dropped: DroppedFix[] = [];
  const out = new Map<number, string>();
  // In the order of the groups, in which each comes after what it needs.
  for (const id of [...all].sort((a, b) => a - b)) {
    const group = groups[id]!;
    const cves = claimed.get(id) ?? [];
    const commit = { id: idOf(id), subject: subjectOf(group), position: id, fixes: [], cves };
    const gone = group.needs.find((needed) => out.has(needed));
    const reason =
      (heldGroups.has(id) ? 'a person keeps it out' : undefined) ??
      excluded.get(commit.id) ??
      (gone === undefined ? undefined : `it needs ${idOf(gone).slice(0, 12)}, which is left out`);
    if (reason !== undefined) out.set(id, reason);
    if (reason !== undefined) dropped.push({ commit, cves, reason });
    else {
      const why = isTaken.has(id) ? 'fix' : 'prerequisite';
      patches.push({ commit, cves, why, needs: group.needs.map(idOf), digest: group.digest });
    }
  }
  return { patches, dropped, without };
}

function subjectOf({ files }: Pick<StoredGroup, 'files'>): string {
  const more = files.length > 2 ? ` and ${plural(files.length - 2, 'other file')}` : '';
  return `change of ${files.slice(0, 2).join(', ')}${more}`;
}

type Prepared = Awaited<ReturnType<Factory['tools']['kernel']>>;

/** The groups are made once for two sources. */
async function groupsOf(
  { state }: Factory,
  release: string,
  [older, later]: readonly [Prepared, Prepared],
): Promise<StoredPair> {
  const of = sha256(JSON.stringify([older.kernel.version, later.kernel.version, older.tree, later.tree]));
  const known = await state.read('pair', release);
  if (known?.of === of) return known;
  const groups: StoredGroup[] = [];
  for (const group of await changesBetween(older.tree, later.tree)) {
    const { id, needs, files } = group;
    const description = `Subject: ${subjectOf(group)}\n\nbetween ${older.kernel.version} and ${later.kernel.version}`;
    groups.push({ id, needs, files, digest: await state.blobs.put(patchOf(group, description)) });
  }
  const pair = { of, groups };
  await state.write('pair', release, pair);
  await state.note('pair', release, { groups: groups.length });
  return pair;
}

/** Records of wanted CVEs that the newer kernel is not affected by. */
function fixedIn(
  kernel: Prepared['kernel'],
  wanted: readonly string[],
  advisories: ReadonlyMap<string, Advisory>,
  selection: Factory['config']['selection'],
): Advisory[] {
  const some = new Map(wanted.flatMap((cve) => (advisories.has(cve) ? [[cve, advisories.get(cve)!] as const] : [])));
  const triaged: readonly TriagedCve[] = triageAll(some, kernel, selection);
  return triaged.flatMap(({ cve, answer }) =>
    answer === 'fixed' || answer === 'not affected' ? [some.get(cve)!] : [],
  );
}
