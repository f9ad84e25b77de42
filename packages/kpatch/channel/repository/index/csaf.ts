/** CSAF 2.0 advisories of a channel, one for each live patch, in the layout that CSAF providers use (section 7). */
import { existsSync, linkSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../../../base/digest.ts';
import { writeAtomically } from '../../../base/files.ts';
import { version as toolVersion } from '../../../base/version.ts';
import { versionText } from '../../package/record.ts';
import type { ChannelConfig } from '../config.ts';
import { sign } from '../gpg.ts';
import type { ChannelKernel, PublishedPatch } from '../kernel.ts';
import { worst } from '../page/words.ts';
import type { Publication } from '../publication.ts';
import { advisoryId } from './updateinfo.ts';

/** The document of one live patch. */
export function csafDocument(config: ChannelConfig, kernel: ChannelKernel, patch: PublishedPatch): object {
  const { record } = patch;
  const id = advisoryId(config, kernel, patch);
  const version = versionText(record);
  const product = `kernel-${kernel.release}:kpatch-patch-${version}`;
  const affected = `kernel-${kernel.release}`;
  const severity = worst(record.cves);
  return {
    document: {
      category: 'csaf_security_advisory',
      csaf_version: '2.0',
      title: `Live patch ${version} for the Linux kernel ${kernel.release}`,
      lang: 'en',
      ...(severity === 'unrated' ? {} : { aggregate_severity: { text: capital(severity) } }),
      distribution: { tlp: { label: 'WHITE' } },
      publisher: {
        category: 'vendor',
        name: config.description === '' ? config.name : config.description,
        namespace: config.url,
      },
      tracking: {
        id,
        status: 'final',
        version: '1',
        initial_release_date: patch.issued,
        current_release_date: patch.issued,
        revision_history: [{ number: '1', date: patch.issued, summary: 'First version' }],
        generator: { engine: { name: 'kpatch', version: toolVersion } },
      },
      notes: [
        {
          category: 'general',
          title: 'About this document',
          text: `A cumulative live patch: it is loaded into the running kernel ${kernel.release} and replaces all live patches before it. No reboot is needed.`,
        },
        ...record.withdrawn.map(({ id: cve, reason }) => ({
          category: 'details',
          title: `No longer fixed live: ${cve}`,
          text: reason,
        })),
      ],
      references: [
        { category: 'self', summary: 'This document', url: `${config.url}/csaf/white/${csafPath(id, patch)}` },
      ],
    },
    product_tree: {
      branches: [
        {
          category: 'vendor',
          name: kernel.distribution,
          branches: [
            {
              category: 'product_name',
              name: 'Linux kernel',
              branches: [
                {
                  category: 'product_version',
                  name: kernel.release,
                  product: { product_id: affected, name: `Linux kernel ${kernel.release}` },
                },
                {
                  category: 'product_version',
                  name: `${kernel.release} with live patch ${version}`,
                  product: { product_id: product, name: `Linux kernel ${kernel.release} with live patch ${version}` },
                },
              ],
            },
          ],
        },
      ],
    },
    vulnerabilities: record.cves.map((cve) => ({
      cve: cve.id,
      ...(cve.title === '' ? {} : { title: cve.title }),
      notes: [{ category: 'description', text: cve.title === '' ? cve.id : cve.title }],
      product_status: { fixed: [product], known_affected: [affected] },
      remediations: [
        {
          category: 'vendor_fix',
          details: 'kpatch update',
          product_ids: [affected],
          restart_required: { category: 'none' },
        },
      ],
      ...(cve.severity === 'unrated'
        ? {}
        : { threats: [{ category: 'impact', details: capital(cve.severity), product_ids: [affected] }] }),
    })),
  };
}

function capital(word: string): string {
  return `${word[0]?.toUpperCase() ?? ''}${word.slice(1)}`;
}

/**
 * `YEAR/id.json`: the id in lower case, what is not a letter, digit, plus or dash an underscore (CSAF 2.0, section 5.1).
 */
function csafPath(id: string, patch: PublishedPatch): string {
  return `${patch.issued.slice(0, 4)}/${id.toLowerCase().replace(/[^+\-a-z0-9]+/g, '_')}.json`;
}

/** Writes and signs the advisory of a patch into `store`, unless it is there as it should be; gives its path there. */
export async function keepCsaf(
  store: string,
  config: ChannelConfig,
  kernel: ChannelKernel,
  patch: PublishedPatch,
): Promise<string> {
  const path = csafPath(advisoryId(config, kernel, patch), patch);
  await keepSigned(join(store, path), `${JSON.stringify(csafDocument(config, kernel, patch), null, 1)}\n`, config);
  return path;
}

/**
 * Puts the advisories below `tree/csaf`. A document is written and signed once, kept in `store`, and linked into each
 * publication.
 * Error: `channel-key`.
 */
export async function writeCsaf(
  tree: string,
  config: ChannelConfig,
  publication: Publication,
  store: string,
): Promise<void> {
  const root = join(tree, 'csaf');
  const white = join(root, 'white');
  mkdirSync(white, { recursive: true });
  const listed: { path: string; date: string }[] = [];
  for (const kernel of publication.kernels) {
    for (const patch of kernel.patches) {
      if (patch.record.module === null) continue;
      const path = await keepCsaf(store, config, kernel, patch);
      mkdirSync(dirname(join(white, path)), { recursive: true });
      for (const suffix of ['', '.sha256', '.asc']) linkSync(join(store, path + suffix), join(white, path + suffix));
      listed.push({ path, date: patch.issued });
    }
  }
  listed.sort((a, b) => (a.date < b.date ? 1 : a.date > b.date ? -1 : a.path < b.path ? -1 : 1));
  writeFileSync(
    join(white, 'index.txt'),
    listed
      .map(({ path }) => `${path}\n`)
      .sort()
      .join(''),
  );
  writeFileSync(join(white, 'changes.csv'), listed.map(({ path, date }) => `"${path}","${date}"\n`).join(''));
  writeFileSync(join(root, 'provider-metadata.json'), `${JSON.stringify(provider(config, publication), null, 1)}\n`);
}

async function keepSigned(file: string, text: string, config: ChannelConfig): Promise<void> {
  const current = existsSync(`${file}.asc`) && existsSync(file) && readFileSync(file, 'utf8') === text;
  if (current) return;
  mkdirSync(dirname(file), { recursive: true });
  const signature = await sign(text, config.keys, 'detached');
  writeAtomically(file, text);
  writeAtomically(`${file}.sha256`, `${sha256(text)}  ${file.slice(file.lastIndexOf('/') + 1)}\n`);
  writeAtomically(`${file}.asc`, signature);
}

function provider(config: ChannelConfig, publication: Publication): object {
  return {
    canonical_url: `${config.url}/csaf/provider-metadata.json`,
    distributions: [{ directory_url: `${config.url}/csaf/white/` }],
    last_updated: publication.date.toISOString(),
    list_on_CSAF_aggregators: false,
    metadata_version: '2.0',
    mirror_on_CSAF_aggregators: false,
    public_openpgp_keys: config.keys.map((fingerprint) => ({ fingerprint, url: `${config.url}/key.asc` })),
    publisher: {
      category: 'vendor',
      name: config.description === '' ? config.name : config.description,
      namespace: config.url,
    },
    role: 'csaf_provider',
  };
}
