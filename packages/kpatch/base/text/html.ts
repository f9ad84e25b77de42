/**
 * HTML that escapes by construction. A page is written with the tag `html`: what is in the template is markup, what is put
 * into it is text, unless it was made by `html` itself. No caller needs to remember to escape.
 */
import { createHash } from 'node:crypto';
import { printable } from './printable.ts';

/** The only way from text to markup, for this file alone. */
let make: (markup: string) => Html;

/** Markup. Only this file makes it. */
export class Html {
  readonly #markup: string;

  private constructor(markup: string) {
    this.#markup = markup;
  }

  static {
    make = (markup) => new Html(markup);
  }

  toString(): string {
    return this.#markup;
  }
}

/** What can be put into a template; lists are put in one after the other, what is undefined or false leaves nothing. */
export type HtmlPart = Html | string | number | undefined | false | readonly HtmlPart[];

/** A template of markup. A value of an attribute must be in double quotes; nothing can be put into a style or script. */
export function html(strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html {
  checkTemplate(strings);
  return make(strings.map((text, at) => `${text}${render(parts[at])}`).join(''));
}

const checked = new WeakSet<TemplateStringsArray>();

/** Refuses a template with a place where escaped text could still become markup or code. */
function checkTemplate(strings: TemplateStringsArray): void {
  if (checked.has(strings)) return;
  let before = '';
  for (const text of strings.slice(0, -1)) {
    before += text;
    const tag = before.slice(Math.max(before.lastIndexOf('<'), 0));
    const inTag = tag.startsWith('<') && !tag.includes('>');
    const quoted = tag.split('"').length % 2 === 0;
    if (inTag && !quoted) throw new Error(`only a value in double quotes can be put into a tag: ${tag}`);
    if (/<(style|script)\b(?![\s\S]*<\/\1>)/i.test(before))
      throw new Error('text in a style or script cannot be escaped');
  }
  checked.add(strings);
}

/** Markup parts, one after the other, with something between them. */
export function joined(parts: readonly HtmlPart[], between: HtmlPart): Html {
  const separator = render(between);
  return make(parts.map(render).join(separator));
}

/** A style sheet of our own, and what the page's policy says about it. */
export interface Inline {
  readonly element: Html;
  /** A source expression of a content security policy (CSP Level 3). */
  readonly source: string;
}

/** A style sheet that is part of the program. */
export function inlineStyle(css: string): Inline {
  return inline('style', css);
}

/** A script that is part of the program. */
export function inlineScript(script: string): Inline {
  return inline('script', script);
}

/**
 * The content security policy of a page that is one file: nothing is loaded from anywhere, only the styles and scripts
 * named run, and nothing is sent. `styleAttributes` allows `style="…"`, which cannot load or run anything.
 */
export function contentPolicy(options: {
  readonly styles: readonly Inline[];
  readonly scripts?: readonly Inline[];
  readonly styleAttributes?: boolean;
  /** A form of the page may be sent to its own server. */
  readonly forms?: boolean;
}): Html {
  const { styles, scripts = [], styleAttributes = false, forms = false } = options;
  const sources = (all: readonly Inline[]): string => all.map(({ source }) => source).join(' ') || "'none'";
  const rules = [
    "default-src 'none'",
    `style-src ${sources(styles)}`,
    ...(styleAttributes ? ["style-src-attr 'unsafe-inline'"] : []),
    `script-src ${sources(scripts)}`,
    'img-src data:',
    "base-uri 'none'",
    `form-action ${forms ? "'self'" : "'none'"}`,
  ];
  return html`<meta http-equiv="Content-Security-Policy" content="${rules.join('; ')}">`;
}

function inline(element: 'style' | 'script', content: string): Inline {
  if (/<[/!]/.test(content)) throw new Error(`a ${element} cannot contain "</" or "<!"`);
  const source = `'sha256-${createHash('sha256').update(content).digest('base64')}'`;
  return { element: make(`<${element}>${content}</${element}>`), source };
}

function render(part: HtmlPart): string {
  if (part instanceof Html) return part.toString();
  if (part === undefined || part === false) return '';
  if (typeof part === 'number') return String(part);
  return typeof part === 'string' ? escapeText(part) : part.map(render).join('');
}

/** For text and for values of attributes in double quotes. */
function escapeText(text: string): string {
  return printable(text)
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
