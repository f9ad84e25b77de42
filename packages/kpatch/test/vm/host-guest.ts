/** Guests that drive the packaged executable from the command line. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { lock } from '#kpatch/base/process/lock.ts';
import { runOk } from '#kpatch/base/run.ts';
import { type BootOptions, boot } from '#kpatch/vm/boot.ts';
import type { GuestFile } from '#kpatch/vm/files/initramfs.ts';
import type { Guest } from '#kpatch/vm/guest.ts';
import { bootSystem } from '#kpatch/vm/system.ts';
import { buildHandMade } from './host-modules.ts';
import { type StockKernel, stockKernel } from './stock-kernel.ts';

const root = join(import.meta.dirname, '../../../..');
/** Where the modules made by hand are in a guest. */
export const LP = '/root/lp';

/**
 * The folder with the packages, made again where a source is newer than they are. The environment's KPATCH_PACKAGES names
 * a folder with others to test.
 */
export async function packages(): Promise<string> {
  const given = process.env.KPATCH_PACKAGES;
  if (given !== undefined) return given;
  const dist = join(root, 'dist');
  using _held = await lock(join(root, 'dist/.lock'), 'the packages', { waitMs: 1_200_000 });
  const parts = ['packages', 'packaging', 'tools', 'docs', 'examples', 'package.json', 'CHANGELOG.md', 'SECURITY.md'];
  const sources = parts.map((name) => newest(join(root, name)));
  const made = readdirSync(dist).filter((name) => /\.(deb|rpm)$/.test(name));
  const oldest = made.length < 2 ? 0 : Math.min(...made.map((name) => statSync(join(dist, name)).mtimeMs));
  if (Math.max(...sources) > oldest) {
    await runOk(process.execPath, [join(root, 'tools/packages.ts')], { timeoutMs: 1_200_000 });
  }
  return dist;
}

function newest(path: string): number {
  const { mtimeMs } = statSync(path);
  if (!statSync(path).isDirectory()) return mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

const built = new Map<string, Promise<Readonly<Record<string, GuestFile>>>>();

/** The kernel of a series, and the files of the modules made by hand for it. */
async function kernelWithModules(
  series: '6.1' | '6.12',
): Promise<{ kernel: StockKernel; files: Readonly<Record<string, GuestFile>> }> {
  const kernel = await stockKernel(series);
  let files = built.get(series);
  if (files === undefined) {
    files = buildHandMade(kernel).then((modules) => {
      return Object.fromEntries([...modules].map(([name, bytes]): [string, GuestFile] => [`${LP}/${name}.ko`, bytes]));
    });
    built.set(series, files);
  }
  return { kernel, files: await files };
}

export interface HostGuestOptions {
  readonly series?: '6.1' | '6.12';
  readonly disk?: string;
  readonly kernelArguments?: readonly string[];
  /** Further arguments of QEMU. */
  readonly devices?: readonly string[];
  readonly files?: Readonly<Record<string, GuestFile>>;
  /** Of `bootSmall`. */
  readonly bootOptions?: Partial<BootOptions>;
}

/**
 * A system with systemd in which kpatch is as its package would have it: the executable (from the share, for the size of
 * it) and its units.
 */
export async function bootHost(options: HostGuestOptions = {}): Promise<Guest> {
  const { kernel, files } = await kernelWithModules(options.series ?? '6.1');
  const folder = await packages();
  const executable = join(folder, 'kpatch');
  const units = join(root, 'packaging/systemd');
  const names = readdirSync(units).filter((name) => /\.(service|timer)$/.test(name));
  return bootSystem({
    image: kernel.image,
    modules: kernel.modules,
    visible: [root, folder],
    ...(options.disk === undefined ? {} : { disk: options.disk }),
    kernelArguments: options.kernelArguments ?? [],
    devices: options.devices ?? [],
    files: {
      ...files,
      '/usr/sbin/kpatch': { content: `#!/bin/sh\nexec ${executable} "$@"\n`, mode: 0o755 },
      ...Object.fromEntries(names.map((name) => [`/etc/systemd/system/${name}`, readFileSync(join(units, name))])),
      ...options.files,
    },
    enable: ['kpatch.service', 'kpatch-survived.timer'],
  });
}

/** What `bootSmall` mounts: this machine's root read-only with a layer in memory, and the disk on the store's folder. */
const enter = `set -e
mkdir -p /host /layer /system
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /host
mount -t tmpfs -o size=80% tmpfs /layer
mkdir /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /system
mkdir -p /system/var/lib/kpatch
rm -rf /system/run/* /system/var/run
for folder in dev proc sys run; do mount --rbind /$folder /system/$folder; done
mkdir -p /system/usr/lib/modules && mount --bind /lib/modules /system/usr/lib/modules
mkdir -p /system${LP} && cp ${LP}/* /system${LP}/`;

/**
 * A guest without systemd, for many short lives: the executable runs on the disk's store in a chroot. `inside(script)`
 * makes the script for `Guest.run` that runs `script` there.
 */
export async function bootSmall(options: HostGuestOptions = {}): Promise<Guest> {
  const { kernel, files } = await kernelWithModules(options.series ?? '6.1');
  const { disk, kernelArguments = [] } = options;
  const folder = await packages();
  const guest = await boot({
    image: kernel.image,
    files: { ...files, ...options.files },
    modules: {
      folder: kernel.modules,
      load: ['virtio_pci', '9pnet_virtio', '9p', 'overlay', ...(disk === undefined ? [] : ['virtio_blk', 'ext4'])],
      optional: disk === undefined ? [] : ['crc32c_generic'],
    },
    memoryMiB: 768,
    kernelArguments,
    devices: [
      ...['-virtfs', 'local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap'],
      ...(disk === undefined ? [] : ['-drive', `file=${disk},format=raw,if=virtio,cache=writeback`]),
    ],
    ...options.bootOptions,
  });
  const mountDisk =
    disk === undefined ? '' : '\nmodprobe crc32c_generic || true\nmount -t ext4 /dev/vda /system/var/lib/kpatch';
  await guest.runOk(`${enter}${mountDisk}\nln -sf ${join(folder, 'kpatch')} /system/usr/local/bin/kpatch`);
  return guest;
}

/** See `bootSmall`. */
export function inside(script: string): string {
  const env = 'PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C';
  return `cat >/system/tmp-script <<'END-OF-SCRIPT'
${script}
END-OF-SCRIPT
exec chroot /system /usr/bin/env -i ${env} /bin/bash /tmp-script`;
}

/** The lines of the kernel's log that say that something went wrong in it. */
export const BAD_LOG = "dmesg | grep -E 'WARNING:|BUG:|Oops|Call Trace|unreliable|return thunk' || true";
