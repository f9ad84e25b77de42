/** Generates `docs/errors.md` from the catalogue; `make check` verifies that the file is up to date. */
import { catalogue } from './entries/all.ts';
import type { CatalogueEntry } from './entry.ts';

const statuses: Readonly<Record<number, string>> = {
  1: '1 failed',
  2: '2 wrong usage',
  3: '3 nothing to do',
  4: '4 refused as unsafe',
};

export function errorsDocument(): string {
  const lines = [
    '# Error catalogue',
    '',
    'All errors of kpatch, sorted by code. Words in braces are replaced when the error is shown.',
    '`make docs` generates this file.',
    '',
  ];
  for (const [code, entry] of Object.entries<CatalogueEntry>(catalogue).sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`## ${code}`, '', `${shown(entry.what)}.`, '', `- exit status: ${statuses[entry.exit]}`);
    if (entry.why !== '') lines.push(`- why: ${shown(entry.why)}`);
    lines.push(`- what to do: ${shown(entry.fix)}`, '');
  }
  return lines.join('\n');
}

/** `{count patch/patches}` as `{count} patches`. */
function shown(text: string): string {
  return text.replace(/\{(\w+) ([^}]+)\}/g, (_, name: string, noun: string) => {
    const [one, many] = noun.split('/');
    return `{${name}} ${many ?? `${one}s`}`;
  });
}

if (import.meta.main) process.stdout.write(errorsDocument());
