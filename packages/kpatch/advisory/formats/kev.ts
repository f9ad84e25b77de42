/** The catalogue of known exploited vulnerabilities of CISA (KEV). */
import { list, object, type Plain, text } from '../../base/plain.ts';
import { type Advisory, emptyAdvisory, isCveId } from '../record.ts';

/** True if the document is the catalogue. */
export function isKev(document: Plain): boolean {
  return text(document.catalogVersion) !== undefined && Array.isArray(document.vulnerabilities);
}

/** One record a CVE of the Linux kernel. It says only that the flaw is exploited. */
export function readKev(document: Plain, file: string): Advisory[] {
  return list(document.vulnerabilities)
    .map(object)
    .flatMap((entry) => {
      const id = text(entry.cveID) ?? '';
      const kernel = /\blinux\b/i.test(text(entry.vendorProject) ?? '') && /kernel/i.test(text(entry.product) ?? '');
      if (!isCveId(id) || !kernel) return [];
      return [{ ...emptyAdvisory(id, [file]), exploited: text(entry.dateAdded) ?? 'an unknown day' }];
    });
}
