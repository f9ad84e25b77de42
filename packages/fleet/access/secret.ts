/** Secrets that the server makes and knows by their hash only, and passwords. */
import { createHash, randomBytes, scrypt, timingSafeEqual } from 'node:crypto';

/** A new secret of 192 bits with a prefix that says what it is for, so that scanners of leaked secrets know it. */
export function newSecret(prefix: string): string {
  return `${prefix}_${randomBytes(24).toString('base64url')}`;
}

/** A secret has so many bits that a plain hash is enough. */
export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

/** Cost of scrypt (RFC 7914): 32 MiB and about 0.1 s. */
const cost = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 << 20 };

/** The hash of a password, with its salt and cost. */
export async function hashPassword(password: string): Promise<string> {
  const salt = randomBytes(16);
  const key = await derive(password, salt, cost);
  return `scrypt$${cost.N}$${cost.r}$${cost.p}$${salt.toString('base64url')}$${key.toString('base64url')}`;
}

/** True if the password has this hash. */
export async function isPassword(password: string, hash: string): Promise<boolean> {
  const [kind, n, r, p, salt = '', wanted = ''] = hash.split('$');
  if (kind !== 'scrypt') return false;
  const expected = Buffer.from(wanted, 'base64url');
  const options = { N: Number(n), r: Number(r), p: Number(p), maxmem: 256 << 20 };
  const key = await derive(password, Buffer.from(salt, 'base64url'), options);
  return key.length === expected.length && timingSafeEqual(key, expected);
}

function derive(password: string, salt: Buffer, options: typeof cost): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password.normalize('NFKC'), salt, 32, options, (error, key) =>
      error === null ? resolve(key) : reject(error),
    );
  });
}
