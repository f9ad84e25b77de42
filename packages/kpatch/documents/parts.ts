/** Parts that several documents share. */
import * as v from 'valibot';
import { described } from './document.ts';

/** SHA-256, 64 lower-case hexadecimal digits. */
export const sha256 = v.pipe(
  v.string(),
  v.regex(/^[0-9a-f]{64}$/, 'expected a SHA-256 digest, 64 hexadecimal digits'),
  v.title('a SHA-256 digest, 64 lower-case hexadecimal digits'),
);

/** A character that neither breaks a line nor turns its direction: those that base/text/printable.ts does not replace. */
const plain = '[^\\u0000-\\u001f\\u007f-\\u009f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ufeff]';

/** Text that is shown as part of a line somewhere. */
export const line = v.pipe(
  v.string(),
  v.maxLength(4095),
  v.regex(new RegExp(`^${plain}*$`)),
  v.title('a line of text without control and bidirectional characters'),
);

/** What a proof came to. A schema may have one pattern only, so this repeats what makes a line. */
export const proofVerdict = v.pipe(
  v.string(),
  v.regex(new RegExp(`^(?:proven|not proven|proven except ${plain}+)$`)),
  v.title('"proven", "not proven" or "proven except NAMES"'),
);

/** A plain file name, which cannot lead out of its folder. */
export const fileName = v.pipe(v.string(), v.regex(/^(?!\.{1,2}$)[^/\u0000]+$/), v.title('a plain file name'));

/** A whole number from 0. */
export const natural = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** A time as `Date.toISOString` writes it. */
export const time = v.pipe(v.string(), v.isoTimestamp());

export const release = described(v.string(), 'A kernel release, as `uname -r` prints it.');

/** A function in the running kernel. */
export const functionPlace = v.object({
  name: v.string(),
  object: described(v.string(), '`vmlinux` or a module.'),
  sympos: described(natural, 'Which symbol of that name in its object, from 1; 0 if there is only one.'),
});

export const place = v.object({
  file: v.optional(v.string()),
  line: v.optional(v.number()),
  section: v.optional(v.string()),
  offset: v.optional(described(v.number(), 'Bytes from the start of the section or file.')),
  symbol: v.optional(v.string()),
  function: v.optional(v.string()),
  object: v.optional(v.string()),
});

/** Why a patch, or one of its files, does not matter to a kernel. */
export const irrelevance = v.picklist([
  'documents-only',
  'other-architecture',
  'not-configured',
  'same-code',
  'overridden',
  'already-applied',
]);

export const leftOut = v.object({
  file: v.string(),
  reason: v.string(),
  proof: v.optional(
    described(irrelevance, 'Why the file does not matter to this kernel; absent if that was not shown.'),
  ),
});

export const error = v.object({
  code: described(v.string(), 'The entry in docs/errors.md.'),
  what: described(v.string(), 'What happened.'),
  where: v.optional(place),
  why: v.optional(described(v.string(), 'Why it matters.')),
  fix: v.optional(described(v.string(), 'What to do.')),
  detail: v.optional(described(v.string(), 'Verbatim output, of a compiler for example.')),
  usage: v.optional(described(v.string(), 'With wrong usage: how the command is called.')),
  reason: v.optional(described(irrelevance, 'With exit status 3: why there is nothing to do.')),
  leftOut: v.optional(described(v.array(leftOut), 'Changed files that are not in the result, each with the reason.')),
});

export const finding = v.object({
  check: v.string(),
  level: described(
    v.picklist(['fits', 'warning', 'unknown', 'refused']),
    '`unknown`: the check could not be made; `text` says why.',
  ),
  text: v.string(),
  error: v.optional(error),
});

export const holdup = v.object({
  pid: natural,
  tid: natural,
  command: v.string(),
  kernelThread: v.boolean(),
  state: described(v.string(), 'One letter, as in /proc/PID/stat.'),
  function: v.optional(described(v.string(), 'The patched function on the stack of the task.')),
  seconds: described(v.number(), 'Seconds since the task was first seen to block the transition.'),
  unseen: v.optional(
    described(
      v.array(v.string()),
      'Replaced scheduler functions: the task may be in them, but /proc/PID/stack omits them.',
    ),
  ),
  waitsFor: v.string(),
  stack: v.array(v.string()),
});

export const progress = v.object({
  total: described(natural, 'Tasks that take part in the transition.'),
  done: natural,
});

export const patchState = v.picklist(['enabled', 'disabled', 'enabling', 'disabling']);

export const version = v.object({ major: natural, minor: natural, patch: natural });

/** A hazard that `kpatch review` found. */
export const hazard = v.object({
  kind: described(line, 'The kind, see docs/review.md.'),
  place: described(line, 'File and line in the patched source.'),
  function: line,
  reason: described(line, 'What is wrong.'),
  remedy: described(line, 'What to do about it.'),
});

/** What a shield does, as its manifest says it. */
export const shieldNote = v.object({
  function: line,
  returns: described(line, 'C expression that refused calls return.'),
  when: v.optional(described(line, 'C condition on the arguments; absent if every call is refused.')),
  log: described(v.boolean(), 'True if refused calls are written to the kernel log.'),
  until: v.optional(described(time, 'From then on calls pass again.')),
});

/** Where the parts of a prepared kernel are. */
export const kernelPaths = v.object({
  root: described(v.string(), 'The folder in the cache; everything else lies below it.'),
  tree: v.string(),
  headers: v.string(),
  config: v.string(),
  symvers: v.string(),
  image: v.string(),
  vmlinux: v.string(),
  kallsyms: v.string(),
  modules: v.optional(v.string()),
});

/** The compiler of a prepared kernel. */
export const kernelCompiler = v.object({
  command: v.string(),
  builtBy: v.string(),
  makeArguments: v.array(v.string()),
  root: v.optional(described(v.string(), 'The folder of the build root.')),
});
