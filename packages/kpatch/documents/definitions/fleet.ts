/** Documents between a machine and its fleet server, and of the commands for them. */
import * as v from 'valibot';
import { described, printed, stored, textOf } from '../document.ts';
import { line, natural, patchState, sha256, time } from '../parts.ts';

/** 128 bits in hexadecimal. */
const id = textOf(/^[0-9a-f]{32}$/, '32 hexadecimal digits');
const label = textOf(/^[A-Za-z0-9][\w.:=/-]{0,63}$/, 'a label: letters, digits, "_", ".", ":", "=", "/" and "-"');
const short = v.pipe(
  v.string(),
  v.maxLength(255),
  v.regex(/^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$/),
  v.title('a short line of text'),
);
const many = <const S extends v.GenericSchema>(item: S, most: number) => v.pipe(v.array(item), v.maxLength(most));

const incident = v.object({
  kind: described(
    v.picklist(['crash', 'oops', 'failed', 'slow', 'blocked', 'shadowed']),
    '`crash`: a boot was lost; `oops`: the kernel survived a fault; `failed`: a patch could not be loaded; `slow`: its transition took more than a minute; `blocked`: the boot guard does not load it; `shadowed`: other code runs instead of the patch.',
  ),
  key: described(short, 'Names this incident on this machine, so that it counts once however often it is reported.'),
  at: time,
  kernel: v.optional(described(short, 'The kernel with which it happened, if another one runs now.')),
  patch: v.optional(described(sha256, 'The patch that was active or was being loaded.')),
  text: described(line, 'What was observed.'),
});

export const fleetReportDocument = stored(
  'kpatch.fleet-report/1',
  '`/var/lib/kpatch-report/outbox/`, and sent to the fleet server in a signed envelope',
  'What a machine tells its fleet server: the digests of what runs, not which CVEs that fixes.',
  {
    host: described(id, 'The first half of the SHA-256 of the public key of this machine (32 bytes, Ed25519).'),
    counter: described(v.pipe(v.number(), v.safeInteger(), v.minValue(1)), 'Grows by one with every report.'),
    link: described(id, 'Random; the next report names it as `previous`.'),
    previous: described(
      textOf(/^(?:[0-9a-f]{32})?$/, '32 hexadecimal digits or empty'),
      'The link of the report before it; empty in the first.',
    ),
    at: time,
    machine: described(
      sha256,
      'Over the machine id and the product id of the firmware: a copy on other hardware has another one.',
    ),
    name: described(short, 'The name of the machine.'),
    boot: v.object({ id: short, seconds: described(natural, 'Since the kernel started.') }),
    version: described(short, 'Version of kpatch.'),
    kernel: v.object({
      release: short,
      arch: short,
      package: v.optional(described(short, 'Version of the kernel package, from the banner of the kernel.')),
      buildId: v.optional(short),
      livepatch: v.boolean(),
    }),
    patches: described(
      many(
        v.object({
          name: short,
          state: patchState,
          sha256: v.optional(described(sha256, 'Absent if another program loaded it.')),
          version: v.optional(natural),
          seconds: v.optional(described(v.number(), 'Seconds that its transition took.')),
          functions: natural,
        }),
        64,
      ),
      'Loaded live patches.',
    ),
    installed: described(many(v.object({ name: short, sha256: v.optional(sha256) }), 64), 'What the next boot loads.'),
    transition: v.optional(v.object({ patch: short, done: natural, total: natural })),
    effective: v.optional(
      described(
        v.object({ works: natural, shadowed: many(short, 64), unknown: natural, digest: sha256 }),
        'Replaced functions whose new code runs, that other code shadows, and of which neither is known (docs/effective.md).',
      ),
    ),
    modules: described(
      v.object({ digest: sha256, names: v.optional(many(short, 2048)) }),
      'Loaded modules; the names are there until the server has a list with this digest.',
    ),
    incidents: many(incident, 64),
    policy: described(short, 'The digest of the host policy, `none` or `unusable`.'),
    channel: v.optional(v.object({ url: short, problem: v.optional(short) })),
    reboot: described(v.boolean(), 'True if only a reboot brings the fixes that are installed.'),
    todo: described(natural, 'Things that `kpatch status` asks the administrator to do.'),
  },
);

