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
  readonly #perMinute: number;
  readonly #buckets = new Map<string, Bucket>();

  constructor(perMinute: number) {
    this.#perMinute = perMinute;
  }

  /** True if `name` may come now; `now` in milliseconds. A clock that goes back takes nothing away. */
  take(name: string, now: number): boolean {
    const bucket = this.#buckets.get(name) ?? { tokens: this.#perMinute, at: now };
    const gained = (Math.max(0, now - bucket.at) * this.#perMinute) / 60_000;
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + gained);
    bucket.at = now;
    // The map keeps the order of insertion, so its first names are those that were quiet longest.
    this.#buckets.delete(name);
    this.#buckets.set(name, bucket);
    if (this.#buckets.size > MOST) this.#buckets.delete(this.#buckets.keys().next().value!);
    if (bucket.tokens < 1) return false;
    bucket.tokens--;
    return true;
  }
}
