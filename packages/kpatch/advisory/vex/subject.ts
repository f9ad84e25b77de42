/** What a VEX document is about: one kernel on one machine, or one kernel of a fleet. */
import type { TriagedCve } from '../triage/answer.ts';
import type { Scheme } from '../version.ts';

export interface VexSubject {
  readonly release: string;
  /** Version of its package. */
  readonly version: string;
  readonly scheme: Exclude<Scheme, 'upstream'>;
  /** As advisories name it, such as `Debian:12`. */
  readonly distribution?: string;
  readonly arch: string;
  /** The machine, where the document is about one. */
  readonly host?: string;
}

export interface VexInput {
  readonly subject: VexSubject;
  readonly cves: readonly TriagedCve[];
  /** ISO 8601 UTC. */
  readonly date: string;
  /** Version of the program. */
  readonly tool: string;
}

/** The package URL of the kernel (package-url/purl-spec: types deb and rpm). */
export function purlOf({ release, version, scheme, distribution = '', arch }: VexSubject): string {
  const [name = '', number = ''] = distribution.toLowerCase().replace(/ /g, '').split(':');
  const namespace = name === '' ? '' : `${encodeURIComponent(name)}/`;
  const distro = name === '' ? '' : `&distro=${encodeURIComponent(number === '' ? name : `${name}-${number}`)}`;
  const packageName = scheme === 'deb' ? `linux-image-${release}` : 'kernel';
  return `pkg:${scheme}/${namespace}${encodeURIComponent(packageName)}@${encodeURIComponent(version)}?arch=${encodeURIComponent(arch)}${distro}`;
}

/** The evidence of an answer as one text. */
export function evidenceText({ evidence }: TriagedCve): string {
  return evidence.map(({ by, text }) => `${by}: ${text}`).join('; ');
}

/** What to do about a CVE that is open. */
export function actionText({ by }: TriagedCve): string {
  const version =
    by === undefined ? 'a kernel that fixes it when one is available' : `a kernel of version ${by} or newer`;
  return `Install a live patch that names it (kpatch update), or reboot into ${version}.`;
}
