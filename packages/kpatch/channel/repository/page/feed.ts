/** The feed beside the page: one entry for each live patch, newest first (Atom, RFC 4287). */

import { plural } from '../../../base/errors/plural.ts';
import { html } from '../../../base/text/html.ts';
import { versionText } from '../../package/record.ts';
import { type Publication, publishedKernels } from '../publication.ts';
import { feedFile } from './page.ts';

/** Entries of the feed; older ones are in kernels.json. */
const ENTRIES = 50;

/** The text of `feed.xml`. The same escaping holds as for pages: XML needs no more than HTML in text and quoted values. */
export function feed(publication: Publication): string {
  const { config, date } = publication;
  const entries = publishedKernels(publication)
    .flatMap(({ release, patch }) => (patch === null ? [] : [{ release, patch }]))
    .sort((a, b) => (a.patch.issued < b.patch.issued ? 1 : -1))
    .slice(0, ENTRIES)
    .map(({ release, patch }) => {
      const version = versionText(patch);
      const cves = patch.cves.map(({ id }) => id).join(', ');
      const summary = cves === '' ? 'It names no CVE.' : `${plural(patch.cves.length, 'CVE')}: ${cves}`;
      return html`<entry><id>${config.url}/#k-${release}-${version}</id><title>Live patch ${version} for ${release}</title><updated>${patch.issued}</updated><link href="${config.url}/#k-${release}"/><summary>${summary}</summary></entry>
`;
    });
  return `<?xml version="1.0" encoding="utf-8"?>\n${html`<feed xmlns="http://www.w3.org/2005/Atom"><id>${config.url}/</id><title>${config.description === '' ? config.name : config.description}</title><updated>${date.toISOString()}</updated><link href="${config.url}/"/><link rel="self" href="${config.url}/${feedFile}"/><author><name>${config.name}</name></author>
${entries}</feed>`}\n`;
}
