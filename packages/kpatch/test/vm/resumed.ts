/**
 * Guests for tests of what happens in a guest, not of how it comes up: resumed where one of the kind is kept, as for a proof.
 * That takes a second where a boot takes six in software emulation.
 */
import { join } from 'node:path';
import { cacheRoot } from '#kpatch/base/workspace.ts';
import type { BootOptions } from '#kpatch/vm/boot.ts';
import type { Guest } from '#kpatch/vm/guest.ts';
import { bootKept } from '#kpatch/vm/kept/kept.ts';

/** Where `kpatch prove` keeps guests too. */
export const guestsFolder = (): string => join(cacheRoot(), 'guests');

/** Parts of a kernel as `prepareKernel` and `kpatch kernel show` name them. */
interface Kernel {
  readonly release: string;
  readonly paths: { readonly image: string; readonly modules?: string | undefined };
}

/** A guest of that kernel. Errors: those of `bootKept`. */
export function resumed({ release, paths }: Kernel, options: Omit<BootOptions, 'image'> = {}): Promise<Guest> {
  const { image, modules } = paths;
  // The argument of proofs, so that both find the same guests.
  const kernelArguments = ['log_buf_len=4M', ...(options.kernelArguments ?? [])];
  return bootKept(
    { ...options, image, kernelArguments },
    { folder: guestsFolder(), label: release, ...(modules === undefined ? {} : { drivers: modules }) },
  );
}
