/**
 * OVAL 5.11 definitions that read the state of live patches from the running kernel, so that OpenSCAP judges a patched machine
 * rightly. Feeds of distributions compare package versions and cannot see a live patch.
 */
import { isCveId } from '../record.ts';
import type { TriagedCve } from '../triage/answer.ts';

/** One kernel of the feed. */
export interface OvalKernel {
  readonly release: string;
  readonly cves: readonly TriagedCve[];
  /** Names of the livepatch modules that fix a CVE, each enough by itself. */
  readonly patches: ReadonlyMap<string, readonly string[]>;
}

const definitions = 'http://oval.mitre.org/XMLSchema/oval-definitions-5';
const common = 'http://oval.mitre.org/XMLSchema/oval-common-5';

/** Collects the parts of a feed, each test and object once. */
class Feed {
  readonly definitions: string[] = [];
  readonly tests: string[] = [];
  readonly objects: string[] = [];
  readonly #known = new Map<string, string>();

  /** The id of a test that the file has a line that matches. */
  fileMatches(path: string, pattern: string, comment: string): string {
    const key = `${path}\n${pattern}`;
    const before = this.#known.get(key);
    if (before !== undefined) return before;
    const number = this.#known.size + 1;
    const id = `oval:kpatch:tst:${number}`;
    this.#known.set(key, id);
    this.tests.push(
      `<ind:textfilecontent54_test id="${id}" version="1" comment="${escaped(comment)}" check="all" check_existence="at_least_one_exists"><ind:object object_ref="oval:kpatch:obj:${number}"/></ind:textfilecontent54_test>`,
    );
    this.objects.push(
      `<ind:textfilecontent54_object id="oval:kpatch:obj:${number}" version="1"><ind:filepath>${escaped(path)}</ind:filepath><ind:pattern operation="pattern match">${escaped(pattern)}</ind:pattern><ind:instance datatype="int">1</ind:instance></ind:textfilecontent54_object>`,
    );
    return id;
  }

  /** The id of a test whose result is always "unknown". */
  unknown(): string {
    const id = 'oval:kpatch:tst:900000000';
    if (!this.#known.has(id)) {
      this.#known.set(id, id);
      this.tests.push(`<ind:unknown_test id="${id}" version="1" comment="the sources do not decide it" check="all"/>`);
    }
    return id;
  }
}

/**
 * The feed. A definition is true if the machine runs an affected kernel and none of the live patches that fix the CVE is
 * active; it is "unknown" where triage is. Kernels that are not in the feed make every definition false.
 */
export function ovalFeed(kernels: readonly OvalKernel[], date: string, tool: string): string {
  const feed = new Feed();
  const byCve = new Map<string, { kernel: OvalKernel; one: TriagedCve }[]>();
  for (const kernel of kernels) {
    for (const one of kernel.cves) {
      if (!isCveId(one.cve)) continue;
      const all = byCve.get(one.cve) ?? [];
      all.push({ kernel, one });
      byCve.set(one.cve, all);
    }
  }
  const ids = [...byCve.keys()].sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  for (const cve of ids) feed.definitions.push(definition(cve, byCve.get(cve)!, feed));
  return `<?xml version="1.0" encoding="UTF-8"?>
<oval_definitions xmlns="${definitions}" xmlns:oval="${common}" xmlns:ind="${definitions}#independent" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<generator><oval:product_name>kpatch</oval:product_name><oval:product_version>${escaped(tool)}</oval:product_version><oval:schema_version>5.11</oval:schema_version><oval:timestamp>${escaped(date)}</oval:timestamp></generator>
<definitions>
${feed.definitions.join('\n')}
</definitions>
<tests>
${feed.tests.join('\n')}
</tests>
<objects>
${feed.objects.join('\n')}
</objects>
</oval_definitions>
`;
}

function definition(cve: string, all: readonly { kernel: OvalKernel; one: TriagedCve }[], feed: Feed): string {
  const [, year, number] = cve.split('-');
  const title = all[0]!.one.title || cve;
  const kernels = all.map(({ kernel, one }) => criteria(kernel, one, feed)).filter((text) => text !== '');
  // OVAL wants at least one criterion: a kernel that is safe for good makes the definition false.
  const none = `<criterion test_ref="${feed.fileMatches('/proc/sys/kernel/osrelease', '^no such kernel$', 'no kernel is affected')}"/>`;
  return `<definition id="oval:kpatch:def:${year}${number!.padStart(8, '0')}" version="1" class="vulnerability"><metadata><title>${escaped(`${cve}: ${title}`)}</title><affected family="unix"/><reference source="CVE" ref_id="${cve}" ref_url="https://www.cve.org/CVERecord?id=${cve}"/><description>${escaped(title)}</description></metadata><criteria operator="OR">${kernels.join('') || none}</criteria></definition>`;
}

function criteria({ release, patches }: OvalKernel, one: TriagedCve, feed: Feed): string {
  const names = patches.get(one.cve) ?? [];
  const safe = one.answer === 'not affected' || one.answer === 'not in this configuration';
  // A CVE that a live patch fixes is open again without the patch; one that the package fixes never is.
  if (safe || (one.answer === 'fixed' && names.length === 0)) return '';
  const runs = feed.fileMatches('/proc/sys/kernel/osrelease', `^${literal(release)}$`, `the kernel ${release} runs`);
  const parts = [`<criterion test_ref="${runs}"/>`];
  if (one.answer === 'unknown') parts.push(`<criterion test_ref="${feed.unknown()}"/>`);
  const active = names.map((name) => {
    const folder = `/sys/kernel/livepatch/${name}`;
    const enabled = feed.fileMatches(`${folder}/enabled`, '^1$', `the live patch ${name} is enabled`);
    const settled = feed.fileMatches(`${folder}/transition`, '^0$', `the transition of ${name} is complete`);
    return `<criteria operator="AND"><criterion test_ref="${enabled}"/><criterion test_ref="${settled}"/></criteria>`;
  });
  if (active.length > 0) parts.push(`<criteria operator="OR" negate="true">${active.join('')}</criteria>`);
  return `<criteria operator="AND">${parts.join('')}</criteria>`;
}

/** A text as a pattern that matches only it (PCRE). */
function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|-]/g, '\\$&');
}

/** Text for XML 1.0; characters that XML cannot hold are left out. */
function escaped(text: string): string {
  return text
    .replace(/[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/gu, '')
    .replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}
