/** What a fleet server shares with the machines that report to it: the form of reports, and their signatures. */

export { formProblem } from './documents/form.ts';
export type { FleetAnswer, FleetReport } from './fleet/place.ts';
export {
  type HostKey,
  hostIdOf,
  hostKeyOf,
  joinText,
  newHostKey,
  openReport,
  publicKeyFrom,
  readSealed,
  sealReport,
  verifyWith,
} from './fleet/seal.ts';
export { readModuleFile } from './host/store/module-file.ts';
