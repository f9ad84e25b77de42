/** Limits how often one host or address may come: a bucket of tokens that fills evenly. */

interface Bucket {
  tokens: number;
  at: number;
}

/** So many names are remembered; beyond that the ones that were quiet longest are forgotten. */
const MOST = 200_000;

/**
 * The name under which an address is limited: of IPv6 the first 64 bits, because whoever has one address has all of its network. An
 * IPv4 address that is written as IPv6 counts as itself.
 */
export function networkOf(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined || !address.includes(':')) return mapped ?? address;
  const [head = '', tail] = address.split('%')[0]!.split('::');
  const words = (text: string): string[] => (text === '' ? [] : text.split(':'));
  const [first, last] = [words(head), words(tail ?? '')];
  const zeros = tail === undefined ? [] : Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0');
  return [...first, ...zeros, ...last]
    .slice(0, 4)
    .map((word) => Number.parseInt(word, 16).toString(16))
    .join(':');
}

export class RateLimit {
  readonly #most: number;
  readonly #periodMs: number;
  readonly #buckets = new Map<string, Bucket>();

  /** So many in a period, a minute if none is given; they may come at once. */
  constructor(most: number, periodMs = 60_000) {
    this.#most = most;
    this.#periodMs = periodMs;
  }

  /** True if `name` may come now, or may send `amount` now; `now` in milliseconds. A clock that goes back takes nothing away. */
  take(name: string, now: number, amount = 1): boolean {
    const bucket = this.#filled(name, now);
    if (bucket.tokens < amount) return false;
    bucket.tokens -= amount;
    return true;
  }

  /** True if `name` might come now; nothing is taken. */
  has(name: string, now: number): boolean {
    return this.#filled(name, now).tokens >= 1;
  }

  #filled(name: string, now: number): Bucket {
    const bucket = this.#buckets.get(name) ?? { tokens: this.#most, at: now };
    const gained = (Math.max(0, now - bucket.at) * this.#most) / this.#periodMs;
    bucket.tokens = Math.min(this.#most, bucket.tokens + gained);
    bucket.at = now;
    // The map keeps the order of insertion, so its first names are those that were quiet longest.
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    if (this.#buckets.size > MOST) this.#buckets.delete(this.#buckets.keys().next().value!);
    return bucket;
  }
}
