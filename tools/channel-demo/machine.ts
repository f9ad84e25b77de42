/** The machine of the demo: a guest whose only way out is QEMU's own address for this machine's loopback. */
import type { SystemOptions } from '#kpatch/vm/system.ts';

export interface Kernel {
  readonly release: string;
  readonly version: string;
  readonly image: string;
  readonly modules: string;
}

/** A system on the disk; there is no route to anywhere else. */
export function guestOptions(kernel: Kernel, disk: string): SystemOptions {
  return {
    image: kernel.image,
    modules: kernel.modules,
    disk,
    memoryMiB: 1536,
    devices: ['-netdev', 'user,id=net', '-device', 'virtio-net-pci,netdev=net,romfile='],
  };
}

/** Script: brings the network up, and says so. */
export const network = `modprobe virtio_net; for n in 1 2 3 4 5; do nic=$(ls /sys/class/net | grep -v lo | head -1); [ -n "$nic" ] && break; sleep 1; done
ip link set "$nic" up && ip address replace 10.0.2.15/24 dev "$nic" && echo network is up`;

/** Script: waits for the update that a hook has started. */
export const updated = `sleep 2; while [ "$(systemctl show -P ActiveState kpatch-update.service)" = activating ]; do sleep 1; done`;