const choice = v.object({
  release: described(short, 'The kernel.'),
  sha256: described(sha256, 'Digest of the module, which the channel must list.'),
  rollout: v.optional(natural),
});

export const fleetAnswerDocument = stored(
  'kpatch.fleet-answer/1',
  '`/var/lib/kpatch-send/answer.json`',
  'What the server answered to the last report. It is not trusted: it can only choose among the patches of the channel.',
  {
    host: id,
    taken: described(natural, 'Counter of the report that this answers.'),
    counter: described(natural, 'The next report must have a higher one.'),
    standing: described(
      v.picklist(['normal', 'restored', 'cloned', 'left']),
      '`restored`: this machine is an earlier state of itself; `cloned`: two machines use one key, and each must join with its own; `left`: it is not in this fleet any more.',
    ),
    intervalSeconds: natural,
    choices: many(choice, 64),
    modules: described(
      textOf(/^(?:[0-9a-f]{64})?$/, 'a SHA-256 digest or empty'),
      'The list of modules that the server has; if it is empty, the next report must contain the names.',
    ),
  },
);

export const fleetMembershipDocument = stored(
  'kpatch.fleet-membership/1',
  '`/etc/kpatch/fleet/membership.json`',
  'The fleet that this machine belongs to.',
  {
    url: textOf(/^https?:\/\/[^\s'"\\]+$/, 'an address (https://...)'),
    host: id,
    joined: time,
    intervalSeconds: natural,
  },
);

export const fleetChainDocument = stored(
  'kpatch.fleet-chain/1',
  '`/var/lib/kpatch-report/chain.json`',
  'Where the reports of this machine have got to.',
  {
    counter: natural,
    link: textOf(/^(?:[0-9a-f]{32})?$/, '32 hexadecimal digits or empty'),
    modules: described(v.string(), 'Digest of the list of modules that the server has.'),
    choices: described(many(choice, 64), 'What the server chose last; only these patches are installed.'),
    standing: v.string(),
    dropped: described(natural, 'Reports that were never sent because the outbox was full.'),
  },
);

const joinRequest = {
  token: textOf(/^[A-Za-z0-9_-]{20,100}$/, 'a token'),
  key: described(textOf(/^[A-Za-z0-9+/]{43}=$/, '32 bytes in base64'), 'The public key of the machine (Ed25519).'),
  machine: sha256,
  name: short,
  signature: described(
    textOf(/^[A-Za-z0-9+/]{86}==$/, '64 bytes in base64'),
    'By that key over the line `kpatch-fleet-join TOKEN`.',
  ),
};

export const fleetJoinRequestDocument = stored(
  'kpatch.fleet-join-request/1',
  'sent to the fleet server',
  'A machine asks to join a fleet.',
  joinRequest,
);

export const fleetJoinedDocument = stored(
  'kpatch.fleet-joined/1',
  'the answer of the fleet server to a machine that joined',
  'The machine belongs to the fleet.',
  { host: id, intervalSeconds: natural, labels: many(label, 64) },
);

export const reportCommandDocument = printed('kpatch.report/1', 'report', 'A report to the fleet server.', {
  report: v.optional(described(v.omit(fleetReportDocument.schema, ['schema']), 'With `--print`: what would be sent.')),
  bytes: v.optional(described(natural, 'Size of the signed report.')),
  sent: v.optional(described(natural, 'Reports that the server took.')),
  waiting: v.optional(described(natural, 'Reports in the outbox.')),
  standing: v.optional(v.string()),
});

export const fleetJoinDocument = printed('kpatch.fleet-join/1', 'fleet join', 'This machine belongs to a fleet.', {
  url: v.string(),
  host: id,
  labels: v.array(v.string()),
  timer: described(v.boolean(), 'True if a timer sends the reports.'),
});

export const fleetLeaveDocument = printed('kpatch.fleet-leave/1', 'fleet leave', 'This machine left its fleet.', {
  url: v.string(),
  told: described(v.boolean(), 'False if the server could not be told.'),
});

export const fleetShowDocument = printed(
  'kpatch.fleet-show/1',
  'fleet show',
  'The fleet that this machine belongs to.',
  {
    url: v.string(),
    host: id,
    joined: time,
    counter: natural,
    waiting: natural,
    standing: v.string(),
    choices: v.array(choice),
  },
);
