/** The name of a livepatch module: what rmmod, sysfs and the store call it. */
import { failure } from '../base/errors/error.ts';

/** MODULE_NAME_LEN - 1 on 64-bit machines (include/linux/module.h). */
const LONGEST = 55;

/** True for a name that the kernel takes. */
export function isModuleName(name: string): boolean {
  return /^\w+$/.test(name) && name.length <= LONGEST;
}

/** Checks a name that the user chose. Error: `name-invalid`. */
export function checkName(name: string): string {
  if (!/^[A-Za-z_]\w*$/.test(name) || name.length > LONGEST) throw failure('name-invalid', { name });
  return name;
}

/** A name from the first patch's file: `0001-fix-meminfo.patch` is `livepatch_0001_fix_meminfo`. */
export function nameFor(patchFile: string): string {
  const stem = patchFile.replace(/(?:\.(?:patch|diff|mbox|eml))?(?:\.(?:gz|xz|zst))?$/, '').replace(/\W+/g, '_');
  const full = `livepatch_${stem}`;
  return full.length <= LONGEST ? full : full.slice(0, LONGEST).replace(/_+$/, '');
}
