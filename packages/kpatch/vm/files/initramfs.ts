/** The first filesystem of a guest: busybox, the agent, and the files that the caller gives. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { run } from '../../base/run.ts';
import { programFolders } from '../../base/workspace.ts';
import { type CpioEntry, cpio } from '../../formats/cpio.ts';
import type { Platform } from '../../platform/platform.ts';
import { platformHere } from '../../platform/registry.ts';

/** A file inside a guest: its content (text or bytes), or a file of this machine; scripts get mode 0o755. */
export type GuestFile =
  | string
  | Uint8Array
  | { readonly content: string | Uint8Array; readonly mode?: number }
  | { readonly from: string; readonly mode?: number };

/** Path inside the guest → file. */
export type GuestFiles = Readonly<Record<string, GuestFile>>;

/**
 * The initramfs archive for a guest of a machine. `init` is the text of `/init`.
 * Errors: `busybox-missing`, `guest-file`, `file-unreadable`; for another machine than this one also those of `busyboxFor`.
 */
export async function initramfs(files: GuestFiles, init: string, platform: Platform = platformHere()): Promise<Buffer> {
  const busybox = platform === platformHere() ? await findBusybox() : await foreignBusybox(platform);
  const entries: CpioEntry[] = [
    ...['bin', 'dev', 'etc', 'mnt', 'proc', 'root', 'run', 'sys', 'tmp'].map(
      (path) => ({ path, folder: true }) as const,
    ),
    { path: 'bin/busybox', content: busybox.bytes, mode: 0o755 },
    ...busybox.applets.map((name) => ({ path: `bin/${name}`, link: 'busybox' })),
    { path: 'etc/passwd', content: Buffer.from('root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:::\n') },
    { path: 'etc/group', content: Buffer.from('root:x:0:\nnogroup:x:65534:\n') },
    { path: 'sbin', link: 'bin' },
    { path: 'usr/bin', link: '../bin' },
    { path: 'usr/sbin', link: '../bin' },
    { path: 'init', content: Buffer.from(init), mode: 0o755 },
  ];
  return cpio([...entries, ...entriesOf(files)]);
}

/** These files alone as an archive. Errors: `guest-file`, `file-unreadable`. */
export function fileArchive(files: GuestFiles): Buffer {
  return cpio(entriesOf(files));
}

function entriesOf(files: GuestFiles): CpioEntry[] {
  return Object.entries(files).map(([path, file]) => ({ path, ...contentOf(file) }));
}

function contentOf(file: GuestFile): { content: Uint8Array; mode: number } {
  if (typeof file === 'string' || file instanceof Uint8Array) return { content: bytesOf(file), mode: 0o644 };
  const mode = (file.mode ?? 0o644) & 0o7777;
  return { content: 'from' in file ? readBytes(file.from) : bytesOf(file.content), mode };
}

function bytesOf(content: string | Uint8Array): Uint8Array {
  return typeof content === 'string' ? Buffer.from(content) : content;
}

interface Busybox {
  readonly bytes: Buffer;
  readonly applets: readonly string[];
}

/** The busybox of another machine. It cannot run here, so its own table says which applets it has. */
async function foreignBusybox({ naming }: Platform): Promise<Busybox> {
  const { busyboxFor } = await import('../../distro/programs.ts');
  const path = await busyboxFor(naming);
  const bytes = readBytes(path);
  const applets = appletsIn(bytes);
  if (applets.includes('sh')) return { bytes, applets };
  throw failure('busybox-missing', { problem: `${path} has no shell applet` }, { where: { file: path } });
}

/**
 * The names in the program's own table: sorted, each ended by a zero byte, the first ones `[` and `[[` (busybox,
 * include/applet_tables.h: `applet_names`). Empty if it is not found.
 */
export function appletsIn(program: Buffer): string[] {
  const start = program.indexOf('[\0[[\0', 0, 'latin1');
  if (start < 0) return [];
  const names: string[] = [];
  for (let at = start; ; ) {
    const end = program.indexOf(0, at);
    const name = program.toString('latin1', at, end);
    if (end < 0 || !/^[\w.[+-]{1,32}$/.test(name) || name < (names.at(-1) ?? '')) return names;
    if (name !== 'busybox') names.push(name);
    at = end + 1;
  }
}

let found: Promise<Busybox> | undefined;

/** The machine's static busybox with the names of its applets; read once. */
function findBusybox(): Promise<Busybox> {
  found ??= readBusybox();
  found.catch(() => {
    found = undefined;
  });
  return found;
}

async function readBusybox(): Promise<Busybox> {
  for (const folder of programFolders()) {
    const path = join(folder, 'busybox');
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
    } catch {
      continue;
    }
    // A dynamically linked program names its interpreter; the guest has none.
    if (bytes.subarray(0, 4096).includes('ld-linux')) {
      throw failure('busybox-missing', { problem: `${path} is dynamically linked` }, { where: { file: path } });
    }
    // Its end may be seen late: what is computed for other proofs in the meantime runs in this process.
    const { stdout } = await run(path, ['--list'], { timeoutMs: 120_000 });
    const applets = stdout
      .toString()
      .split('\n')
      .filter((name) => /^[\w.[+-]+$/.test(name) && name !== 'busybox');
    if (applets.includes('sh')) return { bytes, applets };
    throw failure('busybox-missing', { problem: `${path} has no shell applet` }, { where: { file: path } });
  }
  throw failure('busybox-missing', { problem: 'there is none in PATH' });
}
