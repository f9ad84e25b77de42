/**
 * Where commits and CVE records come from: `/etc/kpatch/build.conf` for root, `~/.config/kpatch/build.conf` for others, with
 * lines `repository=…` and `cves=…`. Without the file, both come from kernel.org and cve.org.
 */
import { existsSync } from 'node:fs';
import { failure } from '../../base/errors/error.ts';
import { readBytes } from '../../base/files.ts';
import { settingsFile } from '../../base/workspace.ts';

export interface OriginSettings {
  /** The file that these were read from, or would be. */
  readonly file: string;
  /** A git repository of the kernel: a folder or an address. Undefined: single patches from kernel.org. */
  readonly repository?: string;
  /** A folder with CVE records (JSON 5), such as a clone of vulns.git, or an address that contains `{id}`. */
  readonly cves: string;
}

/** The record of one CVE, as the CVE programme serves it. */
const CVE_RECORDS = 'https://cveawg.mitre.org/api/cve/{id}';
/** One commit of the stable tree as a patch; `{id}` is its hash. */
export const COMMIT_PATCHES = 'https://git.kernel.org/pub/scm/linux/kernel/git/stable/linux.git/patch/?id={id}';

/** Where the settings of this user are. */
export function originSettingsFile(): string {
  return settingsFile('build.conf');
}

/** The settings of this user. Errors: `build-settings`, `file-unreadable`. */
export function readOriginSettings(file = originSettingsFile()): OriginSettings {
  const settings: { repository?: string; cves?: string } = {};
  const lines = existsSync(file) ? readBytes(file).toString('utf8').split('\n') : [];
  for (const [index, line] of lines.entries()) {
    const text = line.replace(/(?:^|\s)#.*/, '').trim();
    if (text === '') continue;
    const [, key, value = ''] = /^(repository|cves)\s*=\s*(\S.*)$/.exec(text) ?? [];
    if (key === undefined) {
      throw failure('build-settings', { file, line: index + 1, text }, { where: { file, line: index + 1 } });
    }
    settings[key as 'repository' | 'cves'] = value.trim();
  }
  return { file, cves: CVE_RECORDS, ...settings };
}

/** True for an address of a server, false for a path. */
export function isAddress(text: string): boolean {
  return /^\w+:\/\//.test(text) || /^[\w.-]+@[\w.-]+:/.test(text);
}
