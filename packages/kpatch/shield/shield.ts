/** Builds a shield: finds the function, checks that it may refuse calls, generates the source patch and builds it. */
import { writeFileSync } from 'node:fs';
import { release as runningRelease } from 'node:os';
import { join } from 'node:path';
import { failure } from '../base/errors/error.ts';
import { temporaryFolder } from '../base/files.ts';
import type { Reporter } from '../base/report.ts';
import { type BuildResult, build } from '../builder/build.ts';
import { originalUnit } from '../builder/pairs.ts';
import { type DwarfTypes, TAG } from '../formats/dwarf/type-record.ts';
import { readDwarfTypes } from '../formats/dwarf/types.ts';
import { ElfFile } from '../formats/elf/file.ts';
import { neverLeft } from '../module/always-on-stack.ts';
import type { SigningKey } from '../module/make/sign.ts';
import type { ShieldNote } from '../module/manifest.ts';
import type { KernelSource } from '../prepare/choice.ts';
import { KernelFacts } from '../prepare/facts.ts';
import { holdKernel, prepareKernel } from '../prepare/kernel.ts';
import { readableFiles } from '../sandbox/user.ts';
import { type Callers, callersOf } from './callers.ts';
import { conditionCode } from './condition.ts';
import { countUsers, type Users } from './count.ts';
import { earlyReturnProblems } from './early-return.ts';
import { guardPatch } from './guard.ts';
import { type LocatedFunction, locate } from './locate.ts';
import { requireUnpatched } from './patched.ts';
import { returnCode, returnKind, understood } from './returns.ts';

export interface ShieldRequest {
  readonly function: string;
  /** Source file, if several define the function. */
  readonly file?: string;
  /** Such as `-EPERM`. */
  readonly returns: string;
  readonly when?: string;
  readonly log: boolean;
  /** The end, from the clock of the target. */
  readonly until?: Date;
  readonly cves: readonly string[];
  readonly release?: string;
  readonly kernelSource?: KernelSource;
  readonly name?: string;
  readonly sign?: SigningKey;
  /** Seconds for which calls are counted if this machine is the target (0: not counted). */
  readonly countSeconds: number;
  /** Stop after the source patch. */
  readonly patchOnly?: boolean;
}

export interface Shield {
  readonly release: string;
  readonly name: string;
  /** The generated source patch. */
  readonly patch: string;
  /** Undefined with `patchOnly`. */
  readonly built: BuildResult | undefined;
  readonly note: ShieldNote;
  readonly place: string;
  readonly parameters: readonly string[];
  readonly callers: Callers;
  readonly understood: readonly string[];
  readonly users: Users;
}

/**
 * Builds a shield. Errors: `shield-function-unknown`, `shield-function-ambiguous`, `shield-unsafe`, `shield-return`,
 * `shield-condition`, `shield-patched`, and those of `build`.
 */
export async function buildShield(request: ShieldRequest, report: Reporter): Promise<Shield> {
  const kernel = await report.stage('target kernel', () =>
    prepareKernel(request.release, { ...request.kernelSource, report }),
  );
  using _held = await holdKernel(kernel);
  const facts = new KernelFacts(kernel);
  const { release } = kernel;
  const target = { release, running: runningRelease() };
  requireUnpatched(request.function, target);
  const users =
    request.countSeconds > 0
      ? countUsers(request.function, request.countSeconds, target)
      : Promise.resolve<Users>({ counted: false, why: 'not asked for' });
  const located = await report.stage('find the function', () => locate(facts, request.function, request.file));
  using readable = readableFiles();
  using work = temporaryFolder('kpatch-shield-');
  const unit = await report.stage(`compile ${located.unit.object}`, () => originalUnit(facts, located.unit, work.path));
  const types = readDwarfTypes(new ElfFile(unit.bytes, located.unit.object));
  const checked = checkFunction(request, located, types);
  void readable;
  const note: ShieldNote = {
    function: request.function,
    returns: request.returns,
    ...(request.when === undefined ? {} : { when: request.when }),
    log: request.log,
    ...(request.until === undefined ? {} : { until: request.until.toISOString() }),
  };
  const condition = request.when === undefined ? undefined : conditionCode(request.when, located.definition.parameters);
  const patch = guardPatch(
    located.file,
    located.text,
    {
      definition: located.definition,
      returns: checked.returns,
      log: request.log,
      ...(condition === undefined ? {} : { condition }),
      ...(request.until === undefined ? {} : { until: Math.floor(request.until.getTime() / 1000) }),
    },
    describe(note, request.cves),
  );
  const name = request.name ?? `livepatch_shield_${request.function}`.slice(0, 55);
  const file = join(work.path, `${name}.patch`);
  writeFileSync(file, Buffer.from(patch, 'latin1'));
  const built =
    request.patchOnly === true ? undefined : await build(buildRequest(request, file, name, note, release), report);
  return {
    release,
    name: built?.name ?? name,
    patch,
    built,
    note,
    place: `${located.file}:${located.definition.line}`,
    parameters: checked.parameters,
    callers: checked.callers,
    understood: checked.understood,
    users: await users,
  };
}

