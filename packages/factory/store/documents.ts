/**
 * The documents that a factory stores under names, each defined once: its type, its validation and what docs/json.md says of it.
 * Most are about one kernel: the release follows the name after a colon.
 */
import { hazardKinds } from 'kpatch';
import {
  type DocumentDefinition,
  described,
  kept,
  natural,
  problemIn,
  sha256,
  time,
  triagedCve,
} from 'kpatch/documents';
import { failure } from 'kpatch/parts';
import * as v from 'valibot';

const texts = v.array(v.string());
const cves = described(texts, 'CVE ids.');

const status = v.picklist(['affected', 'unaffected', 'unknown']);
const scheme = v.picklist(['deb', 'rpm', 'upstream']);

const advisory = v.object({
  id: v.string(),
  title: v.exactOptional(v.string()),
  severities: v.array(
    v.object({
      level: v.picklist(['none', 'low', 'moderate', 'important', 'critical']),
      by: v.string(),
      score: v.exactOptional(v.number()),
      vector: v.exactOptional(v.string()),
    }),
  ),
  files: texts,
  applies: v.array(
    v.object({
      scheme,
      distribution: v.exactOptional(v.string()),
      by: v.exactOptional(v.string()),
      package: v.exactOptional(v.string()),
      otherwise: status,
      rules: v.array(
        v.object({
          from: v.string(),
          below: v.exactOptional(v.string()),
          through: v.exactOptional(v.string()),
          status,
        }),
      ),
    }),
  ),
  rejected: v.boolean(),
  published: v.exactOptional(v.string()),
  commits: v.array(v.object({ introduced: v.exactOptional(v.string()), fixed: v.exactOptional(v.string()) })),
  exploited: v.exactOptional(v.string()),
  problems: texts,
  sources: texts,
});

const changelog = v.object({
  file: v.string(),
  source: v.string(),
  scheme,
  entries: v.array(
    v.object({
      version: v.string(),
      distribution: v.string(),
      date: v.optional(v.string()),
      fixes: v.array(v.object({ cve: v.string(), title: v.string() })),
    }),
  ),
});

const intake = v.array(
  v.object({
    feed: v.string(),
    file: v.string(),
    format: v.string(),
    advisories: v.array(advisory),
    changelog: v.exactOptional(changelog),
  }),
);

const feeds = v.record(
  v.string(),
  v.object({
    location: v.string(),
    position: described(v.string(), 'Commit or entity tag; empty if the feed has neither.'),
    files: described(v.record(v.string(), v.string()), 'A mark for each file, which changes when its content does.'),
  }),
);

const commit = v.object({
  id: v.string(),
  subject: v.string(),
  position: described(natural, 'Place in the history; a later commit has a higher one.'),
  upstream: v.exactOptional(described(v.string(), 'The commit of the main line that it carries back.')),
  fixes: described(texts, 'Ids, often cut off, of the commits that it fixes.'),
  reverts: v.exactOptional(v.string()),
  cves: described(texts, 'CVEs that its text names.'),
});

const series = v.object({
  patches: v.array(
    v.object({
      commit,
      cves,
      why: v.picklist(['fix', 'prerequisite', 'fix of a fix']),
      needs: described(texts, 'Ids of the commits of the series that it cannot do without.'),
      digest: described(sha256, 'Of the patch file.'),
    }),
  ),
  dropped: v.array(v.object({ commit, cves, reason: v.string() })),
  without: described(v.array(v.object({ cve: v.string(), reason: v.string() })), 'CVEs without a fix to apply.'),
});

const rewritten = v.record(
  v.string(),
  v.object({
    rules: texts,
    digest: described(sha256, 'Of the patch that is built instead.'),
    notes: described(texts, 'What each rule did and assumes.'),
  }),
);

const excluded = v.record(
  v.string(),
  v.union([
    described(v.string(), 'The reason alone, as version 0.1 wrote it.'),
    v.object({
      by: v.picklist(['review', 'build', 'proof']),
      reason: v.string(),
      log: described(sha256, 'Of what was said in full: messages of the compiler, hazards, reasons of the proof.'),
    }),
  ]),
);

const build = v.object({
  series: described(sha256, 'Of the stored series that it is made of.'),
  version: natural,
  module: v.exactOptional(
    v.object({
      name: v.string(),
      digest: sha256,
      functions: texts,
      provenance: v.exactOptional(sha256),
    }),
  ),
  cves,
  patches: v.array(
    v.object({
      commit: v.string(),
      subject: v.string(),
      cves,
      digest: v.exactOptional(described(sha256, 'Of the patch as it was built.')),
      rewritten: v.exactOptional(described(texts, 'What rewriting it did and assumes.')),
    }),
  ),
  dropped: v.array(v.object({ commit: v.string(), cves, reason: v.string() })),
});

