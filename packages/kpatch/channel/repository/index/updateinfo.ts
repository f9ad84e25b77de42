/** `updateinfo.xml`: what `dnf updateinfo list cves` and `dnf update --cve` read. */

import { packageNames } from '../../package/name.ts';
import { versionText } from '../../package/record.ts';
import type { ChannelConfig } from '../config.ts';
import type { ChannelKernel, PublishedPatch } from '../kernel.ts';
import { worst } from '../page/words.ts';
import type { Publication } from '../publication.ts';

/** The id of a patch's advisory, the same in updateinfo and CSAF. */
export function advisoryId(config: ChannelConfig, kernel: ChannelKernel, patch: PublishedPatch): string {
  return `KPATCH-${config.name}-${kernel.release}-${versionText(patch.record)}`;
}

/** The document for all rpm packages of a publication. */
export function updateinfo(config: ChannelConfig, publication: Publication): string {
  const updates = publication.kernels.flatMap((kernel) =>
    kernel.patches
      .filter((patch) => patch.rpm !== null && patch.record.module !== null)
      .map((patch) => update(config, kernel, patch)),
  );
  return `<?xml version="1.0" encoding="UTF-8"?>\n<updates>\n${updates.join('')}</updates>\n`;
}

function update(config: ChannelConfig, kernel: ChannelKernel, patch: PublishedPatch): string {
  const { record } = patch;
  const names = packageNames(kernel.release);
  const issued = patch.issued.slice(0, 19).replace('T', ' ');
  const severity = worst(record.cves);
  const references = record.cves.map(
    ({ id, title }) =>
      `   <reference href="https://www.cve.org/CVERecord?id=${xml(id)}" id="${xml(id)}" type="cve" title="${xml(title === '' ? id : title)}"/>\n`,
  );
  return [
    ` <update from="${xml(config.name)}" status="final" type="${record.cves.length > 0 ? 'security' : 'bugfix'}" version="${record.release}">\n`,
    `  <id>${xml(advisoryId(config, kernel, patch))}</id>\n`,
    `  <title>Live patch ${versionText(record)} for the kernel ${xml(kernel.release)}</title>\n`,
    `  <issued date="${issued}"/>\n  <updated date="${issued}"/>\n`,
    severity === 'unrated' ? '' : `  <severity>${severity[0]!.toUpperCase()}${severity.slice(1)}</severity>\n`,
    `  <description>${xml(record.cves.map((cve) => `${cve.id} ${cve.title}`.trim()).join('; '))}</description>\n`,
    `  <references>\n${references.join('')}  </references>\n`,
    `  <pkglist>\n   <collection short="${xml(config.name)}">\n    <name>${xml(config.description === '' ? config.name : config.description)}</name>\n`,
    `    <package name="${xml(names.rpm)}" version="${record.version}" release="${record.release}${xml(names.dist)}" epoch="0" arch="${xml(record.arch)}">\n`,
    `     <filename>${xml(patch.rpm?.file ?? '')}</filename>\n    </package>\n   </collection>\n  </pkglist>\n </update>\n`,
  ].join('');
}

/** Text for XML: the five special characters escaped, characters that XML 1.0 forbids left out. */
export function xml(value: string): string {
  return value
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '')
    .replace(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
}
