/** `kpatch build --plan` for people. */
import { plural } from '../../base/errors/plural.ts';
import { type Line, line, span } from '../../base/text/terminal.ts';
import { describeCause } from '../../builder/cause.ts';
import type { Forecast } from '../../builder/duration/forecast.ts';
import type { Outcome } from '../command.ts';

/** Units that are listed; `--json` lists all. */
const SHOWN = 20;

/** `command` is the command line that builds. */
export function planOutcome(forecast: Forecast, command: string): Outcome {
  const { expectedMs, ...rest } = forecast;
  return {
    schema: 'kpatch.build-plan/1',
    data: { ...rest, expectedMs: expectedMs ?? null },
    text: planLines(forecast),
    next: [{ run: command, what: 'build it' }],
  };
}

function planLines(forecast: Forecast): Line[] {
  const { units, functions, functionsKnown, leftOut, expectedMs, release, name } = forecast;
  const title = (text: string): Line => line([span('strong', text)]);
  const rest = (count: number): Line[] =>
    count <= SHOWN ? [] : [line([span('quiet', `  and ${count - SHOWN} more; --json lists all`)])];
  const expected = functionsKnown
    ? [
        title(`${plural(functions.length, 'function')} expected to change, by the source:`),
        ...functions
          .slice(0, SHOWN)
          .map(({ name: of, unit, cause }) =>
            line([`  ${of}`, span('quiet', `  ${unit}: ${describeCause(cause)}`)], 4),
          ),
        ...rest(functions.length),
      ]
    : [title('Functions: too many units to tell before they are compiled')];
  return [
    line([span('strong', `${name} for ${release}`)]),
    title(`${plural(units.length, 'unit')} to compile, each before and after the patch:`),
    ...units.slice(0, SHOWN).map(({ object, owners, through }) => {
      return line([`  ${object}`, span('quiet', `  in ${owners.join(', ')}, because of ${through.join(', ')}`)], 4);
    }),
    ...rest(units.length),
    ...expected,
    ...(leftOut.length === 0 ? [] : [title('Left out:')]),
    ...leftOut.slice(0, SHOWN).map(({ file, reason }) => line([`  ${file}`, span('quiet', `  ${reason}`)], 4)),
    ...rest(leftOut.length),
    line([span('strong', 'Time: '), durationText(expectedMs)]),
  ];
}

function durationText(ms: number | undefined): string {
  if (ms === undefined) return 'not known: no build for this kernel was measured on this machine';
  if (ms < 90_000) return `about ${(ms / 1000).toFixed(1)} s, by the builds measured on this machine`;
  const minutes = Math.round(ms / 60_000);
  return `about ${minutes < 90 ? plural(minutes, 'minute') : plural(Math.round(minutes / 60), 'hour')}, by the builds measured on this machine`;
}
