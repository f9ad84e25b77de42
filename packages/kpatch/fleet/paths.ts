/** Where the agent keeps its files. */
import { join } from 'node:path';

export interface Place {
  /** `/etc/kpatch/fleet`: membership, key and the certificates that the server is checked with. */
  readonly settings: string;
  readonly membership: string;
  readonly key: string;
  readonly authorities: string;
  /** `/var/lib/kpatch-report`: what the collecting process writes. */
  readonly state: string;
  readonly chain: string;
  readonly outbox: string;
  /** `/var/lib/kpatch-send`: what the sending process writes; nobody trusts it. */
  readonly sender: string;
  readonly answer: string;
}

/** The files of the agent of this machine, or of an image. */
export function placeIn(root = '/'): Place {
  const settings = join(root, 'etc/kpatch/fleet');
  const state = join(root, 'var/lib/kpatch-report');
  const sender = join(root, 'var/lib/kpatch-send');
  return {
    settings,
    membership: join(settings, 'membership.json'),
    key: join(settings, 'host.key'),
    authorities: join(settings, 'authorities.pem'),
    state,
    chain: join(state, 'chain.json'),
    outbox: join(state, 'outbox'),
    sender,
    answer: join(sender, 'answer.json'),
  };
}
