/** The pages of one thing: a CVE, a kernel, a patch of a series, a refusal. */
import { type Html, type HtmlPart, html } from 'kpatch/parts';
import type { CveOutcome, KernelReport } from '../report/outcomes.ts';
import { waitOf, waitText } from '../report/wait.ts';
import type { Blobs } from '../store/blobs.ts';
import { colours, document, funnel, type Overview } from './page.ts';

/** Longer texts are cut: messages of a compiler, a patch of a whole driver. */
const LONGEST = 200_000;

/** One CVE on every kernel, with the evidence of each answer; undefined if no source names it. */
export function cvePage(overview: Overview, cve: string): Html | undefined {
  const row = overview.rows.find((one) => one.cve === cve);
  if (row === undefined) return undefined;
  const [first] = row.by.values();
  const since = first?.published === undefined ? '' : ` Its record was published on ${day(first.published)}.`;
  return document(cve, [
    html`<p><a href="/">All CVEs</a></p><h1>${cve}</h1><p>${row.title}</p>`,
    html`<p>Severity: ${first?.severity ?? 'unrated'}${first?.exploited === true ? '; known to be exploited' : ''}.${since} <a href="https://www.cve.org/CVERecord?id=${cve}">Record at cve.org</a></p>`,
    ...[...row.by].map(
      ([release, one]) =>
        html`<h2>${release}: <span class="${colours[one.outcome]}">${one.outcome}</span></h2>${one.reason === '' ? '' : html`<p>${one.reason}</p>`}${timeOf(one)}${one.refused !== undefined && html`<p><a href="/kernel/${release}/refusal/${one.refused}">What was said in full</a></p>`}<ul class="evidence">${one.evidence.map(({ by, text }) => html`<li>${by}: ${text}</li>`)}</ul>`,
    ),
  ]);
}

function timeOf({ published, patched }: CveOutcome): HtmlPart {
  if (patched === undefined) return '';
  const wait = waitOf(published, patched);
  const after = wait === undefined ? '' : `, ${waitText(wait)} after the record`;
  return html`<p>Fixed by a live patch since ${day(patched)}${after}.</p>`;
}

const day = (time: string): string => time.slice(0, 10);

function kernelOf({ kernels }: Overview, release: string): KernelReport | undefined {
  return kernels.find((one) => one.release === release);
}

/** One kernel: its series, what was left out, and its proof; undefined if the factory has no such kernel. */
export function kernelPage(overview: Overview, release: string): Html | undefined {
  const kernel = kernelOf(overview, release);
  if (kernel === undefined) return undefined;
  const { build, proof, refusals = {} } = kernel;
  const report = proof?.report !== undefined && html` <a href="/kernel/${release}/report">Its report</a>`;
  const patches = (build?.patches ?? []).map(({ commit, subject, cves, digest, rewritten }) => {
    const name = commitName(release, commit, digest === undefined ? undefined : 'patch');
    return html`<tr><td>${name}</td><td>${subject}${rewritten !== undefined && html`<span class="title">rewritten</span>`}</td><td>${cves.join(' ')}</td></tr>`;
  });
  const dropped = (build?.dropped ?? []).map(({ commit, cves, reason }) => {
    const name = commitName(release, commit, refusals[commit] === undefined ? undefined : 'refusal');
    return html`<tr><td>${name}</td><td>${cves.join(' ')}</td><td>${reason}</td></tr>`;
  });
  return document(release, [
    html`<p><a href="/">All CVEs</a></p><h1>${release}</h1>`,
    funnel([kernel], 'CVEs by stage'),
    html`<h2>Proof</h2><p>${proof === undefined ? 'There is none yet.' : `Version ${build?.version ?? 0}: ${proof.verdict}${proof.predecessor === undefined ? '' : ', with the upgrade from the published version and back'}.`}${report}</p>${proof !== undefined && proof.reasons.length > 0 && html`<ul>${proof.reasons.map((reason) => html`<li>${reason}</li>`)}</ul>`}`,
    table('patches', 'Patches in the series', ['Commit', 'Change', 'CVEs'], patches),
    table('out', 'Left out', ['Commit', 'CVEs', 'Reason'], dropped),
  ]);
}

/** The commit, with a link to its page if there is one. */
function commitName(release: string, commit: string, page: 'patch' | 'refusal' | undefined): HtmlPart {
  const short = commit.slice(0, 12);
  return page === undefined ? short : html`<a href="/kernel/${release}/${page}/${commit}">${short}</a>`;
}

function table(id: string, title: string, heads: readonly string[], rows: readonly Html[]): Html {
  const columns = heads.map((head) => html`<th scope="col">${head}</th>`);
  const body =
    rows.length === 0
      ? html`<p>None.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-labelledby="${id}"><table><thead><tr>${columns}</tr></thead><tbody>${rows}</tbody></table></div>`;
  return html`<h2 id="${id}">${title}</h2>${body}`;
}

function frame(title: string, { release }: KernelReport, head: HtmlPart, text: string): Html {
  const shown = text.length > LONGEST ? `${text.slice(0, LONGEST)}\n(cut off)` : text;
  return document(title, [
    html`<p><a href="/kernel/${release}">${release}</a></p><h1>${title}</h1>`,
    head,
    html`<div class="scroll" tabindex="0" role="region" aria-label="Text"><pre>${shown}</pre></div>`,
  ]);
}

const cveLinks = (cves: readonly string[]): Html =>
  html`<p>${cves.length === 0 ? 'It belongs to no CVE.' : cves.map((cve) => html`<a href="/cve/${cve}">${cve}</a> `)}</p>`;

/** Why a commit was refused, in full; undefined if it was not. */
export async function refusalPage(
  overview: Overview,
  blobs: Blobs,
  release: string,
  commit: string,
): Promise<Html | undefined> {
  const kernel = kernelOf(overview, release);
  const refusals = kernel?.refusals ?? {};
  if (kernel === undefined || !Object.hasOwn(refusals, commit)) return undefined;
  const refusal = refusals[commit]!;
  const log = (await blobs.get(refusal.log))?.toString() ?? 'The store has lost it.';
  const cves = kernel.cves.filter((one) => one.refused === commit).map(({ cve }) => cve);
  const head = html`${cveLinks(cves)}<p>Refused by the ${refusal.by}: ${refusal.reason}</p>`;
  return frame(`Refusal of ${commit.slice(0, 12)}`, kernel, head, log);
}

/** A patch as it was built; undefined if it is not in the series. */
export async function patchPage(
  overview: Overview,
  blobs: Blobs,
  release: string,
  commit: string,
): Promise<Html | undefined> {
  const kernel = kernelOf(overview, release);
  const patch = kernel?.build?.patches.find((one) => one.commit === commit);
  if (kernel === undefined || patch?.digest === undefined) return undefined;
  const text = (await blobs.get(patch.digest))?.toString('latin1') ?? 'The store has lost it.';
  const notes = (patch.rewritten ?? []).map((note) => html`<li>${note}</li>`);
  const head = html`<p>${patch.subject}</p>${cveLinks(patch.cves)}${notes.length > 0 && html`<h2>Rewritten</h2><ul>${notes}</ul>`}`;
  return frame(`Patch ${commit.slice(0, 12)}`, kernel, head, text);
}

/** The report of the proof of a kernel's module, a whole page; undefined if there is none. */
export async function reportOf(overview: Overview, blobs: Blobs, release: string): Promise<string | undefined> {
  const digest = kernelOf(overview, release)?.proof?.report;
  return digest === undefined ? undefined : (await blobs.get(digest))?.toString();
}
