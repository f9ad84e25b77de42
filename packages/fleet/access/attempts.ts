/** How often somebody may guess a password: limited by address, and by account where many addresses guess. */
import { networkOf, RateLimit } from '../ingest/limit.ts';

const HOUR_MS = 3_600_000;
/** Wrong passwords for one account in an hour. */
const WRONG = 20;
/** No more pairs are remembered. */
const MOST_KNOWN = 10_000;

export class Attempts {
  readonly #addresses: RateLimit;
  readonly #accounts = new RateLimit(WRONG, HOUR_MS);
  /** Accounts and the networks from which they signed in, oldest first: a stranger who guesses does not lock them out. */
  readonly #known = new Set<string>();

  constructor(perMinute: number) {
    this.#addresses = new RateLimit(Math.min(perMinute, 10));
  }

  /** True if a password for this account may be tried from this address now. */
  may(account: string, address: string, now: number): boolean {
    if (!this.#addresses.take(networkOf(address), now)) return false;
    return this.#known.has(pair(account, address)) || this.#accounts.has(account, now);
  }

  /** The password was wrong. */
  failed(account: string, address: string, now: number): void {
    if (!this.#known.has(pair(account, address))) this.#accounts.take(account, now);
  }

  succeeded(account: string, address: string): void {
    const one = pair(account, address);
    this.#known.delete(one);
    this.#known.add(one);
    if (this.#known.size > MOST_KNOWN) this.#known.delete(this.#known.values().next().value!);
  }
}

const pair = (account: string, address: string): string => `${account} ${networkOf(address)}`;
