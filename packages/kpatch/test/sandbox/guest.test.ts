/** A guest that takes QEMU over is still in a sandbox. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { sandboxUser } from '#kpatch/sandbox/user.ts';
import { boot } from '#kpatch/vm/boot.ts';
import { attack } from '../attack.ts';
import { stockKernel } from '../vm/stock-kernel.ts';

attack(
  {
    area: 'sandbox',
    attacker: 'guest',
    how: 'a guest takes QEMU over and wants the files, the network and the rights of who started it',
  },
  async () => {
    const { image } = await stockKernel();
    const guest = await boot({ image });
    try {
      const own = `/proc/${guest.pid}`;
      assert.match(readFileSync(`${own}/comm`, 'latin1'), /^qemu/);
      const status = readFileSync(`${own}/status`, 'latin1');
      if (process.getuid?.() === 0) assert.match(status, new RegExp(`^Uid:\t${sandboxUser()}\t`, 'm'));
      for (const line of ['CapEff:\t0+', 'CapPrm:\t0+', 'NoNewPrivs:\t1', 'Seccomp:\t2'])
        assert.match(status, new RegExp(`^${line}$`, 'm'));
      for (const path of ['etc/shadow', 'etc/passwd', 'root', 'home', 'boot/grub', 'sys'])
        assert.equal(existsSync(`${own}/root/${path}`), false, path);
      assert.deepEqual(readdirSync(`${own}/root/tmp`).length, 1); // the folder of this guest
      assert.notEqual(readlinkSync(`${own}/ns/net`), readlinkSync('/proc/self/ns/net'));
      return 'QEMU runs without rights, network and other files, and its system calls are filtered';
    } finally {
      await guest.stop();
    }
  },
);
