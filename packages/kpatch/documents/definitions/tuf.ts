/** Documents of the channel as TUF repository: roots, lists of modules, signatures, what a machine remembers. */
import * as v from 'valibot';
import { described, printed, stored } from '../document.ts';
import { natural, release, sha256, time } from '../parts.ts';

const roleName = v.picklist(['root', 'timestamp', 'snapshot', 'targets']);
const rootMembers = {
  channel: v.string(),
  version: natural,
  expires: v.string(),
  roles: v.array(v.object({ role: roleName, threshold: natural, keys: v.array(v.string()) })),
  revoked: v.array(v.object({ key: sha256, reason: v.string() })),
};

export const channelRootDocument = printed('kpatch.channel-root/1', 'channel root', 'A root waits for signatures.', {
  file: described(v.string(), 'The file to sign.'),
  ...rootMembers,
});

const listedModules = v.array(v.object({ release, name: v.string(), version: v.string(), sha256 }));

export const channelTargetsDocument = printed(
  'kpatch.channel-targets/1',
  'channel targets',
  'The list of modules waits for signatures.',
  {
    file: described(v.nullable(v.string()), 'The file to sign; null if the published list still holds.'),
    channel: v.string(),
    version: v.optional(natural),
    expires: v.optional(v.string()),
    modules: v.optional(listedModules),
  },
);

export const channelSignDocument = printed(
  'kpatch.channel-sign/1',
  'channel sign',
  'A root, or a list of modules, was signed.',
  {
    file: described(v.string(), 'The file with the signature.'),
    role: v.picklist(['root', 'targets']),
    channel: v.string(),
    version: natural,
    expires: v.string(),
    roles: v.optional(described(rootMembers.roles, 'Of a root.')),
    revoked: v.optional(described(rootMembers.revoked, 'Of a root.')),
    modules: v.optional(described(listedModules, 'Of a list of targets: the newest module of each kernel.')),
  },
);

export const channelImportDocument = printed('kpatch.channel-import/1', 'channel import', 'Signatures were added.', {
  role: v.picklist(['root', 'targets']),
  version: natural,
  complete: described(v.boolean(), 'True: a root counts now, targets are taken by the next publication.'),
  missing: v.object({
    before: described(natural, 'Signatures by root keys of the version before that are missing; 0 for targets.'),
    own: natural,
  }),
});

export const channelNewKeyDocument = printed('kpatch.channel-new-key/1', 'channel new-key', 'A key was made.', {
  file: v.string(),
  public: v.string(),
  id: sha256,
});

export const tufSignatureDocument = stored(
  'kpatch.tuf-signature/1',
  'the file that `kpatch channel sign` writes',
  'A signature over a root, or a list of targets, that waits for signatures.',
  {
    role: v.optional(described(v.picklist(['root', 'targets']), 'Default: `root`.')),
    channel: v.string(),
    version: natural,
    key: sha256,
    signature: v.string(),
  },
);

export const tufClientDocument = stored(
  'kpatch.tuf-client/1',
  '`/var/lib/kpatch/channel/client.json`',
  'Subscriptions, and what the channel delivered.',
  {
    subscribed: v.array(v.string()),
    delivered: v.array(v.object({ release, name: v.string(), version: v.string(), sha256 })),
    seen: described(
      v.optional(time),
      'Latest time that this machine can be sure of, which a clock that was set back does not undo.',
    ),
  },
);
