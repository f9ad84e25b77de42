/**
 * The page for people: which kernels, which patch, which CVEs, until when. One file, no request leaves it, no server code.
 * Kernels are in one table for each distribution and series, the most urgent first; those whose support has ended are folded.
 */

import { upstreamOf } from '../../../advisory/version.ts';
import { plural } from '../../../base/errors/plural.ts';
import { type Html, html, joined } from '../../../base/text/html.ts';
import { pageText } from '../../../design/page.ts';
import { type Tone, verdictBanner } from '../../../design/parts.ts';
import { versionText } from '../../package/record.ts';
import { type Publication, type PublishedKernel, publishedKernels } from '../publication.ts';
import { dayOf, daysBetween, stateOn, type WindowState } from '../window.ts';
import { pageScript, pageStyle } from './page-style.ts';
import { worst } from './words.ts';

/** Name of the feed beside the page. */
export const feedFile = 'feed.xml';

/** The page of a publication. */
export function page(publication: Publication): string {
  const { config, date, validUntil } = publication;
  const today = dayOf(date);
  const kernels = publishedKernels(publication);
  const title = config.description === '' ? config.name : config.description;
  const ended = kernels.filter((kernel) => stateOn(today, kernel.until) === 'ended');
  const current = kernels.filter((kernel) => !ended.includes(kernel));
  return pageText({
    title: `Live patches: ${title}`,
    head: head(publication, title, current, today),
    sections: [
      { id: 'kernels', name: 'Kernels', body: kernelsSection(current, ended, today) },
      { id: 'follow', name: 'How to follow this channel', body: followSection(publication) },
      {
        id: 'programs',
        name: 'For programs',
        body: html`<p><a href="kernels.json">kernels.json</a>, <a href="${feedFile}">feed of new patches</a>, <a href="csaf/provider-metadata.json">CSAF advisories</a>, <a href="kpatch-channel.sources">apt source</a>, <a href="kpatch-channel.repo">dnf repository</a>.</p>`,
      },
    ],
    foot: html`<p>Published <time datetime="${date.toISOString()}">${today}</time>, valid until <time datetime="${validUntil.toISOString()}" id="valid">${dayOf(validUntil)}</time>.</p>`,
    style: pageStyle,
    script: pageScript,
    contents: false,
    feed: feedFile,
  });
}

function head({ config }: Publication, title: string, current: readonly PublishedKernel[], today: string): Html {
  const cves = new Set(current.flatMap((kernel) => kernel.patch?.cves.map((cve) => cve.id) ?? []));
  const ending = current.filter((kernel) => stateOn(today, kernel.until) === 'ending').length;
  const tone: Tone = current.length === 0 ? 'bad' : ending > 0 ? 'warn' : 'good';
  const words =
    current.length === 0
      ? 'No kernel is supported'
      : `${plural(current.length, 'kernel')} supported, ${plural(cves.size, 'CVE')} fixed without a reboot`;
  const soon = ending > 0 && html`<p>${plural(ending, 'kernel')} will soon receive no more live patches.</p>`;
  return html`<h1>${title}</h1>
${verdictBanner(
  tone,
  words,
  html`${soon}<p>Each kernel receives live patches for ${plural(config.windowMonths, 'month')} from its release. Then reboot into a newer one.</p>
<p id="stale" class="bad" role="alert" hidden>This copy has expired: the mirror that it comes from is out of date.</p>`,
)}`;
}

function kernelsSection(current: readonly PublishedKernel[], ended: readonly PublishedKernel[], today: string): Html {
  if (current.length + ended.length === 0) return html`<p>No kernel is in this channel yet.</p>`;
  const find = html`<p><label for="find">Paste the output of <code>uname -r</code>, or a CVE</label><br>
<input type="search" id="find" autocomplete="off" placeholder="6.1.0-56 or CVE-2026-${'…'}"> <span id="found" role="status"></span></p>`;
  const groups = Map.groupBy(current, groupOf);
  const tables = [...groups].map(([name, all]) => html`<h3>${name}</h3>\n${kernelTable(name, all, today)}`);
  const folded =
    ended.length > 0 &&
    html`<details id="ended"><summary>${plural(ended.length, 'kernel')} without support</summary>${kernelTable('Kernels without support', ended, today)}</details>`;
  return html`${find}${tables}${folded}`;
}

