/** Virtual machines with systemd that belong to a fleet, and the patches that their channel delivers. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packages } from '../../../kpatch/test/vm/host-guest.ts';
import type { StockKernel } from '../../../kpatch/test/vm/stock-kernel.ts';
import type { GuestFile } from '../../../kpatch/vm/files/initramfs.ts';
import type { Guest } from '../../../kpatch/vm/guest.ts';
import { bootSystem } from '../../../kpatch/vm/system.ts';

const root = join(import.meta.dirname, '../../../..');

/** The address of this machine's loopback in a guest, and how a guest gets there: it has a route to nothing else. */
export const HERE = '10.0.2.2';
const network = `[Unit]
Description=The network of the test
DefaultDependencies=no
After=systemd-udevd.service
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'modprobe virtio_net; for n in 1 2 3 4 5 6 7 8 9; do ip link set eth0 up && ip address replace 10.0.2.15/24 dev eth0 && exit 0; sleep 1; done; exit 1'
[Install]
WantedBy=multi-user.target
`;

/** The executable is too large to be copied, and services that must not see /root cannot use it where it is. */
const executable = (path: string): string => `[Unit]
Description=kpatch
DefaultDependencies=no
Before=local-fs.target
[Mount]
What=${path}
Where=/usr/sbin/kpatch
Options=bind
[Install]
WantedBy=local-fs.target
`;

export interface MachineOptions {
  readonly name: string;
  readonly kernel: StockKernel;
  /** Image of `makeDisk`: what the machine wrote is there again when it boots again. */
  readonly disk: string;
  /** Other files of the machine by their paths. */
  readonly files: Readonly<Record<string, GuestFile>>;
}

/** Boots a machine on which kpatch is as its package would have it. */
export async function bootMachine({ name, kernel, disk, files }: MachineOptions): Promise<Guest> {
  const folder = await packages();
  const units = join(root, 'packaging/systemd');
  const names = readdirSync(units).filter((unit) => /\.(service|timer)$/.test(unit));
  // Every machine has an id of its own, as its firmware and its installation give it one.
  const id = Buffer.from(name).toString('hex').padEnd(32, '0').slice(0, 32);
  const uuid = id.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  const guest = await bootSystem({
    image: kernel.image,
    modules: kernel.modules,
    disk,
    visible: [root, folder],
    // Two machines share two processors.
    cpus: 1,
    // Without a new name for its network card, nothing can be too early for it.
    kernelArguments: [`systemd.hostname=${name}`, 'net.ifnames=0'],
    devices: ['-uuid', uuid, '-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
    files: {
      '/etc/machine-id': `${id}\n`,
      '/usr/sbin/kpatch': { content: '', mode: 0o755 },
      '/etc/systemd/system/usr-sbin-kpatch.mount': executable(join(folder, 'kpatch')),
      '/etc/systemd/system/test-network.service': network,
      ...Object.fromEntries(names.map((unit) => [`/etc/systemd/system/${unit}`, readFileSync(join(units, unit))])),
      ...files,
    },
    enable: ['usr-sbin-kpatch.mount', 'test-network.service', 'kpatch.service', 'kpatch-survived.timer'],
  });
  // The machine takes commands before its network is up.
  try {
    await guest.runOk('systemctl start test-network.service', { deadlineMs: 180_000 });
    return guest;
  } catch (error) {
    await guest.stop();
    throw error;
  }
}
