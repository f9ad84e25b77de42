/** Checks whether a livepatch module fits this machine before it is loaded. Each check returns findings. */
import { join } from 'node:path';
import { failure, type KpatchError } from '../base/errors/error.ts';
import type { Manifest } from '../module/manifest.ts';
import { foreignModule } from './acceptance/foreign.ts';
import { functionsOf, type LoadedPatch, loadedPatches } from './live/livepatches.ts';
import { readRecord } from './live/loaded-record.ts';
import { functionUses } from './live/other-users.ts';
import { kernelOpinion } from './machine/kernel-trust.ts';
import type { Machine } from './machine/machine.ts';
import { type RunningKernel, runningKernel } from './machine/running-kernel.ts';
import { lineOf, type ModuleFile } from './store/module-file.ts';
import { installedPatches, readInstalled } from './store/store.ts';

export interface Finding {
  /** Name of the check. */
  readonly check: string;
  /** `unknown`: the check was not possible; `text` gives the reason. */
  readonly level: 'fits' | 'warning' | 'unknown' | 'refused';
  readonly text: string;
  /** The error of a refused load. */
  readonly error?: KpatchError;
}

export interface FitOptions {
  /** Allow a lower version, another line, or replacing patches of unknown content. */
  readonly downgrade?: boolean;
  /** The vermagic of the modules of this kernel, if known. */
  readonly vermagic?: string | undefined;
}

/** A loaded patch, with its manifest if known. */
export interface ReplacedModule {
  readonly patch: LoadedPatch;
  readonly manifest: Manifest | undefined;
}

interface Subject {
  readonly machine: Machine;
  readonly module: ModuleFile;
  readonly kernel: RunningKernel;
  readonly loaded: readonly ReplacedModule[];
  readonly options: FitOptions;
}

type Check = (subject: Subject) => Finding | Finding[];

/** All findings for `module`, in the order of the checks, the most basic ones first. Never throws. */
export function checkFit(machine: Machine, module: ModuleFile, options: FitOptions = {}): Finding[] {
  const subject = {
    machine,
    module,
    options,
    kernel: runningKernel(machine),
    loaded: predecessors(machine, module.name),
  };
  return checks.flatMap((check) => check(subject));
}

/** Why a patch must not replace those that are loaded, if so: an older version, another line, or unknown content. */
export function orderRefusal(machine: Machine, module: ModuleFile): KpatchError | undefined {
  return checkFit(machine, module).find(({ check, error }) => check === 'order' && error !== undefined)?.error;
}

/** Throws the first refusal, with the others in its detail. */
export function requireFit(findings: readonly Finding[]): void {
  const [first, ...others] = findings.flatMap(({ error }) => error ?? []);
  if (first === undefined) return;
  if (others.length === 0) throw first;
  const detail = ['also:', ...others.map(({ message, fix }) => `${message}; ${fix}`)].join('\n');
  Object.defineProperty(first, 'detail', { value: [first.detail, detail].filter(Boolean).join('\n') });
  throw first;
}

/** The enabled live patches other than `name`, with their manifests if known. */
export function predecessors(machine: Machine, name: string): ReplacedModule[] {
  return loadedPatches(machine)
    .filter((patch) => patch.name !== name && patch.enabled)
    .map((patch) => ({ patch, manifest: manifestOfLoaded(machine, patch.name) }));
}

/** The manifest of a loaded patch: from the record of the load, or else from the installed module of that name. */
export function manifestOfLoaded(machine: Machine, name: string): Manifest | undefined {
  const record = readRecord(machine, name);
  if (record !== undefined) return record.manifest;
  const { release } = runningKernel(machine);
  const installed =
    release === '' ? undefined : installedPatches(machine, release).find((patch) => patch.name === name);
  try {
    return installed === undefined ? undefined : readInstalled(installed).manifest;
  } catch {
    return undefined;
  }
}

const fits = (check: string, text: string): Finding => ({ check, level: 'fits', text });
const warning = (check: string, text: string): Finding => ({ check, level: 'warning', text });
const unknown = (check: string, text: string): Finding => ({ check, level: 'unknown', text });
const refused = (check: string, error: KpatchError): Finding => ({
  check,
  level: 'refused',
  text: error.message,
  error,
});

const privilege: Check = ({ machine }) => {
  return machine.isRoot ? fits('privilege', 'root') : refused('privilege', failure('not-root', {}));
};

const support: Check = ({ kernel }) => {
  if (kernel.livepatch) return fits('livepatch', 'this kernel supports live patching');
  return refused('livepatch', failure('no-livepatch-support', { release: kernel.release }));
};

const architecture: Check = ({ module }) => {
  const error = foreignModule(module);
  return error === undefined ? [] : refused('machine', error);
};

const release: Check = ({ module, kernel }) => {
  const wanted = [module.release, module.manifest?.release].find((one) => one !== undefined && one !== kernel.release);
  if (wanted === undefined) return fits('release', kernel.release);
  const params = { name: module.name, wanted, release: kernel.release };
  return refused('release', failure('release-mismatch', params, { where: { file: module.path } }));
};

const vermagic: Check = ({ module, options, kernel }) => {
  if (module.release !== kernel.release) return [];
  if (options.vermagic === undefined) return unknown('vermagic', 'found no module of this kernel to compare with');
  if (options.vermagic === module.vermagic.trim()) return fits('vermagic', module.vermagic.trim());
  const params = { name: module.name, vermagic: module.vermagic.trim(), kernel: options.vermagic };
  return refused('vermagic', failure('vermagic-mismatch', params, { where: { file: module.path } }));
};

