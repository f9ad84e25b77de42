/** Documents about shields. */
import * as v from 'valibot';
import { described, printed } from '../document.ts';
import { functionPlace, natural, release, sha256, shieldNote } from '../parts.ts';

const plain = v.pipe(v.string(), v.maxLength(2000));

/** The file that a vendor publishes with an advisory: what to refuse until the fix is there. */
export const shieldFileDocument = {
  name: 'kpatch.shield/1',
  title: 'A shield for a CVE: which function refuses which calls.',
  origin: { kind: 'given', to: '`kpatch shield --cve FILE`' },
  schema: v.strictObject({
    schema: v.pipe(v.literal('kpatch.shield/1'), v.description('Name and version of this document.')),
    cves: described(
      v.pipe(v.array(v.pipe(v.string(), v.regex(/^CVE-\d{4}-\d{4,}$/))), v.minLength(1)),
      'CVEs that it protects from.',
    ),
    title: described(plain, 'What the CVE is about, one sentence.'),
    function: described(v.pipe(v.string(), v.regex(/^[A-Za-z_]\w*$/)), 'The function that refuses calls.'),
    file: v.optional(described(plain, 'Its source file, if several define one of that name.')),
    returns: described(plain, 'What refused calls return, such as `-EPERM`.'),
    when: v.optional(described(plain, 'C condition on the arguments; absent to refuse every call.')),
    log: v.optional(described(v.boolean(), 'Write refused calls to the kernel log, at a limited rate.')),
    expires: v.optional(described(plain, 'How long it lasts after it is built, such as `14d`.')),
    impact: described(plain, 'What no longer works while the shield is active, one sentence.'),
    test: v.optional(described(plain, 'A test script beside the file: fails without the shield, passes with it.')),
  }),
} as const;

export const shieldDocument = printed('kpatch.shielded/1', 'shield', 'A shield was built.', {
  module: described(v.string(), 'Path of the module; empty with `--patch-only`.'),
  patch: v.optional(described(v.string(), 'Path of the generated source patch, if it was asked for.')),
  name: v.string(),
  release,
  sha256: v.optional(described(sha256, 'Digest of the module without its signature.')),
  shield: shieldNote,
  cves: v.array(v.string()),
  place: described(v.string(), 'File and line of the function.'),
  parameters: described(v.array(v.string()), 'Names and types of the arguments, from debug information.'),
  functions: described(
    v.array(functionPlace),
    'Functions that the module replaces: also those that the compiler put the function into.',
  ),
  callers: v.array(
    v.object({
      function: v.string(),
      place: v.string(),
      result: described(
        v.picklist(['returned', 'tested', 'ignored', 'asserted', 'used']),
        'What happens to the result.',
      ),
    }),
  ),
  references: described(
    v.array(v.object({ place: v.string(), through: v.string() })),
    'Places that take its address: a member of a table, or a function it is passed to.',
  ),
  understood: described(v.array(v.string()), 'Return values that the callers take as a refusal.'),
  users: described(
    v.object({
      counted: v.boolean(),
      why: v.optional(described(v.string(), 'Why they were not counted.')),
      seconds: v.optional(natural),
      calls: v.optional(natural),
      by: v.optional(v.array(v.object({ comm: v.string(), calls: natural }))),
    }),
    'Who called the function on the target while the shield was built.',
  ),
  verdict: v.optional(described(v.string(), 'Verdict of the proof, with `--prove`.')),
  notes: v.array(v.string()),
});
