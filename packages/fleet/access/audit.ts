/** The audit log: who changed what. It only grows, and housekeeping removes what is older than `retention.auditDays`. */
import type { Queries } from '../store/database.ts';

/** Who acts: an account, an API token, the command line, or a host. */
export interface Actor {
  readonly who: string;
  readonly address: string;
}

export const commandLine: Actor = { who: 'command line', address: '' };

/** Notes an action, in the transaction that carries it out. */
export async function audit(
  queries: Queries,
  { who, address }: Actor,
  action: string,
  subject: string,
  detail: object = {},
): Promise<void> {
  await queries.query('insert into fleet.audit (who, action, subject, detail, address) values ($1, $2, $3, $4, $5)', [
    who,
    action,
    subject,
    JSON.stringify(detail),
    address,
  ]);
}
