/**
 * The page for people: which kernels, which patch, which CVEs, until when. One file, no request leaves it, no server code.
 */
import { contentPolicy, type Html, html, inlineScript, inlineStyle, joined } from '../../../base/html.ts';
import { versionText } from '../../package/record.ts';
import { type Publication, type PublishedKernel, publishedKernels } from '../publication.ts';
import { addMonths, dayOf, daysBetween, stateOn } from '../window.ts';
import { pageScript, pageStyle } from './page-style.ts';
import { worst } from './words.ts';

/** The page of a publication. */
export function page(publication: Publication): string {
  const { config, date, validUntil } = publication;
  const today = dayOf(date);
  const kernels = publishedKernels(publication);
  const title = config.description === '' ? config.name : config.description;
  const current = kernels.filter((kernel) => stateOn(today, kernel.until) !== 'ended');
  const cves = new Set(kernels.flatMap((kernel) => kernel.patch?.cves.map((cve) => cve.id) ?? []));
  const [sheet, script] = [inlineStyle(pageStyle), inlineScript(pageScript)];
  const written = html`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
${contentPolicy({ styles: [sheet], scripts: [script], styleAttributes: true })}
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Live patches: ${title}</title>
<link rel="icon" href="data:,">
${sheet.element}
</head>
<body>
<header>
<h1>${title}</h1>
<p>Live patches for the Linux kernel. <strong>${current.length}</strong> kernel${current.length === 1 ? '' : 's'} supported, <strong>${cves.size}</strong> CVE${cves.size === 1 ? '' : 's'} fixed without a reboot.</p>
<p class="dates">Published <time datetime="${date.toISOString()}">${today}</time>, valid until <time datetime="${validUntil.toISOString()}" id="valid">${dayOf(validUntil)}</time>.
<span id="stale" role="alert" hidden>This copy is past its validity: the mirror it comes from stands still.</span></p>
</header>
<main>
<section aria-labelledby="calendar-title">
<h2 id="calendar-title">Support calendar</h2>
<p class="hint">Each kernel receives live patches for ${config.windowMonths} months from its release. Then it has to be rebooted into a newer one.</p>
${calendar(kernels, today)}
</section>
<section aria-labelledby="kernels-title">
<h2 id="kernels-title">Kernels and their patches</h2>
<p><label>Find a kernel or a CVE <input type="search" id="find" autocomplete="off" placeholder="6.1.0-56 or CVE-2026-…"></label> <span id="found" role="status"></span></p>
<div id="kernels">
${kernels.map((kernel) => card(kernel, today))}
</div>
</section>
<section aria-labelledby="follow-title">
<h2 id="follow-title">How to follow this channel</h2>
<p>On the machine, as root, with <code>kpatch</code> installed and the <a href="key.asc">key</a> fetched and compared:</p>
<pre tabindex="0"><code>kpatch channel follow ${config.url} --key key.asc
kpatch auto</code></pre>
<p>Fingerprint${config.keys.length === 1 ? '' : 's'} of the key: ${joined(
    config.keys.map((key) => html`<code class="fingerprint">${key.replace(/(.{4})(?=.)/g, '$1 ')}</code>`),
    ', ',
  )}</p>
<p>For programs: <a href="kernels.json">kernels.json</a>, <a href="csaf/provider-metadata.json">CSAF advisories</a>, <a href="kpatch-channel.sources">apt source</a>, <a href="kpatch-channel.repo">dnf repository</a>.</p>
</section>
</main>
${script.element}
</body>
</html>
`;
  return written.toString();
}

/** Bars on a scale of months, from the oldest release to the last end of a window. */
function calendar(kernels: readonly PublishedKernel[], today: string): Html {
  if (kernels.length === 0) return html`<p>No kernel is in this channel yet.</p>`;
  const days = [...kernels.flatMap((kernel) => [kernel.released, kernel.until]), today].sort();
  const start = `${days[0]!.slice(0, 7)}-01`;
  const end = addMonths(`${days.at(-1)!.slice(0, 7)}-01`, 1);
  const span = Math.max(1, daysBetween(start, end));
  const at = (day: string): string => ((100 * daysBetween(start, day)) / span).toFixed(2);
  const months: string[] = [];
  for (let month = start; month < end && months.length < 600; month = addMonths(month, 1)) months.push(month);
  const every = Math.ceil(months.length / 12);
  const scale = months
    .map((month, n) => ({ month, n }))
    .filter(({ n }) => n % every === 0)
    .map(({ month }) => html`<span style="left:${at(month)}%">${month.slice(0, 7)}</span>`);
  const rows = kernels.map((kernel) => {
    const state = stateOn(today, kernel.until);
    const width = Math.max(0.5, Number(at(kernel.until)) - Number(at(kernel.released)));
    return html`<tr class="${state}" data-until="${kernel.until}"><th scope="row"><a href="#k-${kernel.release}">${kernel.release}</a></th>
<td class="when"><span class="bar" style="left:${at(kernel.released)}%;width:${width.toFixed(2)}%"></span><span class="today" style="left:${at(today)}%"></span></td>
<td class="until">${kernel.until} <span class="state">${words[state]}</span></td></tr>`;
  });
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Calendar of support windows"><table class="calendar" data-start="${start}" data-span="${span}">
<thead><tr><th scope="col">Kernel</th><th scope="col" class="when"><span class="scale" aria-hidden="true">${scale}</span><span class="hidden">Window</span></th><th scope="col">Last day</th></tr></thead>
<tbody>${rows}</tbody></table></div>`;
}

const words = { supported: 'supported', ending: 'ends soon', ended: 'ended' } as const;

function card(kernel: PublishedKernel, today: string): Html {
  const { patch } = kernel;
  const state = stateOn(today, kernel.until);
  const about = [
    `released ${kernel.released}`,
    kernel.distribution,
    `package ${kernel.packageVersion}`,
    ...(kernel.extended === null ? [] : [`extended: ${kernel.extended}`]),
  ];
  const next =
    kernel.rebootInto === null
      ? 'It is the newest of its series.'
      : html`Reboot into <strong>${kernel.rebootInto}</strong> by ${kernel.until}.`;
  const severity = patch === null ? 'unrated' : worst(patch.cves as Parameters<typeof worst>[0]);
  const fixes =
    patch === null
      ? html`<p>No live patch yet.</p>`
      : html`<p>Live patch <strong>${versionText(patch)}</strong> of ${patch.issued.slice(0, 10)}${patch.proven ? ', proven' : ''}: ${patch.cves.length} CVE${patch.cves.length === 1 ? '' : 's'}${severity === 'unrated' ? '' : html`, up to <span class="level ${severity}">${severity}</span>`}.</p>
${patch.cves.length === 0 ? '' : html`<details><summary>What it fixes</summary><ul>${patch.cves.map((cve) => html`<li><a href="https://www.cve.org/CVERecord?id=${cve.id}" rel="noreferrer">${cve.id}</a> <span class="level ${cve.severity}">${cve.severity}</span> ${cve.title}</li>`)}</ul></details>`}`;
  return html`<article class="${state}" id="k-${kernel.release}" data-until="${kernel.until}">
<h3>${kernel.release} <span class="state">${words[state]}</span></h3>
<p class="about">${about.join(' · ')} · until <time datetime="${kernel.until}">${kernel.until}</time></p>
${fixes}
<p class="next">${next}</p>
</article>`;
}
