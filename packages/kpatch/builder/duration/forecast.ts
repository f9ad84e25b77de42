/** What a build would do, without compiling anything: units, expected functions, duration. */
import { availableParallelism } from 'node:os';
import { failure } from '../../base/errors/error.ts';
import { temporaryFolder } from '../../base/files.ts';
import type { Reporter } from '../../base/report.ts';
import type { Unit } from '../../kbuild/unit.ts';
import { readableFiles } from '../../sandbox/user.ts';
import type { Adjustment } from '../../source/apply.ts';
import { sourceItems } from '../../source/reach/source-items.ts';
import { type Cause, Causes } from '../cause.ts';
import type { LeftOut } from '../planning/irrelevance.ts';
import type { BuildRequest } from '../request.ts';
import { kernelTree } from '../stages/compile/kernel-tree.ts';
import type { Sources } from '../stages/compile/workshop.ts';
import { readOrder } from '../stages/order.ts';
import { findTarget } from '../stages/target.ts';
import { expectedDuration } from './timings.ts';

export interface ExpectedFunction {
  readonly name: string;
  readonly unit: string;
  readonly cause: Cause;
}

export interface Forecast {
  readonly release: string;
  readonly name: string;
  readonly units: readonly {
    readonly object: string;
    readonly owners: readonly string[];
    readonly through: readonly string[];
  }[];
  /** Functions that the source says will change. The compiler decides: inlining can add and remove some. */
  readonly functions: readonly ExpectedFunction[];
  /** False if there are too many units to read the source of each. */
  readonly functionsKnown: boolean;
  readonly leftOut: readonly LeftOut[];
  readonly adjustments: readonly Adjustment[];
  /** Milliseconds, by the builds that were measured on this machine; undefined if there are none. */
  readonly expectedMs: number | undefined;
}

/** Reading the source of a unit takes some milliseconds; of thousands, minutes. */
const MANY_UNITS = 200;

/** Prepares the kernel, applies and plans as a build does. Errors: those of a build up to its plan; `plan-out-of-tree`. */
export async function forecast(request: BuildRequest, report: Reporter): Promise<Forecast> {
  if (request.outOfTree !== undefined) throw failure('plan-out-of-tree', {});
  const order = await readOrder(request);
  using target = await findTarget(order, report);
  using _readable = readableFiles();
  using folder = temporaryFolder('kpatch-plan-');
  const jobs = request.jobs ?? availableParallelism();
  const workshop = kernelTree({ order, target, folder: folder.path, report, jobs });
  const sources = await workshop.patch();
  const { units, leftOut } = await workshop.plan(sources);
  const { release } = target.kernel;
  const functionsKnown = units.length <= MANY_UNITS;
  return {
    release,
    name: order.name,
    units: units.map(({ object, owners, through }) => ({ object, owners: owners.map((one) => one.object), through })),
    functions: functionsKnown ? units.flatMap((unit) => expectedIn(unit, sources)) : [],
    functionsKnown,
    leftOut,
    adjustments: sources.adjustments,
    expectedMs: expectedDuration(release, units.length, jobs),
  };
}

/** The functions of a unit that were edited, or use something that was. */
function expectedIn({ object, through }: Unit, { patched, edits }: Sources): ExpectedFunction[] {
  const source = object.replace(/\.o$/, '.c');
  const reaching = edits.filter(({ file }) => through.includes(file));
  const causes = new Causes(patched, source, reaching);
  const names = sourceItems(patched.text(source) ?? '')
    .filter(({ text }) => isFunction(text))
    .flatMap((item) => item.names);
  const own = new Set(names);
  return [...own].flatMap((name) => {
    const cause = causes.of(name);
    // Calling a changed function changes the caller only if the compiler inlines it, which the source does not tell.
    const calls = cause.chain.some((step) => own.has(step));
    return cause.kind === 'unknown' || calls ? [] : [{ name, unit: object, cause }];
  });
}

/** A definition whose head ends with its parameters, perhaps with attributes behind them. */
function isFunction(text: string): boolean {
  const head = text.slice(0, text.indexOf('{'));
  return text.includes('{') && /\) *(?:__\w+ *)*$/.test(head) && !head.includes('=');
}
