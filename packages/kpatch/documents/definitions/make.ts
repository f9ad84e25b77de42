/** Documents of the commands that build: build, diff, kernel, doctor. */
import * as v from 'valibot';
import { described, printed } from '../document.ts';
import {
  functionPlace,
  hazard,
  kernelCompiler,
  kernelPaths,
  leftOut,
  natural,
  release,
  sha256,
  version,
} from '../parts.ts';

const cause = v.object({
  kind: described(
    v.picklist(['edited', 'through', 'unknown']),
    '`edited`: the source of the function changed; `through`: something compiled into it changed; `unknown`: the source does not tell.',
  ),
  chain: described(v.array(v.string()), 'From what the function uses to what was edited.'),
  place: v.optional(described(v.string(), 'The edited place, as `fs/proc/meminfo.c:35`.')),
  patches: v.array(v.string()),
});

const adjustment = v.object({
  patch: v.string(),
  file: v.string(),
  hunk: natural,
  offset: described(v.number(), 'Lines by which the place moved.'),
  fuzz: described(natural, 'Lines of context that did not match.'),
  lines: v.string(),
});

export const buildDocument = printed('kpatch.build/1', 'build', 'A live patch was built.', {
  module: described(v.string(), 'Path of the module.'),
  name: v.string(),
  version: natural,
  release,
  sha256: described(sha256, 'Digest of the module without its signature.'),
  bytes: natural,
  signed: v.boolean(),
  units: described(v.array(v.string()), 'Object files that were compiled.'),
  functions: v.array(
    v.object({
      ...functionPlace.entries,
      kind: v.picklist(['changed', 'new']),
      unit: v.string(),
      digest: v.optional(
        described(sha256, 'Digest of the replaced code, if the run-pre match found it in the kernel.'),
      ),
      source: v.optional(described(v.string(), 'Source file and line.')),
      reasons: v.array(v.string()),
      cause,
      patches: v.array(v.string()),
    }),
  ),
  runPre: described(
    v.object({ matched: natural, of: natural }),
    'Replaced functions that match the code of the target kernel, of all replaced functions.',
  ),
  provenance: v.optional(
    described(
      v.object({ file: v.string(), key: v.optional(described(sha256, 'The key that signed it; absent if none did.')) }),
      'What the module was built from, as an in-toto statement (docs/provenance.md).',
    ),
  ),
  leftOut: described(v.array(leftOut), 'Changed files that have no code in this kernel, each with the reason.'),
  adjustments: described(v.array(adjustment), 'Hunks that were applied at another line or with fuzz.'),
  hazards: v.optional(described(v.array(hazard), 'What the review found (docs/review.md).')),
  notes: v.array(v.string()),
  checked: v.object({
    bytes: natural,
    code: natural,
    data: natural,
    exportedSymbols: natural,
    livepatchSymbols: natural,
    functions: natural,
    vermagic: v.string(),
    namespaces: v.array(v.string()),
    depends: v.array(v.string()),
  }),
  stages: described(v.array(v.object({ name: v.string(), ms: v.number() })), 'Milliseconds of each stage.'),
  parsed: v.optional(
    described(
      natural,
      'ELF files that were parsed, each once: both versions of every unit that changes, the linked and the finished module, modules of the kernel.',
    ),
  ),
  peakMemoryKiB: natural,
});

const reason = v.object({
  text: v.string(),
  offset: v.optional(described(v.number(), 'Bytes from the start of the function, in the original.')),
  patchedOffset: v.optional(v.number()),
});

export const buildPlanDocument = printed('kpatch.build-plan/1', 'build --plan', 'What a build would do.', {
  release,
  name: v.string(),
  units: v.array(
    v.object({
      object: described(v.string(), 'The object file that is compiled, before and after the patch.'),
      owners: described(v.array(v.string()), '`vmlinux` or modules that contain it.'),
      through: described(v.array(v.string()), 'The changed files because of which it is compiled.'),
    }),
  ),
  functions: described(
    v.array(v.object({ name: v.string(), unit: v.string(), cause })),
    'Functions expected to change, by the source; the compiler decides.',
  ),
  functionsKnown: described(v.boolean(), 'False if there are too many units to read them all.'),
  leftOut: v.array(leftOut),
  adjustments: described(v.array(adjustment), 'Hunks that apply at another line or with fuzz.'),
  expectedMs: described(v.nullable(natural), 'Milliseconds, by the builds measured on this machine; null without any.'),
});

export const diffDocument = printed('kpatch.diff/1', 'diff', 'What changed between two object files.', {
  status: v.picklist(['changed', 'unchanged']),
  architecture: v.string(),
  object: v.string(),
  functions: v.array(
    v.object({
      name: described(v.string(), 'As the kernel knows it, from the original object.'),
      patchedName: v.string(),
      aliases: v.array(v.string()),
      section: v.string(),
      kind: v.picklist(['changed', 'new']),
      bind: v.picklist(['local', 'global']),
      sympos: v.optional(natural),
      reasons: v.array(reason),
      originalSize: natural,
      size: natural,
      source: v.optional(v.string()),
    }),
  ),
  travelling: described(
    v.array(v.object({ name: v.string(), kind: v.string(), section: v.string(), size: natural, reason: v.string() })),
    'Data and code that the module carries along with the functions.',
  ),
  callbacks: v.boolean(),
  references: described(
    v.array(
      v.object({
        name: v.string(),
        object: v.optional(v.string()),
        exported: v.boolean(),
        sympos: natural,
      }),
    ),
    'What the module refers to in the kernel.',
  ),
  defined: v.array(v.string()),
  unresolved: v.array(v.string()),
  namespaces: v.array(v.string()),
  leftOut: described(
    v.array(
      v.object({
        reason: v.picklist([
          'init',
          'exit',
          'list',
          'overridden',
          'removed',
          'export',
          'module information',
          'section',
          'place',
        ]),
        name: v.string(),
        section: v.string(),
        text: v.string(),
      }),
    ),
    'Changes that have no effect in a running kernel, so that the module does not contain them.',
  ),
  notes: v.array(v.string()),
});

