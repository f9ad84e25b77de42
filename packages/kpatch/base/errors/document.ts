/** Prints `docs/errors.md` from the catalogue; `make check` compares it with the file. */
import { catalogue } from './catalogue.ts';
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
    'Every error that kpatch can end with, by its code. Words in braces are filled in when it is shown.',
    'This file is printed by `make docs`.',
    '',
  ];
  for (const [code, entry] of Object.entries<CatalogueEntry>(catalogue).sort(([a], [b]) => (a < b ? -1 : 1))) {
    lines.push(`## ${code}`, '', `${entry.what}.`, '', `- exit status: ${statuses[entry.exit]}`);
    lines.push(`- why it matters: ${entry.why}`, `- what to do: ${entry.fix}`, '');
  }
  return lines.join('\n');
}

if (import.meta.main) process.stdout.write(errorsDocument());