const buildId: Check = ({ module, kernel }) => {
  const wanted = module.manifest?.buildId;
  // Of another release: the check of the release says it.
  if (module.release !== kernel.release) return [];
  if (wanted === undefined) return unknown('build-id', 'the module does not state a build-id');
  if (kernel.buildId === undefined) return unknown('build-id', 'this kernel does not expose its build-id');
  if (wanted === kernel.buildId) return fits('build-id', wanted);
  const params = { name: module.name, wanted, running: kernel.buildId, release: kernel.release };
  return refused('build-id', failure('build-id-mismatch', params, { where: { file: module.path } }));
};

const signature: Check = ({ machine, module, kernel }) => {
  const { answer, reason } = kernelOpinion(machine, module.bytes);
  if (answer === 'accepts') return fits('signature', reason);
  if (answer === 'unknown') return unknown('signature', `the kernel checks it when it loads the module: ${reason}`);
  const locked = kernel.lockdown === 'integrity' || kernel.lockdown === 'confidentiality';
  const { name, path } = module;
  if (module.signed)
    return refused('signature', failure('signature-refused', { name, reason }, { where: { file: path } }));
  const why = locked ? `lockdown mode is ${kernel.lockdown}` : 'module.sig_enforce is set';
  return refused('signature', failure('signature-required', { name, reason: why }, { where: { file: path } }));
};

const modulesAllowed: Check = ({ kernel }) => {
  return kernel.modulesDisabled
    ? refused('modules', failure('modules-disabled', {}))
    : fits('modules', 'module loading is enabled');
};

const ftrace: Check = ({ kernel }) => {
  if (kernel.ftraceEnabled === false) return refused('ftrace', failure('ftrace-disabled', {}));
  return fits('ftrace', kernel.ftraceEnabled === undefined ? 'cannot be disabled in this kernel' : 'on');
};

const users: Check = ({ machine, module }) => {
  const functions = module.manifest?.functions;
  if (functions === undefined) return unknown('users', 'the module does not list the functions it patches');
  const names = new Set(functions.map(({ name }) => name));
  const uses = functionUses(machine, names);
  if (uses === undefined) return unknown('users', `cannot read ${join('/sys', 'kernel/tracing')}`);
  // Including a patch that is being disabled: its functions stay redirected until the transition ends.
  const livepatched = new Set(loadedPatches(machine).flatMap((patch) => functionsOf(patch).map(({ name }) => name)));
  const findings = uses.map((use) => {
    if (use.changesFlow && !livepatched.has(use.function)) {
      return refused('users', failure('function-in-use', { name: module.name, function: use.function }));
    }
    if (use.kprobe !== undefined)
      return warning('users', `there is a probe inside ${use.function}: it will not fire in the new code`);
    if (use.direct)
      return warning('users', `a BPF program is attached to ${use.function}: it still runs before the new code`);
    return [];
  });
  const flat = findings.flat();
  return flat.length > 0
    ? flat
    : fits('users', `no other tracer redirects ${names.size === 1 ? 'the function' : `the ${names.size} functions`}`);
};

const order: Check = ({ module: { name, manifest, path }, loaded, options }) => {
  const where = { where: { file: path } };
  const findings: Finding[] = [];
  if (manifest === undefined) {
    return loaded.length === 0 ? [] : unknown('order', 'the module has no manifest, so it is unknown what it replaces');
  }
  for (const { patch, manifest: before } of loaded) {
    if (!manifest.replace) {
      if (before?.replace && lineOf(before) === lineOf(manifest)) {
        findings.push(
          warning('order', `it is loaded on top of ${patch.name}; the next cumulative patch replaces both`),
        );
      }
      continue;
    }
    if (before === undefined) {
      const error = failure('replaces-unknown', { name, loaded: patch.name }, where);
      findings.push(options.downgrade ? warning('order', error.message) : refused('order', error));
    } else if (lineOf(before) !== lineOf(manifest)) {
      const params = { name, line: lineOf(manifest), loaded: patch.name, other: lineOf(before) };
      const error = failure('other-line', params, where);
      findings.push(options.downgrade ? warning('order', error.message) : refused('order', error));
    } else if (before.version > manifest.version) {
      const params = { name, version: manifest.version, loaded: patch.name, newer: before.version };
      const error = failure('newer-loaded', params, where);
      findings.push(options.downgrade ? warning('order', error.message) : refused('order', error));
    } else findings.push(fits('order', `it replaces ${patch.name} (version ${before.version})`));
  }
  return findings;
};

/** kernel/livepatch/state.c: a cumulative patch must support every state, at the same or a higher version. */
const states: Check = ({ module: { name, manifest, path }, loaded }) => {
  if (manifest === undefined) return [];
  for (const { patch, manifest: before } of loaded) {
    for (const old of before?.states ?? []) {
      const now = manifest.states.find(({ id }) => id === old.id);
      const good = now === undefined ? !manifest.replace : now.version >= old.version;
      if (good) continue;
      const params = { name, state: old.id, version: old.version, loaded: patch.name };
      return refused('states', failure('state-incompatible', params, { where: { file: path } }));
    }
  }
  return [];
};

const checks: readonly Check[] = [
  privilege,
  support,
  architecture,
  release,
  vermagic,
  buildId,
  signature,
  modulesAllowed,
  ftrace,
  users,
  order,
  states,
];
