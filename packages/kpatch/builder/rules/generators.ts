/**
 * Headers that a program reads while the kernel is built, to generate other headers from them: scripts/selinux/genheaders makes
 * flask.h from classmap.h, lib/gen_crc32table makes crc32table.h from crc32defs.h. The generated files are those of the prepared
 * kernel, and kpatch does not run the generators again.
 */
import { posix } from 'node:path';
import { failure } from '../../base/errors/error.ts';
import type { IncludeGraph } from '../../kbuild/include-graph.ts';

/**
 * Programs that generate headers for code of the kernel. Others below scripts/ read headers to work on finished objects (modpost),
 * and what those of boot code generate is only in boot code.
 */
const generator = /^(?:scripts\/(?!mod\/|kconfig\/|dtc\/|gcc-plugins\/|basic\/).*|lib\/(?:.*\/)?(?:gen|mk)[^/]*)\.c$/;

/** Refuses a header that a generator includes. `read` gives the text of a file of the tree. Error: `source-kind-unsupported`. */
export function refuseGeneratorInput(header: string, graph: IncludeGraph, read: (file: string) => string): void {
  const name = posix.basename(header);
  const program = graph.includersOf(header).find((file) => {
    // Names in angle brackets are headers of the machine that builds.
    return (
      generator.test(file) &&
      read(file)
        .split('\n')
        .some((line) => isQuoted(line, name))
    );
  });
  if (program === undefined) return;
  throw failure(
    'source-kind-unsupported',
    {
      target: header,
      kind: 'a header from which code is generated',
      reason: `${program} reads it while the kernel is built, and what it generates would not change`,
    },
    { where: { file: header } },
  );
}

function isQuoted(line: string, name: string): boolean {
  const included = /^[ \t]*#[ \t]*include[ \t]*"([^"]+)"/.exec(line)?.[1];
  return included !== undefined && posix.basename(included) === name;
}
