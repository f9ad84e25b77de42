/**
 * A kernel whose parts the user gives: `--image`, `--headers`, `--source`, `--modules`, `--debug-image`. It may have been
 * built by hand, by another distribution, by gcc or clang; all parts must belong to one kernel, which is checked as for any
 * other.
 */
import { existsSync, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { sha256 } from '../../base/digest.ts';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { parseRelease } from '../../kernel/release.ts';
import type { TargetKernel } from '../../kernel/target.ts';
import { unpackImage } from '../../kernel/unpack.ts';
import { bootImageOf } from '../../platform/registry.ts';
import type { KernelOffer } from '../provider.ts';

export interface CustomParts {
  /** vmlinuz (bzImage) or vmlinux. */
  readonly image: string;
  /** The folder that external modules are built with: `.config`, `Module.symvers`, generated headers. */
  readonly headers: string;
  /** An unpacked source or a tar archive of it; a tree in which the kernel was built will do. */
  readonly source: string;
  /** `/lib/modules/RELEASE` of the kernel. */
  readonly modules?: string;
  /** Its vmlinux with symbols, which is only compared with the image. */
  readonly debugImage?: string;
}

/** Files without which nothing can be built for the kernel. */
const headerFiles = ['.config', 'Module.symvers', 'include/generated/autoconf.h', 'include/config/auto.conf'];

/**
 * Looks at the parts. `key` names the kernel in the cache: its release and what tells it from others of that release.
 * Errors: `file-unreadable`, `kernel-image-format`, `kernel-part-missing`.
 */
export async function customOffer(given: CustomParts): Promise<KernelOffer & { readonly key: string }> {
  const image = absolute(given.image);
  const headers = absolute(given.headers);
  const source = absolute(given.source);
  const bytes = readBytes(image);
  const release = await releaseOf(bytes, image);
  for (const name of headerFiles) {
    if (!existsSync(join(headers, name))) {
      throw failure('kernel-part-missing', { release, part: 'headers', package: join(given.headers, name) });
    }
  }
  const isFolder = statSync(source).isDirectory();
  const config = readBytes(join(headers, '.config'));
  const stamp = `${statSync(source).mtimeMs} ${statSync(isFolder ? join(source, 'Makefile') : source).mtimeMs}`;
  const identity = sha256([sha256(bytes), sha256(config), headers, source, stamp, given.modules ?? ''].join('\n'));
  return {
    key: `${release}~${identity.slice(0, 12)}`,
    release,
    distribution: 'custom',
    sourceVersion: 'as given',
    packages: [],
    fetch: () => Promise.resolve({ kind: isFolder ? 'folder' : 'archive', path: source }),
    unpack: () =>
      Promise.resolve({
        image,
        headers,
        modules: given.modules === undefined ? undefined : absolute(given.modules),
      }),
  };
}

/**
 * An image with symbols must be of the same build as the one without; readelf reads only its notes.
 * Errors: `file-unreadable`, `kernel-release-mismatch`.
 */
export async function checkDebugImage(given: string, { buildId, release }: TargetKernel): Promise<void> {
  const file = absolute(given);
  if (buildId === undefined) return;
  const { stdout } = await run('readelf', ['-n', '--wide', file]);
  const found = /Build ID: ([0-9a-f]+)/.exec(stdout.toString())?.[1];
  if (found === buildId) return;
  const params = { part: 'image with symbols', found: found ?? 'an unknown build', wanted: `${release} (${buildId})` };
  throw failure('kernel-release-mismatch', params, { where: { file } });
}

function absolute(path: string): string {
  if (!existsSync(path))
    throw failure('file-unreadable', { file: path, reason: 'no such file or folder' }, { where: { file: path } });
  return realpathSync(resolve(path));
}

/** The release that an image says it is, by its boot header or else by its banner. Error: `kernel-image-format`. */
async function releaseOf(image: Buffer, file: string): Promise<string> {
  const release = headerRelease(image) ?? bannerRelease(await unpackImage(image, file));
  if (release !== undefined && parseRelease(release) !== undefined) return release;
  throw failure('kernel-image-format', { file, reason: 'it does not contain its release' }, { where: { file } });
}

/** The release that the header of a boot image says. */
function headerRelease(image: Buffer): string | undefined {
  const boot = bootImageOf(image);
  return typeof boot === 'object' ? boot.release : undefined;
}

function bannerRelease(vmlinux: Buffer): string | undefined {
  const at = vmlinux.indexOf('Linux version ');
  return at < 0 ? undefined : /^Linux version (\S{1,128})/.exec(vmlinux.toString('latin1', at, at + 160))?.[1];
}
