/** The settings of a factory: `factory.json` in its folder (docs/factory.md). */

import { readFileSync } from 'node:fs';
import { dirname, isAbsolute, join } from 'node:path';
import { hazardKinds, rewriteRules } from 'kpatch';
import { defaultSelection, readSelection, type SelectionRules } from 'kpatch/advisories';
import { described } from 'kpatch/documents';
import { failure, requireOwnFolder } from 'kpatch/parts';
import * as v from 'valibot';

const ruleNames = rewriteRules.map(({ name }) => name);

const day = v.pipe(v.string(), v.regex(/^\d{4}-\d{2}-\d{2}$/, 'expected a day, YYYY-MM-DD'));

const schema = v.strictObject({
  schema: v.literal('kpatch.factory/1'),
  feeds: v.array(v.string()),
  kernels: v.pipe(
    v.array(
      v.strictObject({
        release: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][\w.+~-]*$/, 'expected a release, as uname -r prints it')),
        base: described(
          v.optional(v.string()),
          'The commit of the repository that holds its source; without it the source is imported.',
        ),
        branch: v.optional(v.string()),
        newer: described(
          v.optional(v.string()),
          'A newer kernel of its line: fixes are the changes between the two sources, not commits of a repository.',
        ),
        changes: described(
          v.optional(v.picklist(['claimed', 'all']), 'claimed'),
          'With `newer`: only changes that a CVE is attributed to, or all that this configuration compiles.',
        ),
        suite: v.optional(v.string()),
        until: described(v.optional(day), 'Last day of its support window.'),
      }),
    ),
    v.minLength(1),
  ),
  repository: v.optional(v.string()),
  branch: v.optional(v.string(), 'HEAD'),
  selection: v.optional(v.string()),
  channel: v.optional(v.string()),
  decision: described(
    v.optional(v.picklist(['automatic', 'person']), 'person'),
    'Who lets a patch out: the factory itself, or a person (`kpatch-factory approve`).',
  ),
  proof: v.optional(v.picklist(['none', 'quick', 'full']), 'quick'),
  deny: described(
    v.optional(v.array(v.picklist(['all', ...hazardKinds])), ['all']),
    'Kinds of hazards that keep a fix out (docs/review.md) until a person accepts it.',
  ),
  rewrite: described(
    v.optional(v.array(v.picklist(['all', ...ruleNames])), []),
    'Rules that may rewrite a fix which the build refuses (docs/rewrite.md).',
  ),
  proofKey: described(v.optional(v.string()), 'Private keys (PEM) that sign proofs and provenance.'),
  provenanceKey: v.optional(v.string()),
});

/** For docs/json.md. */
export const settingsDocument = {
  name: 'kpatch.factory/1',
  title: 'The settings of a factory.',
  origin: { kind: 'given', to: '`kpatch-factory` as `factory.json`' },
  schema,
} as const;

export type FactoryKernel = v.InferOutput<typeof schema>['kernels'][number];

export interface FactoryConfig extends Omit<v.InferOutput<typeof schema>, 'deny' | 'rewrite' | 'selection'> {
  readonly home: string;
  /** Names of kinds; `all` is resolved. */
  readonly deny: readonly string[];
  /** Names of rules; `all` is resolved. */
  readonly rewrite: readonly string[];
  readonly selection: SelectionRules;
}

/** Every CVE: what a fix costs is seconds, so the default is to take all. */
const everything: SelectionRules = { ...defaultSelection, least: 'none', unrated: 'take' };

/** Reads `factory.json`; paths in it are relative to its folder. Errors: `factory-config`, `folder-owner`, those of reading the selection. */
export function readConfig(home: string): FactoryConfig {
  requireOwnFolder(home);
  const bad = (problem: string): Error => failure('factory-config', { folder: home, file: 'factory.json', problem });
  let document: unknown;
  try {
    document = JSON.parse(readFileSync(join(home, 'factory.json'), 'utf8'));
  } catch (error) {
    throw bad((error as Error).message);
  }
  const read = v.safeParse(schema, document);
  if (!read.success) throw bad(`${v.getDotPath(read.issues[0]) ?? 'the document'}: ${read.issues[0].message}`);
  const { selection, ...rest } = read.output;
  const at = (path: string): string =>
    isAbsolute(path) || /^[a-z+]+:\/\//i.test(path) ? path : join(dirname(join(home, 'x')), path);
  const doubled = rest.kernels.find(
    ({ release }, index) => rest.kernels.findIndex((one) => one.release === release) !== index,
  );
  if (doubled !== undefined) throw bad(`the kernel ${doubled.release} is listed twice`);
  return {
    ...rest,
    home,
    deny: rest.deny.includes('all') ? hazardKinds : rest.deny,
    rewrite: rest.rewrite.includes('all') ? ruleNames : rest.rewrite,
    feeds: rest.feeds.map(at),
    ...(rest.repository === undefined ? {} : { repository: at(rest.repository) }),
    ...(rest.channel === undefined ? {} : { channel: at(rest.channel) }),
    ...(rest.proofKey === undefined ? {} : { proofKey: at(rest.proofKey) }),
    ...(rest.provenanceKey === undefined ? {} : { provenanceKey: at(rest.provenanceKey) }),
    selection: selection === undefined ? everything : readSelection(at(selection)),
  };
}
