/** What the boot guard remembers between boots (`.boot.json`). */

import type { bootGuardDocument } from '../../documents/definitions/stored.ts';
import type { Stored } from '../../documents/form.ts';

export type Guard = Stored<typeof bootGuardDocument>;
/** A patch as the guard knows it: the same name with other content is another patch. */
export type GuardedPatch = NonNullable<Guard['survived']>[number];
export type BlockedPatch = Guard['blocked'][number];
/** A boot whose trial nothing ended: no timer, no orderly shutdown, no person at work. */
export type LostBoot = NonNullable<Guard['lost']>[number];
/** A boot that ended without an orderly shutdown, in its trial or later. */
export type EndedBoot = NonNullable<Guard['ended']>[number];
