/** What one publication says: its kernels on its day, and until when it is valid. */
import type { ChannelConfig } from './config.ts';
import { type ChannelKernel, newestPatch, rebootInto, untilOf } from './kernel.ts';
import { dayOf, stateOn } from './window.ts';

export interface Publication {
  readonly config: ChannelConfig;
  readonly date: Date;
  readonly validUntil: Date;
  /** In order of their release. */
  readonly kernels: readonly ChannelKernel[];
}

export const kernelsSchema = 'kpatch.channel-kernels/1';

/** A kernel in `kernels.json`. Days are `YYYY-MM-DD`, the last day of a window belongs to it. */
export interface PublishedKernel {
  readonly release: string;
  readonly arch: string;
  readonly distribution: string;
  readonly packageVersion: string;
  readonly released: string;
  readonly until: string;
  readonly extended: string | null;
  readonly rebootInto: string | null;
  readonly patch: {
    readonly version: number;
    readonly release: number;
    readonly issued: string;
    readonly proven: boolean;
    readonly cves: readonly { readonly id: string; readonly title: string; readonly severity: string }[];
  } | null;
}

/** The kernels as machines and people read them. */
export function publishedKernels(publication: Publication): PublishedKernel[] {
  const { kernels, config } = publication;
  const today = dayOf(publication.date);
  // Nobody should reboot into a kernel that receives no more live patches.
  const supported = kernels.filter((kernel) => stateOn(today, untilOf(kernel, config)) !== 'ended');
  return kernels.map((kernel) => {
    const patch = newestPatch(kernel);
    return {
      release: kernel.release,
      arch: kernel.arch,
      distribution: kernel.distribution,
      packageVersion: kernel.packageVersion,
      released: kernel.released,
      until: untilOf(kernel, config),
      extended: kernel.extended?.reason ?? null,
      rebootInto: rebootInto(kernel, supported),
      patch:
        patch === undefined
          ? null
          : {
              version: patch.record.version,
              release: patch.record.release,
              issued: patch.issued,
              proven: patch.proven,
              cves: patch.record.cves,
            },
    };
  });
}

/** `kernels.json`. */
export function kernelsDocument(publication: Publication): object {
  const { config, date, validUntil } = publication;
  return {
    schema: kernelsSchema,
    channel: { name: config.name, description: config.description, url: config.url },
    published: date.toISOString(),
    validUntil: validUntil.toISOString(),
    kernels: publishedKernels(publication),
  };
}