/** `Debian:12, Linux 6.1`. */
function groupOf({ distribution, release, arch }: PublishedKernel): string {
  return `${distribution}, Linux ${upstreamOf(release).split('.').slice(0, 2).join('.')}, ${arch}`;
}

/** The most urgent first: what ends soonest; of those, what fixes most. */
function kernelTable(name: string, kernels: readonly PublishedKernel[], today: string): Html {
  const sorted = [...kernels].sort((a, b) =>
    a.until < b.until ? -1 : a.until > b.until ? 1 : a.release < b.release ? 1 : -1,
  );
  return html`<table class="data" aria-label="${name}"><thead><tr><th scope="col">Kernel</th><th scope="col">Supported until</th><th scope="col">Live patch</th><th scope="col">What it fixes</th></tr></thead>
<tbody>${sorted.map((kernel) => row(kernel, today))}</tbody></table>`;
}

const tones: Readonly<Record<WindowState, string>> = { supported: 'good', ending: 'warn', ended: 'bad' };

function row(kernel: PublishedKernel, today: string): Html {
  const { patch, release, until, rebootInto, extended } = kernel;
  const state = stateOn(today, until);
  const into = rebootInto === null ? '' : html`<br><small>then reboot into ${rebootInto}</small>`;
  const instead = rebootInto === null ? 'reboot into a newer series' : `reboot into ${rebootInto} now`;
  const more = extended === null ? '' : html`<br><small>extended: ${extended}</small>`;
  const support = html`<time datetime="${until}">${until}</time> <span class="state ${tones[state]}">${stateText(state, today, until)}</span>${state === 'ended' ? html`<br><small>${instead}</small>` : into}${more}`;
  const none = state === 'ended' ? 'none was published' : 'no live patch yet';
  const patchCell =
    patch === null
      ? html`<span class="idle">${none}</span>`
      : html`${versionText(patch)}${patch.proven && html` <span class="state good">proven</span>`}<br><small>${patch.issued.slice(0, 10)}</small>`;
  return html`<tr class="kernel" id="k-${release}" data-until="${until}"><th scope="row">${release}<br><small>package ${kernel.packageVersion}, released ${kernel.released}</small></th><td>${support}</td><td>${patchCell}</td><td>${fixes(patch)}</td></tr>`;
}

function fixes(patch: PublishedKernel['patch']): Html | string {
  if (patch === null || patch.cves.length === 0) return '';
  const severity = worst(patch.cves as Parameters<typeof worst>[0]);
  const level = (word: string): Html => html`<span class="level ${word}">${word}</span>`;
  const items = patch.cves.map(
    (cve) =>
      html`<li><a href="https://www.cve.org/CVERecord?id=${cve.id}" rel="noreferrer">${cve.id}</a> ${level(cve.severity)} ${cve.title}</li>`,
  );
  const upTo = severity === 'unrated' ? '' : html`, up to ${level(severity)}`;
  return html`<details><summary>${plural(patch.cves.length, 'CVE')}${upTo}</summary><ul>${items}</ul></details>`;
}

/** The script counts the days again when the page is looked at. */
function stateText(state: WindowState, today: string, until: string): string {
  if (state !== 'ending') return state;
  const left = daysBetween(today, until);
  return left === 0 ? 'ends today' : `ends in ${plural(left, 'day')}`;
}

function followSection({ config }: Publication): Html {
  const commands = `kpatch channel follow ${config.url} --key root.json\nkpatch auto`;
  const keys = joined(
    config.keys.map((key) => html`<code>${key.replace(/(.{4})(?=.)/g, '$1 ')}</code>`),
    ', ',
  );
  return html`<p>On the machine, as root, with <code>kpatch</code> installed and the key fetched and compared:</p>
<div class="copy"><pre tabindex="0"><code>${commands}</code></pre><button type="button" hidden>Copy</button></div>
<p class="note">${config.keys.length === 1 ? 'Fingerprint' : 'Fingerprints'} of the OpenPGP key: ${keys}</p>`;
}
