/**
 * `make site`: the documentation as a static site in dist/site: a tutorial, how-to guides, a reference that is generated from
 * the code, and explanations. One HTML file for each page, no scripts, nothing loaded from elsewhere. A page of docs/ that no
 * group has, and a link to a page or heading that does not exist, end it with status 1.
 */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Marked } from 'marked';
import { components } from '#kpatch/design/components.ts';
import { tokens } from '#kpatch/design/tokens.ts';

const root = join(import.meta.dirname, '..');
const docs = join(root, 'docs');

/** The pages by what a reader wants (https://diataxis.fr). */
const groups: Readonly<Record<string, readonly string[]>> = {
  Start: ['index', 'tutorial'],
  'How to': ['patch-author-guide', 'kernels', 'machines', 'rewrite', 'review', 'shield', 'adding'],
  'On hosts': ['host', 'policy', 'channel', 'cves', 'effective'],
  'Factory and fleet': ['server', 'factory', 'fleet', 'rollouts'],
  Reference: ['commands', 'errors', 'json', 'fleet-api', 'differ-rules', 'parsers'],
  Explanation: [
    'proof',
    'provenance',
    'architecture',
    'differ',
    'sandbox',
    'threat-model',
    'measurements',
    'corpus',
    'window',
    'comparison',
    'dependencies',
    'style',
  ],
};

const style = `${tokens}${components}
main{min-width:0}main>h1:first-child{margin-top:0}
main table{display:block;overflow-x:auto;font-size:var(--size-2)}
main th,main td{padding:var(--space-2) var(--space-3);border-bottom:1px solid var(--line);vertical-align:top;text-align:left}
main pre{margin:var(--space-3) 0}main img{max-width:100%;border:1px solid var(--line);border-radius:var(--radius)}
.contents strong{display:block;margin-top:var(--space-3)}.contents [aria-current]{font-weight:600;color:var(--fg)}
`;

interface Page {
  readonly name: string;
  readonly title: string;
  readonly body: string;
  readonly headings: ReadonlySet<string>;
  readonly links: readonly string[];
}

function slug(text: string): string {
  return text
    .toLowerCase()
    .replace(/<[^>]*>|[^\w\- ]/g, '')
    .replaceAll(' ', '-');
}

function read(name: string): Page {
  const markdown = readFileSync(name === 'index' ? join(root, 'README.md') : join(docs, `${name}.md`), 'utf8');
  const headings = new Set<string>();
  const links: string[] = [];
  const marked = new Marked({
    renderer: {
      heading({ tokens: parts, depth }) {
        const text = this.parser.parseInline(parts);
        const id = slug(text);
        headings.add(id);
        return `<h${depth} id="${id}">${text}</h${depth}>\n`;
      },
      link({ href, tokens: parts }) {
        const text = this.parser.parseInline(parts);
        const target = targetOf(href);
        if (target === undefined) return text;
        if (!/^\w+:/.test(target)) links.push(target);
        return `<a href="${target}">${text}</a>`;
      },
      image({ href, text }) {
        return `<img src="images/${basename(href)}" alt="${text}">`;
      },
      code({ text }) {
        const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
        return `<pre tabindex="0"><code>${escaped}</code></pre>\n`;
      },
    },
  });
  const body = marked.parse(markdown, { async: false });
  const title = /^# (.*)$/m.exec(markdown)?.[1] ?? name;
  return { name, title, body, headings, links };
}

const known = Object.values(groups).flat();
const forgotten = readdirSync(docs).filter((file) => file.endsWith('.md') && !known.includes(basename(file, '.md')));
if (forgotten.length > 0)
  throw new Error(`docs/ has pages that are in no group of tools/site.ts: ${forgotten.join(', ')}`);

/** Where a link of the repository leads on the site; undefined for what only the repository has. */
function targetOf(href: string): string | undefined {
  if (/^\w+:/.test(href) || href.startsWith('#')) return href;
  const [path = '', anchor] = href.split('#');
  const name = path === '../README.md' ? 'index' : basename(path).replace(/\.md$/, '');
  if (!path.endsWith('.md') || !known.includes(name)) return undefined;
  return `${name}.html${anchor === undefined ? '' : `#${anchor}`}`;
}

const pages = new Map(known.map((name) => [name, read(name)]));

function navigation(current: string): string {
  const entries = Object.entries(groups).map(([group, names]) => {
    const items = names.map((name) => {
      const here = name === current ? ' aria-current="page"' : '';
      return `<li><a href="${name}.html"${here}>${name === 'index' ? 'Overview' : pages.get(name)!.title}</a></li>`;
    });
    return `<strong>${group}</strong><ul>${items.join('')}</ul>`;
  });
  return `<nav class="contents" aria-label="Pages">${entries.join('')}</nav>`;
}

const target = process.argv[2] ?? join(root, 'dist/site');
rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
writeFileSync(join(target, 'style.css'), style);
for (const folder of ['images', 'recordings', 'schemas']) {
  if (existsSync(join(docs, folder))) cpSync(join(docs, folder), join(target, folder), { recursive: true });
}
let broken = 0;
for (const { name, title, body, links, headings } of pages.values()) {
  for (const link of links) {
    const [file = '', anchor] = link.split('#');
    const page = file === '' ? { headings } : pages.get(file.replace(/\.html$/, ''));
    if (page !== undefined && (anchor === undefined || page.headings.has(anchor))) continue;
    console.error(`${name}: the link ${link} leads nowhere`);
    broken++;
  }
  const policy = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'";
  writeFileSync(
    join(target, `${name}.html`),
    `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
<title>${name === 'index' ? 'kpatch: live patching for Linux' : `${title} – kpatch`}</title><link rel="icon" href="data:,"><link rel="stylesheet" href="style.css"></head>
<body><a class="skip" href="#main">To the content</a><div class="frame with-contents">
${navigation(name)}
<main id="main">
${body}</main></div></body></html>
`,
  );
}
console.log(`${pages.size} pages in ${target}`);
process.exitCode = broken === 0 ? 0 : 1;
