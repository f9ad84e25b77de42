/**
 * Files that save work: what was derived from a kernel, and what a command notes for the next one. A file that is missing, damaged
 * or of another form counts as absent and is made again (`keptDocument`). The number in a file's name rises when its meaning changes.
 */
import * as v from 'valibot';
import { described, kept } from '../document.ts';
import { natural, sha256, time } from '../parts.ts';
import { proofBoot, proofCheck } from './proof.ts';

const derived = '`/var/cache/kpatch/derived/*/';

export const kbuildVariablesDocument = kept(
  'kpatch.kbuild-variables',
  `${derived}kbuild-variables.json\``,
  'What the top Makefile of a kernel exports to its sub-makes.',
  v.record(v.string(), v.string()),
);

export const objectMapDocument = kept(
  'kpatch.object-map',
  `${derived}object-map.json\``,
  'The objects of each compilation unit, as pairs of a unit and its objects.',
  v.array(
    v.tuple([
      v.string(),
      v.array(
        v.object({
          object: described(v.string(), '`vmlinux`, or the name of the module in the kernel.'),
          directory: described(v.string(), 'The directory whose Makefile builds it, relative to the tree.'),
          path: v.optional(described(v.string(), 'Path of the module in the tree without `.ko`.')),
        }),
      ),
    ]),
  ),
);

export const includeGraphDocument = kept(
  'kpatch.include-graph',
  `${derived}include-graph-2.json\``,
  'Which files of a kernel tree include which. Numbers are places in `files`.',
  v.object({
    files: v.array(v.string()),
    edges: described(v.array(natural), 'Pairs: a file, one that it includes.'),
    generated: described(v.array(natural), 'Files that are, or include, what kbuild generates when it compiles them.'),
    copies: described(
      v.array(natural),
      'Pairs: a unit that is not there, the source that kbuild compiles for it, which it has an edge to.',
    ),
    forced: described(v.array(v.string()), 'Files that the command line includes into every unit.'),
  }),
);

export const targetFactsDocument = kept(
  'kpatch.target-facts',
  `${derived}structures-*.json\``,
  'What the source and the compiler of a kernel answer to rules that depend on the kernel.',
  v.object({
    structures: described(
      v.record(v.string(), v.object({ size: natural, members: v.record(v.string(), natural) })),
      'Bytes of each structure, and of its members from its start.',
    ),
    features: v.record(v.string(), v.boolean()),
    symbolName: described(natural, 'KSYM_NAME_LEN: bytes of the name of a symbol with its end.'),
  }),
);

export const pastingDocument = kept(
  'kpatch.pasting',
  `${derived}pasting-2.json\``,
  'Macros that join words, as pairs of a macro and the pieces that it joins.',
  v.array(v.tuple([v.string(), v.array(v.string())])),
);

export const compileTimeDocument = kept(
  'kpatch.compile-time',
  `${derived}compile-time.json\``,
  'How long a unit takes to compile, on average.',
  v.object({ unitMs: described(v.number(), 'Of one compiler.'), units: described(natural, 'How many were measured.') }),
);

export const packageDigestsDocument = kept(
  'kpatch.package-digests',
  `${derived}packages.json\``,
  'SHA-256 of the packages that a kernel was prepared from, by `NAME VERSION`.',
  v.record(v.string(), sha256),
);

export const linkRecipeDocument = kept(
  'kpatch.link-recipe',
  `${derived}link.json\``,
  'The commands by which kbuild links a module.',
  v.object({
    key: described(v.string(), 'Digest of everything that the recipe depends on.'),
    digest: described(v.string(), 'Digest of the recipe as JSON.'),
    recipe: v.object({
      inFolder: described(v.boolean(), 'The commands run in the working folder (Linux 6.13 and later).'),
      glue: v.string(),
      common: v.optional(v.string()),
      join: v.string(),
      order: v.string(),
      modpost: v.string(),
      versions: v.string(),
      module: v.string(),
    }),
  }),
);

export const keptUnitDocument = kept(
  'kpatch.kept-unit',
  'the first line of a compiled unit in the cache',
  'What a compiled unit is; its object follows.',
  v.object({
    digest: described(sha256, 'Of the object.'),
    read: described(v.array(v.string()), 'The files that the compiler read.'),
  }),
);

export const wordIndexFilesDocument = kept(
  'kpatch.word-index-files',
  `the end of ${derived}words-1.bin\``,
  'The files of a kernel tree whose words the index has. It refers to them by their place in this list.',
  v.array(v.string()),
);

export const loadFailuresDocument = kept(
  'kpatch.load-failures',
  '`/run/kpatch/failures.json`',
  'The last loads that failed since the machine booted, oldest first.',
  v.array(
    v.object({
      at: time,
      name: v.string(),
      sha256: described(v.string(), 'Of the module file.'),
      code: described(v.string(), 'The entry in docs/errors.md.'),
      text: v.string(),
    }),
  ),
);

export const timingsDocument = kept(
  'kpatch.timings',
  '`/var/cache/kpatch/timings.json`',
  'How long builds took, by kernel.',
  v.record(
    v.string(),
    v.array(
      v.object({
        unitMs: described(v.number(), 'Of one compiler for one unit.'),
        restMs: described(v.number(), 'Of everything else.'),
      }),
    ),
  ),
);

export const guestMemoryDocument = kept(
  'kpatch.guest-memory',
  'a file for each guest that runs or waits for memory',
  'What virtual machines have been promised.',
  v.object({
    owner: described(natural, 'Process that keeps the file.'),
    ownerStart: described(v.string(), 'When that process started, in ticks since boot.'),
    mib: v.number(),
    pid: v.optional(natural),
    since: v.optional(described(v.number(), 'Of one that waits, in milliseconds since 1970: when it came.')),
    looked: v.optional(described(v.number(), 'When it last looked.')),
  }),
);

export const finishedBootDocument = kept(
  'kpatch.finished-boot',
  '`/var/cache/kpatch/proofs/*.json`',
  'A boot of a proof that was interrupted, in which every check held.',
  v.object({
    made: time,
    checks: v.array(proofCheck),
    boot: proofBoot,
    store: v.optional(described(v.string(), 'The store as a tar archive, base64.')),
    exceptions: v.array(v.tuple([v.string(), v.string()])),
    stockComplaints: v.array(v.string()),
  }),
);
