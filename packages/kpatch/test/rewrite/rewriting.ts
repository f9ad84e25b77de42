/** Rewrites one file with one rule, and the structure that tests of members change. */
import { rewriteFiles } from '#kpatch/rewrite/rewrite.ts';
import type { SourceText, Surroundings } from '#kpatch/rewrite/surroundings.ts';

export function rewritten(before: string, after: string, rule: string, file = 'a/b.c') {
  const { patch, notes } = rewriteFiles([{ file, before, after }], [rule]);
  const [note] = notes;
  return { patch, notes, outcome: note?.outcome, text: note?.text ?? '', assumes: note?.assumes ?? '' };
}

/** A structure with a hole behind `flag` and four bytes at its end, as the compiler lays it out. */
const holed: Surroundings = {
  layout: (struct) =>
    struct === 's'
      ? {
          size: 32,
          members: [
            { name: 'flag', start: 0, end: 1 },
            { name: 'next', start: 8, end: 16 },
            { name: 'size', start: 16, end: 24 },
            { name: 'last', start: 24, end: 28 },
          ],
        }
      : undefined,
  sizeOf: (type) => ({ spinlock_t: 4, seqcount_t: 4, 'enum e': 4, refcount_t: 4 })[type],
  numberSize: (type) => ({ dm_block_t: 8, handle_t: 4 })[type],
  users: () => [],
};

export function merged(before: string, after: string, names: readonly string[], more: readonly SourceText[] = []) {
  const files = [{ file: 'a/b.c', before, after }];
  const users = (): SourceText[] => [{ file: 'a/b.c', text: after, before }, ...more];
  return rewriteFiles(files, names, { ...holed, users });
}

export const structure = (members: string, use = 'return 0;', make = 'kzalloc'): string => `#include <linux/slab.h>
struct s {
${members}};
static struct s *begin(void) { struct s *s = ${make}(sizeof(*s), GFP_KERNEL); return s; }
static int use(struct s *s) { ${use} }
`;
export const members =
  '\tbool flag;\t/* a comment; with a semicolon */\n\tstruct s *next;\n\tlong size;\n\tint last;\n';
