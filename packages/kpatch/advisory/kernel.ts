/** Which kernel package versions an answer is about: the one of a kernel release, and the newest that is known here. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { run } from '../base/run.ts';
import { changelogNames, ecosystemOf, packageTypeOfVersion, taggedRelease, versionInBanner } from '../distro/names.ts';
import { namesOf } from '../platform/registry.ts';
import type { Changelog } from './formats/changelog.ts';
import { compareBy, type Scheme, upstreamOf } from './version.ts';

/** The version of the package that a kernel release comes from, as `6.1.190-1`, or `5.14.0-427.13.1.el9_4`. */
export async function packageVersionOf(
  release: string,
  root = '/',
): Promise<{ scheme: Scheme; version: string } | undefined> {
  // Some releases are the version of the package with the machine behind it.
  const tagged = taggedRelease(release);
  if (tagged !== undefined && namesOf('rpm').includes(tagged.machine))
    return { scheme: 'rpm', version: `${tagged.version}${tagged.tag}` };
  const text = slurp(join(root, 'proc/version'));
  if (text.startsWith(`Linux version ${release} `)) {
    const version = versionInBanner(text);
    if (version !== undefined) return { scheme: 'deb', version };
  }
  for (const name of [`linux-image-${release}`, `linux-image-${release}-unsigned`, `linux-headers-${release}`]) {
    const asked = await run('dpkg-query', [`--root=${root}`, '-W', `-f=\${Version}`, name]).catch(() => undefined);
    const version = asked?.stdout.toString().trim() ?? '';
    if (asked?.status === 0 && version !== '') return { scheme: 'deb', version };
  }
  return undefined;
}

/** The release of the running kernel. */
export function runningRelease(root = '/'): string {
  return slurp(join(root, 'proc/sys/kernel/osrelease')).trim();
}

/** The distribution as OSV names it (`Debian:12`), from os-release(5); `undefined` for one that OSV has no such name for. */
export function ecosystemHere(root = '/'): string | undefined {
  const text = slurp(join(root, 'etc/os-release'));
  const value = (key: string): string => new RegExp(`^${key}="?([^"\n]*)"?$`, 'm').exec(text)?.[1] ?? '';
  const name = ecosystemOf(value('ID'));
  return name === undefined || value('VERSION_ID') === '' ? undefined : `${name}:${value('VERSION_ID')}`;
}

/** The code name of the distribution's release (`VERSION_CODENAME` of os-release(5)), as security trackers use it. */
export function suiteOf(root = '/'): string | undefined {
  return /^VERSION_CODENAME="?([\w.-]+)"?$/m.exec(slurp(join(root, 'etc/os-release')))?.[1];
}

/** Changelogs of kernel packages that are installed here (`/usr/share/doc/linux-…/changelog*.gz`), of the same series first. */
export function installedChangelogs(version: string, root = '/'): string[] {
  const docs = join(root, 'usr/share/doc');
  const series = upstreamOf(version).split('.').slice(0, 2).join('.');
  const folders = existsSync(docs) ? readdirSync(docs) : [];
  return folders
    .filter(
      (name) =>
        /^linux-(?:image|source|headers)-/.test(name) &&
        new RegExp(`-${series.replace('.', '\\.')}(?:\\D|$)`).test(name),
    )
    .flatMap((name) => changelogNames().map((file) => join(docs, name, file)))
    .filter((file) => existsSync(file));
}

/** The newest version in the changelogs; `undefined` where there is none. */
export function newestIn(changelogs: readonly Changelog[], scheme: Scheme): string | undefined {
  const versions = changelogs.flatMap((changelog) => changelog.entries.map((entry) => entry.version));
  return versions.sort(compareBy(scheme)).at(-1);
}

/** The scheme a version text is in, for versions given by hand: rpm's have a distribution tag such as `.el9`. */
export function schemeOf(version: string): Scheme {
  return packageTypeOfVersion(version);
}

/** Both ends of the question. Error: `channel-kernel-version`. */
export async function versionsFor(
  release: string,
  changelogs: readonly Changelog[],
  given: { from?: string; to?: string },
  root = '/',
): Promise<{ scheme: Scheme; from: string; to: string }> {
  const found =
    given.from === undefined
      ? await packageVersionOf(release, root)
      : { scheme: changelogs[0]?.scheme ?? schemeOf(given.from), version: given.from };
  if (found === undefined) throw failure('channel-kernel-version', { release });
  const to = given.to ?? newestIn(changelogs, found.scheme) ?? found.version;
  return { scheme: found.scheme, from: found.version, to };
}

function slurp(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