const explained = v.object({ offset: v.number(), text: v.string(), references: v.array(v.string()) });

export const explainDocument = printed(
  'kpatch.explain/1',
  'diff --explain',
  'Both versions of one function, line by line.',
  {
    name: v.string(),
    reason: v.optional(reason),
    original: v.optional(v.array(explained)),
    patched: v.optional(v.array(explained)),
    first: v.optional(described(natural, 'Index of the first line that differs.')),
  },
);

const targetKernel = v.object({
  release,
  version,
  arch: v.string(),
  distribution: v.string(),
  origin: v.optional(described(v.string(), 'The distribution release that it belongs to, as `ID:VERSION`.')),
  sourceVersion: v.string(),
  packages: v.array(v.object({ name: v.string(), version: v.string(), sha256: v.optional(sha256) })),
  paths: kernelPaths,
  compiler: kernelCompiler,
  buildId: v.optional(v.string()),
  livepatch: v.boolean(),
  banner: v.optional(v.string()),
});

export const kernelDocument = printed('kpatch.kernel/1', ['kernel add', 'kernel show'], 'A prepared kernel.', {
  kernel: targetKernel,
  unchanged: v.optional(v.boolean()),
  changed: v.optional(described(v.string(), 'A file that was changed by hand.')),
  modules: v.optional(v.array(v.string())),
});

export const kernelsDocument = printed('kpatch.kernels/1', 'kernel list', 'The prepared kernels.', {
  kernels: v.array(
    v.object({
      release,
      state: v.picklist(['ready', 'incomplete']),
      version: v.optional(v.string()),
      distribution: v.optional(v.string()),
    }),
  ),
});

export const kernelRemovedDocument = printed(
  'kpatch.kernel-removed/1',
  'kernel remove',
  'A prepared kernel was removed.',
  { release },
);

export const doctorDocument = printed('kpatch.doctor/1', 'doctor', 'What this machine is fit for.', {
  fit: described(v.record(v.string(), v.boolean()), 'For each purpose: build, prove, load.'),
  checks: v.array(
    v.object({
      purpose: v.picklist(['build', 'prove', 'load']),
      thing: v.string(),
      state: v.picklist(['ok', 'warning', 'missing']),
      found: v.string(),
      fix: v.optional(v.string()),
      package: v.optional(described(v.string(), 'The package that provides what is missing.')),
    }),
  ),
});

const cacheKind = v.picklist([
  'kernel',
  'derived',
  'objects',
  'guest',
  'root',
  'packages',
  'lists',
  'code',
  'leftover',
  'other',
]);

const cacheEntry = v.object({
  kind: cacheKind,
  name: v.string(),
  path: v.string(),
  bytes: natural,
  used: described(v.string(), 'When it was last used.'),
  inUse: v.boolean(),
  kernel: v.optional(described(v.string(), 'The kernel that it belongs to.')),
  neededBy: v.optional(
    described(v.array(v.string()), 'The prepared kernels that need it; it stays while there is one.'),
  ),
  what: v.string(),
});

export const cacheDocument = printed('kpatch.cache/1', 'cache list', 'What the cache holds.', {
  folder: v.string(),
  bytes: natural,
  entries: v.array(cacheEntry),
});

export const cacheSizeDocument = printed('kpatch.cache-size/1', 'cache size', 'How much disk space the cache uses.', {
  folder: v.string(),
  bytes: natural,
  maxSize: described(v.nullable(natural), 'The limit in bytes; null if there is none.'),
  kinds: v.array(v.object({ kind: cacheKind, entries: natural, bytes: natural })),
});

export const cachePruneDocument = printed('kpatch.cache-prune/1', 'cache prune', 'Entries of the cache were removed.', {
  dryRun: v.boolean(),
  removed: v.array(cacheEntry),
  kept: described(v.array(cacheEntry), 'Entries that are in use.'),
  before: described(natural, 'Bytes of the whole cache before.'),
  after: natural,
});

export const rewriteDocument = printed('kpatch.rewrite/1', 'rewrite', 'A patch was rewritten.', {
  release,
  patch: described(v.string(), 'Path of the new patch; empty if no rule applied.'),
  rules: described(
    v.array(
      v.object({
        rule: described(v.string(), 'The rule, see docs/rewrite.md.'),
        file: v.string(),
        name: described(v.string(), 'What it is about: a variable, member, table or function.'),
        outcome: v.picklist(['applied', 'refused']),
        text: v.string(),
        assumes: described(v.string(), 'What must be true for the result to be right; empty if it was refused.'),
      }),
    ),
    'What each rule did, or why it did not.',
  ),
});

export const reviewDocument = printed('kpatch.review/1', 'review', 'Hazards of source patches.', {
  release,
  hazards: described(v.array(hazard), 'Empty if none was found.'),
  reviewed: described(natural, 'Number of functions whose source changes.'),
});
