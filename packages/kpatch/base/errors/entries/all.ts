/** The catalogue of all errors: the tables of all folders, joined. `docs/errors.md` is generated from it. */
import { buildErrors } from './build.ts';
import { channelErrors } from './channel.ts';
import { diffErrors } from './diff.ts';
import { elfErrors } from './elf.ts';
import { factoryErrors } from './factory.ts';
import { fleetErrors } from './fleet.ts';
import { generalErrors } from './general.ts';
import { hostErrors } from './host.ts';
import { kernelErrors } from './kernel.ts';
import { moduleErrors } from './module.ts';
import { proveErrors } from './prove.ts';
import { provenanceErrors } from './provenance.ts';
import { reviewErrors } from './review.ts';
import { sandboxErrors } from './sandbox.ts';
import { shieldErrors } from './shield.ts';
import { tufErrors } from './tuf.ts';
import { vmErrors } from './vm.ts';

export const catalogue = {
  ...generalErrors,
  ...elfErrors,
  ...diffErrors,
  ...kernelErrors,
  ...buildErrors,
  ...moduleErrors,
  ...reviewErrors,
  ...sandboxErrors,
  ...shieldErrors,
  ...vmErrors,
  ...proveErrors,
  ...provenanceErrors,
  ...hostErrors,
  ...channelErrors,
  ...tufErrors,
  ...factoryErrors,
  ...fleetErrors,
} as const;
