/** Downloads one small file: over TLS, with limits on time and size. */
import { failure } from '../../base/errors/error.ts';
import { LARGEST_PATCH } from '../diff/unpack.ts';

/** The server must answer within this time. */
const ANSWER_MS = 30_000;

/**
 * The bytes at an address. `settings` is the file that a user edits to take them from elsewhere.
 * Errors: `patch-address` for one that is not protected by TLS, `patch-unreachable`, `patch-too-large`.
 */
export async function download(address: string, settings: string): Promise<Buffer> {
  requireProtected(address);
  const unreachable = (reason: string, cause?: unknown): Error =>
    failure('patch-unreachable', { address, reason, settings }, cause === undefined ? {} : { cause });
  let response: Response;
  try {
    response = await fetch(address, { signal: AbortSignal.timeout(ANSWER_MS), headers: { 'user-agent': 'kpatch' } });
  } catch (error) {
    throw unreachable(reasonOf(error), error);
  }
  if (!response.ok) throw unreachable(`the server answers ${response.status} ${response.statusText}`.trim());
  requireProtected(response.url);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of response.body ?? []) {
      size += chunk.length;
      if (size > LARGEST_PATCH) break;
      chunks.push(chunk);
    }
  } catch (error) {
    throw unreachable(reasonOf(error), error);
  }
  if (size > LARGEST_PATCH) throw failure('patch-too-large', { file: address, limit: LARGEST_PATCH / 1024 / 1024 });
  return Buffer.concat(chunks);
}

/** Who can change a patch on its way can put code into the kernel, so plain HTTP is for this machine only. */
function requireProtected(address: string): void {
  const url = URL.parse(address);
  const own = url !== null && ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname);
  if (url?.protocol === 'https:' || (url?.protocol === 'http:' && own)) return;
  throw failure('patch-address', { address });
}

/** `fetch` hides the reason in the cause. */
function reasonOf(error: unknown): string {
  const { message, cause, name } = error as Error;
  if (name === 'TimeoutError') return `no answer within ${ANSWER_MS / 1000} s`;
  return cause instanceof Error ? cause.message || String((cause as NodeJS.ErrnoException).code) : message;
}

/**
 * The address of the bare patch, where a site shows it as a page: cgit's `/commit/`, a commit or pull request of GitHub and
 * GitLab, a mail in a lore archive.
 */
export function rawAddress(address: string): string {
  const url = URL.parse(address);
  if (url === null) return address;
  if (/\/commit\/?$/.test(url.pathname) && url.searchParams.has('id')) {
    url.pathname = url.pathname.replace(/\/commit\/?$/, '/patch/');
  } else if (/\/(?:commit|pull|merge_requests)\/[0-9a-f]+$/.test(url.pathname)) url.pathname += '.patch';
  else if (url.hostname === 'lore.kernel.org' && /^\/[^/]+\/[^/]+@[^/]+\/?$/.test(url.pathname)) {
    url.pathname = `${url.pathname.replace(/\/$/, '')}/raw`;
  }
  return url.href;
}
