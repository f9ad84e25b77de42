/**
 * CSAF 2.0 and 2.1 documents, security advisories and VEX, as Red Hat, SUSE and this project's own channels publish them.
 */

import { once } from '../../base/once.ts';
import { list, number, object, type Plain, text, texts } from '../../base/plain.ts';
import { namesOf } from '../../platform/registry.ts';
import { type Advisory, type Applicability, isCveId, type VersionRule } from '../record.ts';
import { levelOfScore, levelOfWord, type Severity, severityOfVector } from '../severity.ts';

/** True if the document names a CSAF version. */
export function isCsaf(document: Plain): boolean {
  return text(object(document.document).csaf_version) !== undefined;
}

/** One record for each vulnerability of the document that has a CVE id. */
export function readCsaf(document: Plain, file: string): Advisory[] {
  const head = object(document.document);
  const vendor = text(object(head.publisher).name) ?? 'CSAF';
  const overall = levelOfWord(text(object(head.aggregate_severity).text) ?? '');
  const kernels = kernelProducts(object(document.product_tree));
  return list(document.vulnerabilities)
    .map(object)
    .flatMap((vulnerability) => {
      const id = text(vulnerability.cve);
      if (id === undefined || !isCveId(id)) return [];
      const title = text(vulnerability.title) ?? text(head.title);
      const own = [...impact(vulnerability, vendor), ...scores(vulnerability, vendor)];
      const general: Severity[] = overall === undefined ? [] : [{ level: overall, by: `${vendor}: ${overall}` }];
      return [
        {
          id,
          ...(title === undefined ? {} : { title }),
          severities: own.length > 0 ? own : general,
          files: [],
          commits: [],
          problems: [],
          applies: applicability(object(vulnerability.product_status), kernels, vendor),
          rejected: false,
          sources: [file],
        },
      ];
    });
}

/** The vendor's word for this vulnerability: a threat of category `impact`. */
function impact(vulnerability: Plain, vendor: string): Severity[] {
  for (const threat of list(vulnerability.threats).map(object)) {
    const word = text(threat.details) ?? '';
    const level = threat.category === 'impact' ? levelOfWord(word) : undefined;
    if (level !== undefined) return [{ level, by: `${vendor}: ${word}` }];
  }
  return [];
}

/** `scores` of CSAF 2.0, `metrics[].content` of 2.1. */
function scores(vulnerability: Plain, vendor: string): Severity[] {
  const holders = [
    ...list(vulnerability.scores).map(object),
    ...list(vulnerability.metrics).map((metric) => object(object(metric).content)),
  ];
  for (const holder of holders) {
    for (const name of ['cvss_v4', 'cvss_v3']) {
      const cvss = object(holder[name]);
      const rating = severityOfVector(text(cvss.vectorString) ?? '', vendor);
      if (rating !== undefined) return [rating];
      const score = number(cvss.baseScore);
      if (score !== undefined && score >= 0 && score <= 10) {
        return [{ level: levelOfScore(score), by: `CVSS ${score.toFixed(1)} by ${vendor}`, score }];
      }
    }
  }
  return [];
}

interface KernelProduct {
  readonly name: string;
  readonly scheme: 'deb' | 'rpm';
  readonly version: string;
  readonly stream: string;
}

/** Deeper nesting of branches than this is not a product tree. */
const MAX_DEPTH = 32;

/**
 * Product ids that stand for a version of the kernel package, by package URL, or by the usual form of the id itself
 * (`STREAM:kernel-0:5.14.0-427.13.1.el9_4.x86_64`); relationships give a product of a stream a new id.
 */
function kernelProducts(tree: Plain): Map<string, KernelProduct> {
  const found = new Map<string, KernelProduct>();
  const add = (id: string, purl: string | undefined, stream: string): void => {
    const product = fromPurl(purl) ?? fromId(id);
    if (product !== undefined) found.set(id, { ...product, stream });
  };
  const walk = (branches: readonly unknown[], depth: number): void => {
    if (depth > MAX_DEPTH) return;
    for (const branch of branches.map(object)) {
      const product = object(branch.product);
      const id = text(product.product_id);
      if (id !== undefined) add(id, text(object(product.product_identification_helper).purl), '');
      walk(list(branch.branches), depth + 1);
    }
  };
  walk(list(tree.branches), 0);
  for (const relation of list(tree.relationships).map(object)) {
    const id = text(object(relation.full_product_name).product_id);
    const part = found.get(text(relation.product_reference) ?? '');
    const stream = text(relation.relates_to_product_reference) ?? '';
    if (id !== undefined && part !== undefined) found.set(id, { ...part, stream });
    else if (id !== undefined) add(id, undefined, stream);
  }
  return found;
}

function fromPurl(purl: string | undefined): Omit<KernelProduct, 'stream'> | undefined {
  const [, type, name, version = '', query = ''] =
    /^pkg:(rpm|deb)\/(?:[^/@?]+\/)?([^@?]+)@([^?]+)(.*)$/.exec(purl ?? '') ?? [];
  if (name === undefined || !isKernel(name)) return undefined;
  const scheme = type === 'deb' ? 'deb' : 'rpm';
  const epoch = /[?&]epoch=(\d+)/.exec(query)?.[1];
  try {
    return { name, scheme, version: decodeURIComponent(epoch === undefined ? version : `${epoch}:${version}`) };
  } catch {
    return undefined; // not a package URL: a lone percent sign
  }
}

const rpmId = once(
  () =>
    new RegExp(
      `(?:^|:)([a-z][a-z-]*)-((?:\\d+:)?[\\w.~^+]+-[\\w.~^+]+)\\.(?:${[...namesOf('rpm'), 'src'].join('|')})$`,
    ),
);

function fromId(id: string): Omit<KernelProduct, 'stream'> | undefined {
  const [, name, version] = rpmId().exec(id) ?? [];
  return name !== undefined && version !== undefined && isKernel(name) ? { name, version, scheme: 'rpm' } : undefined;
}

function isKernel(name: string): boolean {
  return ['kernel', 'kernel-core', 'kernel-default', 'linux'].includes(name);
}

/** A product that is fixed at a version: those of its stream before it were affected. */
function applicability(status: Plain, kernels: ReadonlyMap<string, KernelProduct>, by: string): Applicability[] {
  const rules = new Map<string, { product: KernelProduct; rules: VersionRule[] }>();
  const add = (ids: readonly string[], rule: (product: KernelProduct) => VersionRule): void => {
    for (const product of ids.flatMap((id) => kernels.get(id) ?? [])) {
      const key = `${product.stream} ${product.name}`;
      const entry = rules.get(key) ?? { product, rules: [] };
      entry.rules.push(rule(product));
      rules.set(key, entry);
    }
  };
  add([...texts(status.fixed), ...texts(status.first_fixed)], ({ version }) => ({
    from: '0',
    below: version,
    status: 'affected',
  }));
  add(texts(status.known_affected), ({ version }) => ({ from: version, status: 'affected' }));
  add(texts(status.known_not_affected), ({ version }) => ({ from: version, status: 'unaffected' }));
  return [...rules.values()].map(({ product, rules: own }) => ({
    scheme: product.scheme,
    by,
    ...(product.stream === '' ? {} : { distribution: product.stream }),
    package: product.name,
    otherwise: 'unaffected',
    rules: own,
  }));
}
