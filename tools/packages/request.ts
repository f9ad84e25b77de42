/** What a package of the program is made from, whatever its format. */
import { runOk } from '#kpatch/base/run.ts';

/** Seconds since 1970 that all files get, so that the same sources give the same packages. */
export const epoch = Number(process.env.SOURCE_DATE_EPOCH ?? 1_767_225_600);

export interface PackageRequest {
  /** The files, laid out as on a machine. */
  readonly tree: string;
  /** A folder for files on the way. */
  readonly work: string;
  /** The folder for the package. */
  readonly dist: string;
  readonly version: string;
  /** Seconds since 1970, the time of every file. */
  readonly epoch: number;
}

/** Sets the time of everything in the folder, so that the same sources give the same package. Errors: `tool-missing`, `tool-failed`. */
export async function setTimes(folder: string, epoch: number): Promise<void> {
  await runOk('find', [folder, '-exec', 'touch', '-h', '-d', `@${epoch}`, '{}', '+']);
}
