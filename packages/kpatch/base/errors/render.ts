/** An error for people: the same parts in the same order, with colours and hanging indents where a terminal shows it. */
import { type Line, line, span } from '../text/terminal.ts';
import { type KpatchError, renderWhere } from './error.ts';

/** Column at which the parts of an error begin. */
const INDENT = 9;

/** The error as lines; `plainText` of them is what `renderError` returns. */
export function errorLines(error: KpatchError): Line[] {
  const where = renderWhere(error.where);
  return [
    line([span('bad', 'kpatch: '), span('strong', error.message), span('quiet', ` [${error.code}]`)], INDENT - 1),
    ...(where === '' ? [] : [part('where', where)]),
    ...(error.why === '' ? [] : [part('why', error.why)]),
    ...(error.usage === undefined ? [] : [part('usage', error.usage)]),
    part('do', error.fix),
    ...detailLines(error.detail),
  ];
}

/** The error as plain text: several lines without a final newline. */
export function renderError(error: KpatchError): string {
  return errorLines(error)
    .map(({ spans }) => spans.map(({ text }) => text).join(''))
    .join('\n');
}

function part(name: string, text: string): Line {
  return line([span('quiet', `  ${`${name}:`.padEnd(INDENT - 2)}`), text], INDENT);
}

/** Verbatim output, with removed and added lines of a diff in their colours. */
function detailLines(detail: string | undefined): Line[] {
  if (detail === undefined || detail.trim() === '') return [];
  const lines = detail.trimEnd().split('\n');
  return [
    line([]),
    ...lines.map((text) => {
      const role = text.startsWith('+') ? 'good' : text.startsWith('-') ? 'bad' : 'plain';
      return line([span('quiet', '  | '), span(role, text)], 4);
    }),
  ];
}
