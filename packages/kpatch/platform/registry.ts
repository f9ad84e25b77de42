/** Finds the record of a machine: by the header of an object, by one of its names, by a kernel's configuration or image. */
import { machine as unameHere } from 'node:os';
import { constants, gunzipSync } from 'node:zlib';
import { failure } from '../base/errors/error.ts';
import { ELF_MAGIC, SIZE } from '../formats/elf/constants.ts';
import type { BootImage } from './common/boot-image.ts';
import type { Naming } from './naming.ts';
import type { Platform } from './platform.ts';
import { records } from './records.ts';

/** Those that `registerPlatform` added. */
const added: Platform[] = [];

function known(): readonly Platform[] {
  return [...records.map((record) => record.load()), ...added];
}

/** All machines, in no particular order. */
export function platforms(): readonly Platform[] {
  return known();
}

/** Adds a machine until the result is disposed of. Its record is found as those of records.ts are. */
export function registerPlatform(platform: Platform): Disposable {
  added.push(platform);
  return { [Symbol.dispose]: () => void added.splice(added.indexOf(platform), 1) };
}

/** The machine of an object. Error: `elf-unsupported`, also for a byte order that the machine's kernels do not use. */
export function architectureOf(object: { file: string; machine: number; littleEndian: boolean }): Platform {
  const { file, machine, littleEndian } = object;
  const fits = (one: { machine: number; littleEndian: boolean }): boolean =>
    one.machine === machine && one.littleEndian === littleEndian;
  const found = records.find(fits)?.load() ?? added.find(fits);
  if (found !== undefined) return found;
  const order = littleEndian ? 'little endian' : 'big endian';
  const name = known().find((one) => one.machine === machine)?.naming.source ?? machine;
  throw failure('elf-unsupported', { file, kind: `machine ${name}, ${order}` }, { where: { file, offset: 18 } });
}

/** The name (`uname -m`) of the machine that a file is for; `machine NUMBER` for an unknown one. It loads no record. */
export function machineName({ machine, littleEndian }: { machine: number; littleEndian: boolean }): string {
  const fits = (one: { machine: number; littleEndian: boolean }): boolean =>
    one.machine === machine && one.littleEndian === littleEndian;
  return records.find(fits)?.uname ?? added.find(fits)?.naming.uname ?? `machine ${machine}`;
}

/** The name (`uname -m`) of the machine that this program runs on. It loads no record. Error: `platform-unknown`. */
export function machineNameHere(): string {
  const name = unameHere();
  return records.some(({ uname }) => uname === name) ? name : requirePlatform('uname', name).naming.uname;
}

/** The machine that has this name in one of the worlds (`platformNamed('uname', 'aarch64')`). */
export function platformNamed(world: 'kernel' | 'uname' | 'deb' | 'rpm', name: string): Platform | undefined {
  const record = world === 'uname' ? records.find(({ uname }) => uname === name) : undefined;
  if (record !== undefined) return record.load();
  return known().find(({ naming }) => naming[world] === name);
}

/** The names that the machines have in one of the worlds, for patterns. */
export function namesOf(world: keyof Pick<Naming, 'uname' | 'deb' | 'rpm'>): string[] {
  return known()
    .map(({ naming }) => naming[world])
    .sort();
}

/** The machine that this program runs on. Error: `platform-unknown`. */
export function platformHere(): Platform {
  return requirePlatform('uname', unameHere());
}

/** Like `platformNamed`. Error: `platform-unknown`. */
export function requirePlatform(world: 'uname', name: string): Platform {
  const found = platformNamed(world, name);
  if (found === undefined) throw failure('platform-unknown', { name, known: namesOf(world).join(', ') });
  return found;
}

/** The machine of a kernel by its configuration; `has` says whether an option (without CONFIG_) is set. */
export function platformOfConfig(has: (option: string) => boolean): Platform | undefined {
  return known().find(({ naming }) => naming.options.every(has));
}

/**
 * The machine that boots this file and what it holds; a sentence why that cannot be used; undefined if it is not a boot
 * image.
 */
export function bootImageOf(image: Buffer): (BootImage & { readonly platform: Platform }) | string | undefined {
  for (const platform of known()) {
    const opened = platform.boot.open(image);
    if (typeof opened === 'string') return opened;
    if (opened !== undefined) return { ...opened, platform };
  }
  return undefined;
}

/** The machine of a kernel image, packed or not; undefined if the file does not show it. */
export function platformOfImage(image: Buffer): Platform | undefined {
  const boot = bootImageOf(image);
  if (typeof boot === 'object') return boot.platform;
  if (image.length > 2 && image.readUInt16BE(0) === GZIP) return platformOfImage(startOf(image));
  if (image.length < SIZE.EHDR || image.readUInt32BE(0) !== ELF_MAGIC)
    return known().find((platform) => platform.boot.isFlat?.(image) === true);
  const littleEndian = image[5] === 1;
  const machine = littleEndian ? image.readUInt16LE(18) : image.readUInt16BE(18);
  return known().find((one) => one.machine === machine && one.littleEndian === littleEndian);
}

/** The magic of gzip: some machines boot the kernel's memory packed in nothing else (`Image.gz`). */
const GZIP = 0x1f8b;

/** What the first part of a gzip file unpacks to: enough for every header. Empty if it is damaged. */
function startOf(packed: Buffer): Buffer {
  try {
    const start = gunzipSync(packed.subarray(0, 1 << 16), { finishFlush: constants.Z_SYNC_FLUSH });
    return start.length > 2 && start.readUInt16BE(0) === GZIP ? Buffer.alloc(0) : start;
  } catch {
    return Buffer.alloc(0);
  }
}
