/**
 * A folder of this machine in a guest: read-only, over 9p (Documentation/filesystems/9p.rst in the kernel, -fsdev in
 * qemu(1)). It is mounted after a kept guest has been resumed, because a mounted one cannot be saved.
 */

/** By what the guest mounts it. */
const TAG = 'share';

/** QEMU's arguments. */
export function shareDevice(folder: string): string[] {
  const path = folder.replaceAll(',', ',,');
  const fsdev = `local,id=share,path=${path},security_model=none,readonly=on,multidevs=remap`;
  return ['-fsdev', fsdev, '-device', `virtio-9p-pci,fsdev=share,mount_tag=${TAG}`];
}

/** What the guest needs of its kernel, where that does not have it built in. */
export const shareDrivers = ['virtio_pci', '9pnet_virtio', '9p'] as const;

/** A script that mounts it; its status tells whether that worked. */
export function mountScript(at: string): string {
  const load = shareDrivers.map((name) => `modprobe ${name} 2>/dev/null`).join('; ');
  return `${load}; mkdir -p ${at} && mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=131072 ${TAG} ${at}`;
}
