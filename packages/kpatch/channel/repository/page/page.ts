/** The page for people: which kernels, which patch, which CVEs, until when. One file, no request leaves it, no server code. */
import { versionText } from '../../package/record.ts';
import { xml } from '../index/updateinfo.ts';
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
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Live patches: ${xml(title)}</title>
<link rel="icon" href="data:,">
<style>${pageStyle}</style>
</head>
<body>
<header>
<h1>${xml(title)}</h1>
<p>Live patches for the Linux kernel. <strong>${current.length}</strong> kernel${current.length === 1 ? '' : 's'} supported, <strong>${cves.size}</strong> CVE${cves.size === 1 ? '' : 's'} fixed without a reboot.</p>
<p class="dates">Published <time datetime="${date.toISOString()}">${today}</time>, valid until <time datetime="${validUntil.toISOString()}" id="valid">${dayOf(validUntil)}</time>.
<span id="stale" role="alert" hidden>This copy is past its validity: the mirror it comes from stands still.</span></p>
</header>
<main>
<section aria-labelledby="calendar-title">
<h2 id="calendar-title">Until when</h2>
<p class="hint">Each kernel receives live patches for ${config.windowMonths} months from its release. Then it has to be rebooted into a newer one.</p>
${calendar(kernels, today)}
</section>
<section aria-labelledby="kernels-title">
<h2 id="kernels-title">Kernels and their patches</h2>
<p><label>Find a kernel or a CVE <input type="search" id="find" autocomplete="off" placeholder="6.1.0-56 or CVE-2026-…"></label> <span id="found" role="status"></span></p>
<div id="kernels">
${kernels.map((kernel) => card(kernel, today)).join('\n')}
</div>
</section>
<section aria-labelledby="follow-title">
<h2 id="follow-title">How to follow this channel</h2>
<p>On the machine, as root, with <code>kpatch</code> installed and the <a href="key.asc">key</a> fetched and compared:</p>
<pre tabindex="0"><code>kpatch channel follow ${xml(config.url)} --key key.asc
kpatch auto</code></pre>
<p>Fingerprint${config.keys.length === 1 ? '' : 's'} of the key: ${config.keys.map((key) => `<code class="fingerprint">${xml(key.replace(/(.{4})(?=.)/g, '$1 '))}</code>`).join(', ')}</p>
<p>For programs: <a href="kernels.json">kernels.json</a>, <a href="csaf/provider-metadata.json">CSAF advisories</a>, <a href="kpatch-channel.sources">apt source</a>, <a href="kpatch-channel.repo">dnf repository</a>.</p>
</section>
</main>
<script>${pageScript}</script>
</body>
</html>
`;
}

/** Bars on a scale of months, from the oldest release to the last end of a window. */
function calendar(kernels: readonly PublishedKernel[], today: string): string {
  if (kernels.length === 0) return '<p>No kernel is in this channel yet.</p>';
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
    .map(({ month }) => `<span style="left:${at(month)}%">${month.slice(0, 7)}</span>`)
    .join('');
  const rows = kernels.map((kernel) => {
    const state = stateOn(today, kernel.until);
    const width = Math.max(0.5, Number(at(kernel.until)) - Number(at(kernel.released)));
    return `<tr class="${state}" data-until="${kernel.until}"><th scope="row"><a href="#k-${xml(kernel.release)}">${xml(kernel.release)}</a></th>
<td class="when"><span class="bar" style="left:${at(kernel.released)}%;width:${width.toFixed(2)}%"></span><span class="today" style="left:${at(today)}%"></span></td>
<td class="until">${kernel.until} <span class="state">${words[state]}</span></td></tr>`;
  });
  return `<div class="scroll" tabindex="0" role="region" aria-label="Calendar of support windows"><table class="calendar" data-start="${start}" data-span="${span}">
<thead><tr><th scope="col">Kernel</th><th scope="col" class="when"><span class="scale" aria-hidden="true">${scale}</span><span class="hidden">Window</span></th><th scope="col">Last day</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div>`;
}

const words = { supported: 'supported', ending: 'ends soon', ended: 'ended' } as const;

function card(kernel: PublishedKernel, today: string): string {
  const { patch } = kernel;
  const state = stateOn(today, kernel.until);
  const about = [
    `released ${kernel.released}`,
    xml(kernel.distribution),
    `package ${xml(kernel.packageVersion)}`,
    ...(kernel.extended === null ? [] : [`extended: ${xml(kernel.extended)}`]),
  ];
  const next =
    kernel.rebootInto === null
      ? 'It is the newest of its series.'
      : `Reboot into <strong>${xml(kernel.rebootInto)}</strong> by ${kernel.until}.`;
  const severity = patch === null ? 'unrated' : worst(patch.cves as Parameters<typeof worst>[0]);
  const fixes =
    patch === null
      ? '<p>No live patch yet.</p>'
      : `<p>Live patch <strong>${versionText(patch)}</strong> of ${patch.issued.slice(0, 10)}${patch.proven ? ', proven' : ''}: ${patch.cves.length} CVE${patch.cves.length === 1 ? '' : 's'}${severity === 'unrated' ? '' : `, up to <span class="level ${severity}">${severity}</span>`}.</p>
${patch.cves.length === 0 ? '' : `<details><summary>What it fixes</summary><ul>${patch.cves.map((cve) => `<li><a href="https://www.cve.org/CVERecord?id=${xml(cve.id)}" rel="noreferrer">${xml(cve.id)}</a> <span class="level ${xml(cve.severity)}">${xml(cve.severity)}</span> ${xml(cve.title)}</li>`).join('')}</ul></details>`}`;
  return `<article class="${state}" id="k-${xml(kernel.release)}" data-until="${kernel.until}">
<h3>${xml(kernel.release)} <span class="state">${words[state]}</span></h3>
<p class="about">${about.join(' · ')} · until <time datetime="${kernel.until}">${kernel.until}</time></p>
${fixes}
<p class="next">${next}</p>
</article>`;
}
