/**
 * `/etc/kpatch/channel.conf`: how this machine follows its channel. Lines `key=value`.
 */
import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import { readBytes, writeAtomically } from '../../base/files.ts';
import { requireInside } from '../../base/inside.ts';
import { settingsFile } from '../package/livepatch.ts';

export interface Settings {
  /** `auto`: every kernel that is installed gets its live patch; `manual`: only those that were asked for. */
  readonly mode: 'auto' | 'manual';
  readonly url: string;
  /** `tuf`: kpatch fetches and verifies data itself; `packages`: apt or dnf do. */
  readonly source: 'tuf' | 'packages';
}

/** The settings of a machine; `undefined` where it follows no channel. Error: `channel-settings`. */
export function readSettings(root: string): Settings | undefined {
  const file = join(root, settingsFile);
  if (!existsSync(file)) return undefined;
  const value = (key: string): string =>
    new RegExp(`^${key}=(.*)$`, 'm').exec(readBytes(file).toString('utf8'))?.[1]?.trim() ?? '';
  const url = value('url');
  if (url === '') return undefined;
  const mode = value('mode');
  if (mode !== 'auto' && mode !== 'manual' && mode !== '') {
    throw failure('channel-settings', { file, problem: `mode=${mode} must be auto or manual` }, { where: { file } });
  }
  const source = value('source');
  if (source !== 'tuf' && source !== 'packages' && source !== '') {
    throw failure(
      'channel-settings',
      { file, problem: `source=${source} must be tuf or packages` },
      { where: { file } },
    );
  }
  // Settings of an earlier version do not say it; there were only packages.
  return { mode: mode === 'auto' ? 'auto' : 'manual', url, source: source === 'tuf' ? 'tuf' : 'packages' };
}

/** True if the patch of a package that is removed leaves the kernel too (`on_remove=unload`). */
export function removalUnloads(root: string): boolean {
  const file = join(root, settingsFile);
  return existsSync(file) && /^on_remove=unload$/m.test(readBytes(file).toString('utf8'));
}

/** The settings. Error: `channel-not-followed`. */
export function needSettings(root: string): Settings {
  const settings = readSettings(root);
  if (settings === undefined) throw failure('channel-not-followed', {});
  return settings;
}

const explained = `# How this machine follows its live patch channel; written by kpatch channel follow, kpatch auto and kpatch manual.
# source=tuf|packages  mode=auto|manual  url=URL  on_remove=keep|unload
`;

/** Folders of a machine in which following a channel writes. */
const written = [
  'etc/apt',
  'etc/kernel',
  'etc/kpatch',
  'etc/pki',
  'etc/systemd/system',
  'etc/yum.repos.d',
  'var/lib/kpatch',
];

/** Makes sure that following a channel writes nothing outside of an image. Error: `usage`. */
export function keepInside(root: string): void {
  requireInside(
    root,
    written.map((folder) => join(root, folder)),
  );
}

/** Sets some values and leaves all other lines as they are. */
export function writeSettings(root: string, values: Readonly<Record<string, string>>): void {
  keepInside(root);
  const file = join(root, settingsFile);
  // As bytes: what else is there may be in any encoding.
  let text = existsSync(file) ? readBytes(file).toString('latin1') : explained;
  for (const [key, value] of Object.entries(values)) {
    const line = `${key}=${Buffer.from(value).toString('latin1')}`;
    const pattern = new RegExp(`^${key}=.*$`, 'm');
    if (pattern.test(text)) text = text.replace(pattern, () => line);
    else text = `${text.trimEnd()}\n${line}\n`;
  }
  mkdirSync(dirname(file), { recursive: true });
  writeAtomically(file, Buffer.from(text, 'latin1'));
}

/** The address of a channel without a slash at its end. Error: `channel-url`. */
export function channelAddress(url: string): string {
  const address = url.replace(/\/+$/, '');
  if (/^(?:https?|file):\/\/[^\s'"\\[\]]+$/.test(address) && URL.canParse(address)) return address;
  throw failure('channel-url', { url });
}
