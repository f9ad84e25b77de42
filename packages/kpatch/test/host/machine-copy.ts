/**
 * A copy of this machine on which packages can be installed: its own files in namespaces and below a layer in memory that goes with the
 * last process. systemd does not run there.
 */
import assert from 'node:assert/strict';
import { run } from '#kpatch/base/run.ts';

/** `$1` is the folder that the copy sees as /mnt/packages, `$2` the script. */
const enter = `set -e
mount --make-rprivate /
folder=$(readlink -f "$1")
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root /mnt/packages
mount --bind "$folder" /mnt/packages
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --rbind /dev dev
for own in run tmp mnt; do mount -t tmpfs tmpfs $own; done
mkdir mnt/packages && mount --bind /mnt/packages mnt/packages
exec chroot . /bin/bash -c "$2"`;

/** Runs the script there, which ends with its first error; `folder` is /mnt/packages. Standard output. */
export async function onMachineCopy(folder: string, script: string): Promise<string> {
  const own = ['--mount', '--pid', '--fork', '--kill-child', '--uts', '--ipc'];
  const whole = `export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C\nset -e\n${script}`;
  const { status, stdout, stderr } = await run('unshare', [...own, 'bash', '-c', enter, 'enter', folder, whole], {
    timeoutMs: 300_000,
  });
  assert.equal(status, 0, `${stdout}\n${stderr}`);
  return stdout.toString();
}
