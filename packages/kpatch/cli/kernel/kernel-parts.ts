/** Options for a custom kernel and for an out-of-tree module, shared by build and reproduce. */
import type { Command } from 'commander';
import { failure } from '../../base/errors/error.ts';
import type { OutOfTreeModule } from '../../builder/out-of-tree.ts';
import type { CustomParts } from '../../distro/custom/custom.ts';

export interface PartOptions {
  readonly image?: string;
  readonly headers?: string;
  readonly source?: string;
  readonly modules?: string;
  readonly debugImage?: string;
  readonly ootModule?: string;
  readonly ootModuleSrc?: string;
}

/** Adds the options to a command. */
export function withParts(command: Command): Command {
  return command
    .option('--image <file>', 'image of a custom kernel (vmlinuz or vmlinux); needs --headers and --source')
    .option('--headers <folder>', 'its folder for building modules')
    .option('--source <path>', 'its source: a folder or a tar archive')
    .option('--modules <folder>', 'its modules: /lib/modules/RELEASE')
    .option('--debug-image <file>', 'its vmlinux with symbols')
    .option('--oot-module <file>', 'patch this out-of-tree module (the installed .ko file)')
    .option('--oot-module-src <folder>', 'its source, to which the patches apply');
}

/** The parts of a custom kernel; --image, --headers and --source are required together. Error: `usage`. */
export function partsOf({
  kernel,
  image,
  headers,
  source,
  modules,
  debugImage,
}: PartOptions & { readonly kernel?: string }): { parts?: CustomParts } {
  const all = { image, headers, source, modules, debugImage };
  const given = Object.entries(all).filter(([, value]) => value !== undefined);
  if (given.length === 0) return {};
  if (kernel !== undefined) throw failure('usage', { problem: `--kernel and --${given[0]![0]} cannot be combined` });
  if (image === undefined || headers === undefined || source === undefined) {
    throw failure('usage', { problem: 'a custom kernel needs --image, --headers and --source' });
  }
  const more = { ...(modules === undefined ? {} : { modules }), ...(debugImage === undefined ? {} : { debugImage }) };
  return { parts: { image, headers, source, ...more } };
}

/** The out-of-tree module; both options are required together. Error: `usage`. */
export function outOfTree({ ootModule, ootModuleSrc }: PartOptions): { outOfTree?: OutOfTreeModule } {
  if (ootModule === undefined && ootModuleSrc === undefined) return {};
  if (ootModule !== undefined && ootModuleSrc !== undefined) {
    return { outOfTree: { module: ootModule, source: ootModuleSrc } };
  }
  throw failure('usage', { problem: '--oot-module and --oot-module-src must be given together' });
}
