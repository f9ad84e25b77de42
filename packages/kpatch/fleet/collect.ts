/** What a machine tells its fleet server. */
import { createHash, randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { printableLine } from '../base/text/printable.ts';
import { version } from '../base/version.ts';
import { rebootOf } from '../channel/follow/reboot.ts';
import { readSettings } from '../channel/follow/settings.ts';
import { readState } from '../channel/follow/state.ts';
import { versionInBanner } from '../distro/names.ts';
import { effectSummary, functionEffects } from '../host/live/effectiveness.ts';
import { functionsOf, loadedPatches, stateOf } from '../host/live/livepatches.ts';
import { readRecord } from '../host/live/loaded-record.ts';
import { attribute } from '../host/machine/attribute.ts';
import type { Machine } from '../host/machine/machine.ts';
import { runningKernel } from '../host/machine/running-kernel.ts';
import { statusOf } from '../host/status.ts';
import { installedPatches } from '../host/store/store.ts';
import { platformHere } from '../platform/registry.ts';
import { incidentsOf } from './incidents.ts';
import type { Chain, FleetReport } from './place.ts';

const word = (text: string): string => printableLine(text).slice(0, 255);

/** Over what stays the same on one machine and differs on a copy: the machine id and the product id of the firmware. */
export function machineDigest({ sysfs, etc }: Machine): string {
  const id = attribute(join(etc, '../machine-id')) ?? '';
  const product = attribute(join(sysfs, 'class/dmi/id/product_uuid')) ?? '';
  return createHash('sha256').update(`kpatch-fleet\n${id}\n${product}\n`).digest('hex');
}

/** The name of the machine: that of an image is in its file. */
export function machineName({ offline, etc }: Machine): string {
  return word((offline ? attribute(join(etc, '../hostname')) : hostname()) ?? '') || 'unnamed';
}

/** The next report of a machine. Never throws. */
export function collectReport(machine: Machine, host: string, chain: Chain): FleetReport {
  const { release, bootId, buildId, livepatch } = runningKernel(machine);
  const status = statusOf(machine);
  const patches = loadedPatches(machine)
    .slice(0, 64)
    .map((patch) => {
      const record = readRecord(machine, patch.name);
      return {
        name: word(patch.name),
        state: stateOf(patch),
        ...(record === undefined ? {} : { sha256: record.sha256, seconds: record.seconds }),
        ...(record?.manifest === undefined ? {} : { version: record.manifest.version }),
        functions: functionsOf(patch).length,
      };
    });
  const installed = release === '' ? [] : installedPatches(machine, release);
  const banner = attribute(join(machine.proc, 'version')) ?? '';
  const packageVersion = versionInBanner(banner);
  const { transition, policy } = status;
  const effects = functionEffects(machine);
  return {
    schema: 'kpatch.fleet-report/1',
    host,
    counter: chain.counter + 1,
    link: randomBytes(16).toString('hex'),
    previous: chain.link,
    at: machine.clock.date().toISOString(),
    machine: machineDigest(machine),
    name: machineName(machine),
    boot: { id: word(bootId), seconds: uptime(machine) },
    version,
    kernel: {
      release: word(release),
      arch: platformHere().naming.uname,
      ...(packageVersion === undefined ? {} : { package: word(packageVersion) }),
      ...(buildId === undefined ? {} : { buildId: word(buildId) }),
      livepatch,
    },
    patches,
    installed: installed
      .slice(0, 64)
      .map(({ name, sha256 }) => ({ name: word(name), ...(sha256 === undefined ? {} : { sha256 }) })),
    ...(transition === undefined ? {} : { transition: { patch: word(transition.patch), ...transition.progress } }),
    ...(effects.length === 0 ? {} : { effective: effectSummary(effects) }),
    modules: loadedModules(machine, chain.modules),
    incidents: incidentsOf(machine, release, bootId, patches, effects),
    policy: policy.state === 'valid' ? (policy.digest ?? 'none') : policy.state,
    ...channelOf(machine),
    reboot: rebootOf(machine, status).answer === 'due',
    todo: status.todo.length,
  };
}

function uptime({ proc }: Machine): number {
  return Math.max(0, Math.floor(Number.parseFloat(attribute(join(proc, 'uptime')) ?? '0') || 0));
}

/** The names of the loaded modules are about 2 KiB, so they are sent only if the server does not have them. */
function loadedModules({ proc }: Machine, known: string): FleetReport['modules'] {
  const lines = (attribute(join(proc, 'modules')) ?? '').split('\n');
  const names = [...new Set(lines.map((line) => word(line.split(' ')[0]!)).filter((name) => name !== ''))].sort();
  const digest = createHash('sha256').update(names.join('\n')).digest('hex');
  return digest === known ? { digest } : { digest, names: names.slice(0, 2048) };
}

/** The channel that the machine follows, and what was wrong at its last look. */
function channelOf({ etc }: Machine): Pick<FleetReport, 'channel'> {
  const root = join(etc, '../..');
  try {
    const settings = readSettings(root);
    if (settings === undefined) return {};
    const { problem } = readState(root);
    return { channel: { url: word(settings.url), ...(problem === '' ? {} : { problem: word(problem) }) } };
  } catch {
    return {}; // settings that cannot be read: `kpatch status` says so
  }
}
