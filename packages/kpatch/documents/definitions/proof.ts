/** The proof file, and what `kpatch prove --json` prints. */
import * as v from 'valibot';
import { described, printed, stored } from '../document.ts';
import { error, line, natural, proofVerdict, release, sha256, time } from '../parts.ts';

const outcome = v.picklist(['held', 'failed', 'not run']);
const evidence = v.object({
  text: v.string(),
  data: v.optional(v.looseObject({})),
  varies: v.optional(described(v.boolean(), 'True for times, counts and addresses, which differ from run to run.')),
  detail: v.optional(v.string()),
});

export const proofCheck = v.object({
  check: line,
  boot: line,
  title: described(line, 'The claim as a sentence.'),
  outcome,
  reason: v.optional(v.string()),
  evidence: v.array(evidence),
  ms: v.number(),
});

export const proofBoot = v.object({
  boot: v.string(),
  title: v.string(),
  acceleration: v.string(),
  bootMs: v.number(),
  kept: v.optional(described(sha256, 'Digest of the kept guest that was resumed; absent where the kernel was booted.')),
  ran: v.optional(
    described(time, 'When this boot ended; present where the proof was interrupted and this boot was not run again.'),
  ),
  console: v.string(),
});

export const proofDocument = stored('kpatch.proof/1', '`MODULE.proof.json`', 'What `kpatch prove` showed.', {
  verdict: described(
    proofVerdict,
    '`proven`, `not proven`, or `proven except NAMES` with the modules that could not be run in a guest.',
  ),
  reasons: v.array(v.string()),
  plan: line,
  module: v.object({ name: line, file: line, sha256 }),
  kernel: v.object({
    release: line,
    image: described(sha256, 'Digest of the kernel image.'),
    buildId: v.optional(v.string()),
  }),
  inputs: described(
    v.array(v.object({ role: line, name: line, sha256 })),
    'Every other file that was used: test script, predecessors, checks.',
  ),
  tool: line,
  qemu: line,
  made: described(line, 'ISO 8601, UTC.'),
  checks: v.array(proofCheck),
  boots: v.array(proofBoot),
  ms: natural,
  signature: v.optional(
    v.object({
      algorithm: v.picklist(['ed25519', 'sha256']),
      key: described(sha256, 'Digest of the public key in DER form.'),
      value: described(v.string(), 'Base64.'),
    }),
  ),
});

export const proveDocument = {
  name: 'kpatch.prove/1',
  title: 'A proof was made. The document is streamed: `events` first, one on each line.',
  origin: { kind: 'printed', by: ['prove'] },
  schema: v.object({
    schema: v.literal('kpatch.prove/1'),
    warnings: v.array(v.string()),
    events: v.array(v.looseObject({ type: v.string() })),
    proof: v.optional(proofDocument.schema),
    proofs: v.optional(
      v.array(v.object({ label: v.string(), proof: v.nullable(proofDocument.schema), error: v.nullable(error) })),
    ),
    error: v.optional(error),
  }),
} as const;

export const tryDocument = printed('kpatch.try/1', 'try --command', 'What a command printed in the patched guest.', {
  release,
  patch: v.string(),
  loaded: described(v.boolean(), 'False with `--no-load`.'),
  startMs: described(natural, 'Milliseconds until the guest had loaded the patch.'),
  shared: described(v.boolean(), 'True if the guest could read the current folder.'),
  status: described(natural, 'Exit status of the command.'),
  output: v.string(),
});
