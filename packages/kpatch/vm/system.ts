/**
 * A guest with a whole system in it: this machine's own root filesystem, shared read-only over 9p, with a writable layer
 * above it, and systemd as its init. Nothing the guest does reaches this machine's files. With a disk image the writable
 * layer lasts, so the system can be booted again, also after its power was cut: `guest.stop()` is that, and what the
 * guest had not written out by then is lost.
 */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { temporaryFolder } from '../base/files.ts';
import { lock } from '../base/process/lock.ts';
import { runOk } from '../base/run.ts';
import type { Emulator } from '../platform/common/emulator.ts';
import { agentLoop } from './agent/agent.ts';
import { type BootOptions, boot } from './boot.ts';
import type { GuestFile } from './files/initramfs.ts';
import type { Guest } from './guest.ts';
import { emulatorFor } from './qemu/emulator.ts';
import { stateFolder } from './qemu/state.ts';

export interface SystemOptions extends Omit<BootOptions, 'init' | 'modules'> {
  /** `.../lib/modules/RELEASE` of the kernel; the guest has it in its place. */
  readonly modules: string;
  /** Image of `makeDisk` that holds what the guest writes; without one it is forgotten with the guest. */
  readonly disk?: string;
  /**
   * Folders of this machine that stay visible although they are below /tmp, which is the guest's own (default: the
   * current one).
   */
  readonly visible?: readonly string[];
  /** Units to enable, as `systemctl enable` would, by name; their files must be in `files` or on this machine. */
  readonly enable?: readonly string[];
}

/**
 * Makes an empty disk image for `bootSystem`, `mib` MiB (only what is written takes space). Errors: `tool-missing`,
 * `tool-failed`.
 */
export async function makeDisk(path: string, mib = 1024): Promise<void> {
  await runOk('truncate', ['-s', `${mib}M`, path]);
  await runOk('mkfs.ext4', ['-q', '-F', '-L', 'kpatch-guest', path]);
}

/**
 * Boots the system and waits until its agent takes commands, which is when basic.target is reached;
 * `systemctl is-system-running --wait` in the guest waits for the rest. A reboot asked for in the guest ends it (the error
 * of the step is `guest-ended`): boot it again with the same disk. Errors: those of `boot`.
 */
export async function bootSystem(options: SystemOptions): Promise<Guest> {
  const {
    modules,
    disk,
    enable = [],
    visible = [process.cwd()],
    files = {},
    devices = [],
    memoryMiB = 1024,
    kernelArguments = [],
    ...others
  } = options;
  const placed: Record<string, GuestFile> = { ...agentFiles(emulatorFor(options.image)) };
  for (const [path, file] of Object.entries(files)) placed[`files/${path.replace(/^\/+/, '')}`] = file;
  const release = basename(modules);
  const index = await moduleIndex(modules);
  return boot({
    bootDeadlineMs: 240_000,
    ...others,
    memoryMiB,
    files: placed,
    modules: { folder: modules, load: drivers, optional: helpers },
    init: systemInit(release, disk !== undefined, enable, visible),
    devices: [
      ...['-virtfs', share('/', 'host')],
      ...['-virtfs', share(modules, 'modules')],
      ...['-virtfs', share(index, 'index')],
      ...(disk === undefined ? [] : ['-drive', `file=${escaped(disk)},format=raw,if=virtio,cache=writeback`]),
      ...devices,
    ],
    kernelArguments: [
      'systemd.unified_cgroup_hierarchy=1',
      'systemd.getty_auto=0',
      'systemd.hostname=kpatch-guest',
      'systemd.show_status=0',
      'systemd.firstboot=off',
      ...kernelArguments,
    ],
  });
}

const drivers = ['virtio_pci', '9pnet_virtio', '9p', 'overlay', 'virtio_blk', 'ext4'] as const;

/** What those ask for by alias only, or systemd likes to have; built in or absent in some kernels. */
const helpers = ['crc32c_generic', 'autofs4'] as const;

/**
 * The folder with `modules.dep` and its like: the modules' own, or where the kernel's package was only unpacked one that
 * depmod(8) fills, once for each release.
 */
