/** The first stage: reads what the request names and refuses what can never be built, before anything expensive. */
import { checkSigningKey } from '../../module/make/sign.ts';
import { checkName, nameFor } from '../../module/name.ts';
import type { SourcePatch } from '../../source/patch.ts';
import { readSeries } from '../../source/series.ts';
import { type GivenModule, readGivenModule } from '../out-of-tree.ts';
import type { BuildRequest } from '../request.ts';

/** A request whose files were read. */
export interface Order {
  readonly request: BuildRequest;
  readonly patches: readonly SourcePatch[];
  /** Name of the livepatch module. */
  readonly name: string;
  /** The out-of-tree module to patch; undefined for the kernel tree. */
  readonly module: GivenModule | undefined;
}

/** Errors: those of reading patches, names, signing keys and modules. */
export async function readOrder(request: BuildRequest): Promise<Order> {
  const patches = readSeries(request.patches);
  const name = request.name === undefined ? nameFor(patches[0]!.name) : checkName(request.name);
  if (request.sign !== undefined) checkSigningKey(request.sign);
  const module = request.outOfTree === undefined ? undefined : await readGivenModule(request.outOfTree.module);
  return { request, patches, name, module };
}
