/** The loadable modules of a kernel, from its image package, and the names of its built-in modules. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { failure } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import { compressionOf } from '../formats/compression.ts';
import { sandboxed } from '../sandbox/sandbox.ts';
import type { TargetKernel } from './target.ts';

/** No module unpacks to more (bytes). */
const LIMIT = 256 << 20;

export class KernelModules {
  readonly #release: string;
  readonly #folder: string | undefined;
  readonly #paths = new Map<string, string>();
  #builtin: Set<string> | undefined;

  /**
   * Lists the modules below `/lib/modules/RELEASE` of the target (`kernel.paths.modules`), or those that were built in a
   * folder with the kernel; an absent folder has none.
   */
  constructor(kernel: Pick<TargetKernel, 'release' | 'paths'>) {
    this.#release = kernel.release;
    this.#folder = kernel.paths.modules;
    if (this.#folder === undefined || !existsSync(this.#folder)) return;
    for (const path of builtIn(this.#folder) ?? filesBelow(this.#folder)) {
      const file = /([^/]+)\.ko(?:\.xz|\.zst|\.gz)?$/.exec(path)?.[1];
      if (file !== undefined) this.#paths.set(file.replaceAll('-', '_'), path);
    }
  }

  /** Names of all modules, with underscores, as the kernel has them. */
  get names(): string[] {
    return [...this.#paths.keys()];
  }

  /** The path below `/lib/modules/RELEASE`, as `kernel/drivers/net/tun.ko`; `-` and `_` are the same. */
  pathOf(name: string): string | undefined {
    return this.#paths.get(name.replaceAll('-', '_'));
  }

  /** The path in the source without suffix, as `drivers/net/tun`: what kbuild calls the module's modfile. */
  objectOf(name: string): string | undefined {
    return this.pathOf(name)
      ?.replace(/^kernel\//, '')
      .replace(/\.ko(\.\w+)?$/, '');
  }

  /** True if `modules.builtin` names it: code that could be a module and is in vmlinux. */
  isBuiltin(name: string): boolean {
    if (this.#builtin === undefined) {
      const file = this.#folder === undefined ? undefined : join(this.#folder, 'modules.builtin');
      const lines = file !== undefined && existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
      this.#builtin = new Set(
        lines.map((line) =>
          line
            .slice(line.lastIndexOf('/') + 1)
            .replace(/\.ko$/, '')
            .replaceAll('-', '_'),
        ),
      );
    }
    return this.#builtin.has(name.replaceAll('-', '_'));
  }

  /** The bytes of a module's ELF file, unpacked. Errors: `kernel-module-unknown`, `kernel-image-format`. */
  async read(name: string): Promise<Buffer> {
    const path = this.pathOf(name);
    if (path === undefined || this.#folder === undefined) {
      throw failure('kernel-module-unknown', { release: this.#release, module: name });
    }
    return unpackModule(readBytes(join(this.#folder, path)), path);
  }
}

/** Paths below a folder; links are not followed, as `build` leads to a whole source, which may have the folder in it. */
function filesBelow(folder: string): string[] {
  // Node's own recursive listing follows them.
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? filesBelow(join(folder, entry.name)).map((path) => join(entry.name, path)) : [entry.name],
  );
}

/** The modules of a folder in which a kernel was built, by kbuild's own list; undefined for any other folder. */
function builtIn(folder: string): string[] | undefined {
  const order = join(folder, 'modules.order');
  if (existsSync(join(folder, 'modules.dep')) || !existsSync(join(folder, 'Makefile')) || !existsSync(order))
    return undefined;
  // Objects since Linux 6.2, modules before.
  const paths = readFileSync(order, 'utf8').split('\n').filter(Boolean);
  return paths.map((path) => path.replace(/\.o$/, '.ko')).filter((path) => existsSync(join(folder, path)));
}

/**
 * Unpacks a module file: plain, xz, zstd or gzip, known by its first bytes. Errors: `kernel-image-format`,
 * `output-too-large`.
 */
export async function unpackModule(bytes: Buffer, file: string): Promise<Buffer> {
  const compression = compressionOf(bytes);
  try {
    if (compression === 'zstd') return zstdDecompressSync(bytes, { maxOutputLength: LIMIT });
    if (compression === 'gzip') return gunzipSync(bytes, { maxOutputLength: LIMIT });
  } catch (cause) {
    throw failure('kernel-image-format', { file, reason: 'the compressed module is damaged' }, { cause });
  }
  if (compression !== 'xz') return bytes;
  const options = { view: {}, input: bytes, maxOutput: LIMIT };
  const { status, stdout, stderr } = await sandboxed('xz', ['-dc'], options);
  if (status !== 0)
    throw failure('kernel-image-format', { file, reason: `the compressed module is damaged (${stderr.trim()})` });
  return stdout;
}