async function moduleIndex(modules: string): Promise<string> {
  if (existsSync(join(modules, 'modules.dep'))) return modules;
  const release = basename(modules);
  const path = join(
    stateFolder(),
    `depmod-${createHash('sha256').update(modules).digest('hex').slice(0, 12)}-${release}`,
  );
  using _held = await lock(`${path}.lock`, `the module index of ${release}`, { waitMs: 120_000 });
  if (existsSync(path)) return path;
  using work = temporaryFolder('depmod-', stateFolder());
  // depmod writes beside what it reads: a folder of links lets it write elsewhere.
  const base = join(work.path, 'lib/modules', release);
  mkdirSync(base, { recursive: true });
  for (const name of ['kernel', 'modules.order', 'modules.builtin', 'modules.builtin.modinfo']) {
    if (existsSync(join(modules, name))) symlinkSync(resolve(modules, name), join(base, name));
  }
  await runOk('depmod', ['-b', work.path, release]);
  for (const name of readdirSync(base)) if (lstatSync(join(base, name)).isSymbolicLink()) rmSync(join(base, name));
  renameSync(base, path);
  return path;
}

function share(path: string, tag: string): string {
  return `local,path=${escaped(path)},mount_tag=${tag},security_model=none,readonly=on,multidevs=remap`;
}

/** A comma in a QEMU option is doubled. */
function escaped(path: string): string {
  return path.replaceAll(',', ',,');
}

const agentFiles = (emulator: Emulator): Readonly<Record<string, GuestFile>> => ({
  '/files/etc/kpatch-guest/agent': `export HOME=/root TERM=dumb PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n${agentLoop('sh', emulator)}`,
  // The agent must not be a session's leader, or its serial port would become its controlling terminal.
  '/files/etc/systemd/system/kpatch-guest-agent.service': `[Unit]
Description=Takes commands on ${emulator.agentPort}
After=basic.target
[Service]
ExecStart=/bin/sh -c 'sh /etc/kpatch-guest/agent; true'
StandardError=journal
Restart=always
KillMode=process
[Install]
WantedBy=multi-user.target
`,
});

/** Nothing shared changes while a guest runs, so it may keep what it has read. */
const nineP = 'trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro';

function systemInit(release: string, disk: boolean, enable: readonly string[], visible: readonly string[]): string {
  const below = visible
    .filter((folder) => folder.startsWith('/tmp/'))
    .map((folder) => `'${folder.slice(1).replaceAll("'", '')}'`);
  const units = ['kpatch-guest-agent.service', ...enable].map((name) => `'${name.replaceAll("'", '')}'`);
  return `#!/bin/sh
export PATH=/bin
give_up() {
  echo "kpatch-guest: cannot mount the $1"
  poweroff -f
}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
${[...helpers, ...drivers].map((name) => `modprobe ${name} 2>/dev/null`).join('\n')}
mkdir -p /host /layer /system
mount -t 9p -o ${nineP} host /host || give_up root
${disk ? 'mount -t ext4 /dev/vda /layer' : 'mount -t tmpfs -o size=90% tmpfs /layer'} || give_up layer
mkdir -p /layer/upper /layer/work
mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work overlay /system || give_up overlay
cd /system
if [ ! -e layer-is-set-up ]; then
  # What this machine runs at boot is not for the guest: it begins with the distribution's own units only.
  # This machine may be a container; the guest is none.
  rm -rf .dockerenv run/.containerenv etc/hostname
  rm -rf etc/systemd/system etc/fstab etc/crypttab etc/resolv.conf
  mkdir -p etc/systemd/system/multi-user.target.wants
  for unit in systemd-networkd-wait-online systemd-resolved systemd-timesyncd apt-daily apt-daily-upgrade systemd-binfmt modprobe@; do
    ln -s /dev/null etc/systemd/system/$unit.service
  done
  for unit in automount mount; do ln -s /dev/null etc/systemd/system/proc-sys-fs-binfmt_misc.$unit; done
  : >layer-is-set-up
fi
cp -a /files/. /system/
for unit in ${units.join(' ')}; do
  for folder in etc/systemd/system usr/lib/systemd/system lib/systemd/system; do
    [ -e $folder/$unit ] || continue
    for target in $(sed -n 's/^WantedBy=//p' $folder/$unit); do
      mkdir -p etc/systemd/system/$target.wants
      ln -sf /$folder/$unit etc/systemd/system/$target.wants/$unit
    done
    break
  done
done
mkdir -p usr/lib/modules/${release} tmp run /modules /index
mount -t 9p -o ${nineP} modules /modules || give_up modules
mount -t 9p -o ${nineP} index /index || give_up index
mount -t overlay -o lowerdir=/index:/modules modules usr/lib/modules/${release} || give_up modules
mount -t tmpfs -o mode=1777 tmpfs tmp
for folder in ${below.join(' ')}; do mkdir -p $folder && mount --bind /host/$folder $folder; done
mount --move /proc proc
mount --move /sys sys
mount --move /dev dev
cd /
exec switch_root /system /lib/systemd/systemd --system --unit=multi-user.target
`;
}