const proof = v.object({
  module: sha256,
  verdict: v.picklist(['proven', 'refused', 'not proven']),
  reasons: texts,
  report: v.exactOptional(described(sha256, 'Of its report (HTML).')),
  predecessor: v.exactOptional(described(sha256, 'The module whose replacement it shows.')),
});

const published = v.object({
  module: sha256,
  version: natural,
  cves,
  at: time,
  name: v.exactOptional(described(v.string(), 'Name of the module file.')),
  since: v.exactOptional(
    described(v.record(v.string(), time), 'Since when each CVE has been fixed by what is published, without a gap.'),
  ),
});

const hazards = v.array(
  v.object({
    kind: v.picklist(hazardKinds),
    place: v.string(),
    function: v.string(),
    reason: v.string(),
    remedy: v.string(),
  }),
);

const pair = v.object({
  of: described(sha256, 'Of the two sources.'),
  groups: v.array(
    v.object({
      id: natural,
      needs: v.array(natural),
      files: texts,
      digest: described(sha256, 'Of its patch.'),
    }),
  ),
});

const definition = <const N extends string, const S extends v.GenericSchema>(name: N, title: string, schema: S) =>
  kept(`kpatch.factory-${name}`, `the store of a factory, under the name \`${name}\``, title, schema);

const documents = {
  intake: definition('intake', 'What the feeds said: an entry for each file.', intake),
  feeds: definition('feeds', 'How far each feed was read.', feeds),
  triage: definition('triage', 'The answer for each CVE of a kernel.', v.array(triagedCve)),
  series: definition('series', 'The series of patches for a kernel.', series),
  rewritten: definition('rewritten', 'Patches that are built rewritten, by the digest of the given one.', rewritten),
  excluded: definition('excluded', 'Why commits are kept out of the series, by commit.', excluded),
  build: definition('build', 'The module of a kernel.', build),
  proof: definition('proof', 'What the proof of the module came to.', proof),
  published: definition('published', 'What was published for a kernel.', published),
  reviewed: definition('reviewed', 'Hazards by what was reviewed.', v.record(v.string(), hazards)),
  screened: definition('screened', 'Digests of patches that build by themselves with what they need.', texts),
  pair: definition('pair', 'The changes between the source of a kernel and a newer one, in groups.', pair),
} as const;

/** Those that only save work: one that does not fit is made again. */
const remade: ReadonlySet<DocumentName> = new Set(['reviewed', 'screened', 'pair'] as const);

export type DocumentName = keyof typeof documents;

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;
/** The content of a stored document: nobody changes it. */
export type StoredDocument<N extends DocumentName> = Frozen<v.InferOutput<(typeof documents)[N]['schema']>>;

/** For docs/json.md. */
export const storedDocuments: readonly DocumentDefinition[] = Object.values(documents);

/** The bytes as the document of that name; undefined if it has to be made again. Error: `factory-document`. */
export function documentFrom<const N extends DocumentName>(name: N, bytes: Buffer): StoredDocument<N> | undefined {
  const { value, problem } = parsed(documents[name].schema, bytes.toString());
  if (problem === undefined) return value as StoredDocument<N>;
  if (remade.has(name)) return undefined;
  throw failure('factory-document', { document: name, problem });
}

/** A line of a dump. */
const dumped = v.union([
  v.strictObject({ pointer: v.strictObject({ name: v.string(), digest: sha256 }) }),
  v.strictObject({
    decision: v.strictObject({
      subject: v.string(),
      word: v.picklist(['accept', 'approve', 'hold', 'release', 'withdraw']),
      reason: v.string(),
      who: v.string(),
      at: time,
    }),
  }),
  v.strictObject({
    event: v.strictObject({
      id: natural,
      at: time,
      kind: v.string(),
      kernel: v.string(),
      data: v.record(v.string(), v.unknown()),
    }),
  }),
]);

export type DumpLine = Frozen<v.InferOutput<typeof dumped>>;

/** Reads the lines of a dump. Error: `factory-document`. */
export function dumpLines(dump: string): DumpLine[] {
  return dump.split('\n').flatMap((line, at) => {
    if (line === '') return [];
    const { value, problem } = parsed(dumped, line);
    if (problem === undefined) return [value as DumpLine];
    throw failure('factory-document', { document: 'dump', problem: `line ${at + 1}: ${problem}` });
  });
}

/** A value without a problem, or the problem. Members that another version added stay. */
function parsed(schema: v.GenericSchema, text: string): { readonly value?: unknown; readonly problem?: string } {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: (error as Error).message };
  }
  const problem = problemIn(schema, value);
  return problem === undefined ? { value } : { problem };
}