function buildRequest(
  request: ShieldRequest,
  file: string,
  name: string,
  note: ShieldNote,
  release: string,
): Parameters<typeof build>[0] {
  return {
    patches: [file],
    name,
    release,
    ...(request.kernelSource === undefined ? {} : { kernelSource: request.kernelSource }),
    ...(request.sign === undefined ? {} : { sign: request.sign }),
    cves: [],
    // It is added to the patches that are loaded; the cumulative patch with the fix replaces it together with them.
    replace: false,
    skipCompilerCheck: false,
    keepLineChanges: false,
    shield: note,
  };
}

interface Checked {
  readonly returns: string;
  readonly parameters: readonly string[];
  readonly callers: Callers;
  readonly understood: readonly string[];
}

function checkFunction(request: ShieldRequest, located: LocatedFunction, types: DwarfTypes | undefined): Checked {
  const { definition, text, file, unit } = located;
  const { function: name } = request;
  const unsafe = (problem: string, more: readonly string[] = []): Error =>
    failure(
      'shield-unsafe',
      { function: name, problem },
      {
        where: { file, line: definition.line, function: name },
        ...(more.length === 0 ? {} : { detail: more.join('\n') }),
      },
    );
  const special = /\b(__init|__exit|notrace|noinstr|__always_inline)\b/.exec(definition.head)?.[1];
  if (special !== undefined) throw unsafe(`it is ${special}, so a live patch cannot redirect it`);
  for (const { object } of unit.owners) {
    const why = neverLeft(object, name);
    if (why !== undefined) throw unsafe(why);
  }
  const isSystemCall = definition.names.length > 1;
  const known = types?.functions.find((one) => definition.names.includes(one.name));
  if (types === undefined || known === undefined)
    throw unsafe('this kernel does not contain it, or has no debug information of it');
  const callers = callersOf(located.mentions, definition, isSystemCall);
  const problems = [...earlyReturnProblems(text, definition), ...callers.problems];
  if (problems.length > 0)
    throw unsafe(
      problems[0]!.text,
      problems.slice(1).map(({ text }) => `also: ${text}`),
    );
  const kind = isSystemCall ? ({ kind: 'errno', name: 'long' } as const) : returnKind(types, known.type);
  return {
    returns: returnCode(request.returns, kind, definition, callers),
    parameters: known.parameters.map((one, at) => {
      return `${typeName(types, one.type)} ${one.name ?? `(argument ${at + 1})`}`.replace('* ', '*');
    }),
    callers,
    understood: understood(kind.kind, callers),
  };
}

/** A type as C writes it, from debug information; `...` for what is not plain. */
export function typeName(types: DwarfTypes, key: number | undefined, depth = 0): string {
  const type = key === undefined ? undefined : types.types.get(key);
  if (type === undefined || depth > 16) return 'void';
  const inner = (): string => typeName(types, type.type, depth + 1);
  switch (type.tag) {
    case TAG.pointer:
      return `${inner()} *`.replace('* *', '**');
    case TAG.const:
      return `const ${inner()}`;
    case TAG.volatile:
      return `volatile ${inner()}`;
    case TAG.structure:
      return `struct ${type.name ?? '{...}'}`;
    case TAG.union:
      return `union ${type.name ?? '{...}'}`;
    case TAG.enumeration:
      return `enum ${type.name ?? '{...}'}`;
    case TAG.subroutine:
      return 'function';
    default:
      return type.name ?? '...';
  }
}

function describe(note: ShieldNote, cves: readonly string[]): string {
  const which = note.when === undefined ? 'Every call' : `Every call with ${note.when}`;
  const end = note.until === undefined ? '' : ` until ${note.until}`;
  const about = cves.length === 0 ? '' : ` Protects from ${cves.join(', ')} until the fix is there.`;
  return `Shield of ${note.function}\n\n${which} returns ${note.returns}${end}.${about}\nGenerated by kpatch shield.`;
}
