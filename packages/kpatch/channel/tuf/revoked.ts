/** The keys of modules and proofs that the root of a channel has revoked. */
import { list, object, type Plain, text } from '../../base/plain.ts';

/** The list in the own member of a root; entries of another form do not count. */
export function revokedOf(own: Plain): { key: string; reason: string }[] {
  return list(own.revoked)
    .map(object)
    .map(({ key, reason }) => ({ key: text(key) ?? '', reason: text(reason) ?? '' }))
    .filter(({ key }) => /^[0-9a-f]{64}$/.test(key));
}
