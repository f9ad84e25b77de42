/** The modules that a patch changes, in a guest: loaded, or a stand-in for those whose hardware the guest does not have. */
import type { GuestFile } from '../../../vm/files/initramfs.ts';
import { moduleFiles } from '../../../vm/files/modules.ts';
import { standIn } from '../../input/stand-in.ts';
import type { Session } from '../check.ts';
import { ClaimFailed } from '../event.ts';

const STAND_INS = '/kpatch/stand-in';

/** The stand-ins of these modules and of what they need, as files for a guest. `folder` is `.../lib/modules/RELEASE`. Errors: as `moduleFiles`. */
export async function standIns(folder: string, modules: readonly string[]): Promise<Record<string, GuestFile>> {
  const files: Record<string, GuestFile> = {};
  for (const [path, file] of Object.entries(await moduleFiles({ folder, available: modules }))) {
    if (!path.endsWith('.ko') || !(file instanceof Uint8Array)) continue;
    const copy = standIn(file, path);
    if (copy !== undefined) files[`${STAND_INS}/${path}`] = copy;
  }
  return files;
}

/**
 * Loads a module that the patch changes; what was done, in words. Where the stock kernel cannot load it, it is an exception of the
 * proof, and its stand-in takes its place in this guest. Throws `ClaimFailed` where it may be the patch that prevents it.
 */
export async function loadTarget(session: Session, module: string): Promise<string> {
  const { state, exceptions } = session;
  const step = `modprobe ${module}`;
  const { status, output } = await session.sh(step, { step });
  if (status === 0) return `${module}, which the patch changes, is loaded`;
  // With the patch active only what the stock kernel could not load either is not its fault.
  if (state.patchedAtBoot === true && !exceptions.has(module))
    throw new ClaimFailed(`the module ${module}, which the patch changes, cannot be loaded`, output);
  const reason = output.trim().split('\n').at(-1)?.replace(/^.*: /, '') ?? '';
  exceptions.set(module, reason);
  const problem = await placeStandIns(session, module);
  const cannot = `${module} cannot be loaded without its hardware (${reason})`;
  if (problem === undefined) return `${cannot}: a copy without its init function is used instead`;
  state.absent ??= new Set();
  state.absent.add(module);
  return `${cannot}, nor a copy without its init function (${problem})`;
}

/**
 * Puts the stand-in in the module's place and loads it; also those of modules that it needs and that cannot be loaded either. A
 * module on such a ground is never run itself. Why it cannot be loaded, or undefined.
 */
async function placeStandIns(session: Session, module: string): Promise<string | undefined> {
  const placed = new Set<string>();
  for (let next = module; !placed.has(next); ) {
    placed.add(next);
    const { status, output } = await session.sh(
      `cd ${STAND_INS} && path=$(find . -name '${next.replace(/[-_]/g, '[-_]')}.ko' | head -n 1)
[ -n "$path" ] || { echo 'there is none'; exit 1; }
cp "$path" "/$path" && modprobe ${module}`,
      { step: `the stand-in for ${module}` },
    );
    if (status === 0) return undefined;
    const failing = /can't load module ([\w-]+)/.exec(output)?.[1]?.replaceAll('-', '_');
    if (failing === undefined || placed.has(failing)) return output.trim().split('\n').at(-1) ?? '';
    next = failing;
  }
  return 'it needs itself';
}

/** The modules that are in the guest, themselves or their stand-ins. */
export function presentTargets({ subject, state }: Session): string[] {
  return subject.targetModules.filter((module) => state.absent?.has(module) !== true);
}
