/**
 * `make channel-demo`: the whole way of the channel with real tools. Three cumulative patches for two stock kernels are
 * built, proven, packaged, published and served on loopback; a virtual machine with systemd and apt follows from the first
 * subscription through two upgrades, the end of a window (its clock is moved) and a reboot into the newer kernel; dnf
 * follows in an installroot. Ends with status 0 only if every step was seen.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '#kpatch/base/digest.ts';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run, runOk } from '#kpatch/base/run.ts';
import { bootSystem, makeDisk } from '#kpatch/vm/system.ts';
import { gnupgHome } from './channel-demo/gnupg.ts';
import { archiveSource, kernelArchive } from './channel-demo/kernel-archive.ts';
import { newestKernels, type StockRelease } from './channel-demo/kernels.ts';
import { guestOptions, type Kernel, network, updated } from './channel-demo/machine.ts';
import { rpmMachine } from './channel-demo/rpm-machine.ts';
import { serveFolder } from './channel-demo/server.ts';
import { type Shown, story } from './channel-demo/story.ts';

const root = join(import.meta.dirname, '..');
const kpatch = join(root, 'bin/kpatch');
const examples = join(root, 'examples/channel');
const patches = ['1-meminfo.patch', '2-cmdline.patch', '3-version.patch'].map((name) => join(examples, name));
const { say, step, seen, missed } = story();

/** Runs kpatch on this machine, showing what it says. */
async function own(...args: string[]): Promise<string> {
  say(`$ kpatch ${args.map((word) => word.replace(`${root}/`, '')).join(' ')}`);
  // Where this process is killed, what it started ends too.
  const command = ['--pdeathsig', 'TERM', kpatch, ...args];
  const { stdout } = await runOk('setpriv', command, { timeoutMs: 1_800_000, onLine: (line) => say(`    ${line}`) });
  return stdout.toString();
}

/**
 * Module of a kernel and version, named as the field names them. Numbers of the year 1900 belong to no real vulnerability.
 */
async function build(folder: string, kernel: Kernel, version: number): Promise<string> {
  const name = `kpatch_${kernel.release.replace(/[^A-Za-z0-9]/g, '_')}_${version}_1`;
  const file = join(folder, `${name}.ko`);
  const cves = Array.from({ length: version }, (_, n) => ['--cve', `CVE-1900-000${n + 1}`]).flat();
  await own(
    'build',
    ...patches.slice(0, version),
    '-k',
    kernel.release,
    '-n',
    name,
    '--patch-version',
    String(version),
    ...cves,
    '-o',
    file,
  );
  return file;
}

async function main(): Promise<void> {
  using work = temporaryFolder('kpatch-channel-demo-');
  await using _gnupg = gnupgHome(join(work.path, 'gnupg'));
  await demo(work.path);
}

async function demo(work: string): Promise<void> {
  const pair = await newestKernels();
  say(`two stock kernels of one line: ${pair.map(({ release, version }) => `${release} (${version})`).join(' and ')}`);
  const built = new Map<string, string>();
  for (const { release } of pair) {
    for (const version of [1, 2, 3])
      built.set(`${release} ${version}`, await build(work, { release, version: '', image: '', modules: '' }, version));
  }
  const kernels = await Promise.all(
    pair.map(async ({ release, version }): Promise<Kernel> => {
      const { stdout } = await runOk(kpatch, ['kernel', 'show', release, '--json']);
      const { paths } = (JSON.parse(stdout.toString()) as { kernel: { paths: { image: string; modules: string } } })
        .kernel;
      return { release, version, image: paths.image, modules: paths.modules };
    }),
  );
  const [newer, older] = kernels as [Kernel, Kernel];
  const module = (kernel: Kernel, version: number): string => built.get(`${kernel.release} ${version}`)!;
  const proofKey = join(work, 'proof.key');
  await runOk('openssl', ['genpkey', '-algorithm', 'ed25519', '-out', proofKey]);
  await runOk('openssl', ['pkey', '-in', proofKey, '-pubout', '-out', join(work, 'proof.pub')]);
  for (const version of [1, 2, 3]) {
    const test = join(examples, `${version}.test.sh`);
    await own('prove', module(older, version), module(newer, version), '--test', test, '--key', proofKey);
  }
  seen(
    'six modules are proven',
    [...built.values()].every((file) => existsSync(file.replace(/\.ko$/, '.proof.json'))),
  );

  say('\n== the channel');
  const dir = join(work, 'channel');
  await runOk('gpg', [
    '--batch',
    '--quiet',
    '--passphrase',
    '',
    '--quick-generate-key',
    'Demo channel <demo@example.org>',
    'rsa3072',
    'sign',
    '1y',
  ]);
  await using server = await serveFolder(join(dir, 'public'));
  await own(
    'channel',
    'init',
    dir,
    '--name',
    'demo',
    '--url',
    `http://10.0.2.2:${server.port}`,
    '--key',
    'demo@example.org',
    '--require-proof',
    '--proof-key',
    join(work, 'proof.pub'),
  );
  const day = (ago: number): string => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10);
  const addKernel = ({ release, version }: StockRelease, ago: number): Promise<unknown> => {
    // Debian testing has no number to take the distribution from.
    const facts = ['--released', day(ago), '--package-version', version, '--distribution', 'Debian:12'];
    return own('channel', 'kernel', dir, release, ...facts);
  };
  await addKernel(older, 60);
  await addKernel(newer, 1);
  await own('channel', 'add', dir, module(older, 1));
  await own('channel', 'publish', dir);

  say('\n== packages of kpatch itself');
  await runOk(process.execPath, [join(root, 'tools/packages.ts')], {
    timeoutMs: 900_000,
    onLine: (line) => say(`    ${line}`),
  });
  const dist = readdirSync(join(root, 'dist')).map((name) => join(root, 'dist', name));
  const deb = dist.find((file) => /kpatch_.*_amd64\.deb$/.test(file))!;
  const rpm = dist.find((file) => /kpatch-.*\.x86_64\.rpm$/.test(file))!;

  say('\n== the RPM side: real dnf, below an installroot');
  const key = join(dir, 'public/key.asc');
  const machine = await rpmMachine(join(work, 'rpm-root'), rpm);
  const url = `http://127.0.0.1:${server.port}`;
  await own('channel', 'follow', url, '--packages', '--key', key, '--root', machine);
  await own('update', '-k', older.release, '--root', machine);

  say(`\n== a machine that runs ${older.release}`);
  const archive = join(work, 'archive');
  await kernelArchive(archive, newer, 'demo@example.org');
  await using archiveServer = await serveFolder(archive);
  const disk = join(work, 'disk');
  await makeDisk(disk, 4096);
  let guest = await bootSystem({
    ...guestOptions(older, disk),
    files: {
      '/root/key.asc': readFileSync(key),
      '/root/kpatch.deb': readFileSync(deb),
      '/root/debian.sources': archiveSource(`http://10.0.2.2:${archiveServer.port}`, key),
    },
  });
  try {
    const shown = (what: string, script: string, shows: RegExp | readonly RegExp[], minutes = 10): Promise<Shown> =>
      step(guest, what, script, shows, minutes);
    // What this machine has beside belongs to the guest too: its index of manual pages, for one, takes minutes to make
    // again.
    await shown(
      'kpatch is installed from its package',
      `rm -f /var/lib/man-db/auto-update /etc/apt/sources.list /etc/apt/sources.list.d/*; dpkg -i /root/kpatch.deb && kpatch --version`,
      /^kpatch \d/m,
    );
    await shown('its network reaches this machine’s loopback and nothing else', network, /^network is up$/m);
    await shown(
      'it follows the channel',
      `kpatch channel follow http://10.0.2.2:${server.port} --key /root/key.asc --packages`,
      /^following/m,
    );
    await shown('kpatch auto subscribes it and loads the first patch', 'kpatch auto; kpatch list', [
      /installed 1-1/,
      /_1_1 \[enabled\]/,
    ]);
    await shown('the first fix is at work', 'grep -i vmallocchunk /proc/meminfo', /^VMALLOCCHUNK/m);
    await own('channel', 'add', dir, module(older, 2));
    await own('channel', 'publish', dir);
    await shown(
      'the timer’s service brings the second patch',
      'systemctl start kpatch-update.service; systemctl is-enabled kpatch-update.timer; journalctl -u kpatch-update -o cat | tail -5; kpatch list; cat /proc/cmdline',
      [/^enabled$/m, /_2_1 \[enabled\]/, /live\.patched=2/],
    );
    await own('channel', 'add', dir, module(older, 3));
    await own('channel', 'publish', dir);
    await shown(
      'kpatch update brings the third, and it alone is loaded',
      'kpatch update; kpatch list; tail -1 /proc/version',
      [/2-1 → 3-1/, /Loaded patch modules:\n\S+_3_1 \[enabled\]\n\n/, /^live patched$/m],
    );
    await shown('which CVEs are fixed live', 'kpatch status', /CVE-1900-0001 CVE-1900-0002 CVE-1900-0003/);
    await own('channel', 'add', dir, module(newer, 1), module(newer, 2), module(newer, 3));
    await own('channel', 'publish', dir);
    // All of it by apt and the scripts of the kernel's package, which run the hooks of /etc/kernel/postinst.d.
    await shown(
      `${newer.release} is installed by apt from its stock package, and subscribed by the hook`,
      `mv /root/debian.sources /etc/apt/sources.list.d/; export DEBIAN_FRONTEND=noninteractive; apt-get -q update && apt-get -qy --no-install-recommends -o DPkg::Options::=--force-unsafe-io install linux-image-${newer.release} demo-initramfs-tool; ${updated}; dpkg -l 'linux-image-*' 'kpatch-*' | grep ^ii; ls /var/lib/kpatch/${newer.release}; ls -l /vmlinuz; sha256sum /boot/vmlinuz-${newer.release}`,
      [
        new RegExp(`^ii +linux-image-${RegExp.escape(newer.release)} +${RegExp.escape(newer.version)} `, 'm'),
        new RegExp(`^ii +kpatch-patch-${RegExp.escape(newer.release)} +3-1`, 'm'),
        /^\S+_3_1\.ko$/m,
        // The kernel that the machine is booted with later is the one that apt has just installed.
        new RegExp(`^${sha256(readFileSync(newer.image))} `, 'm'),
      ],
      40,
    );
    await shown('nothing of it was loaded into the running kernel', 'ls /sys/kernel/livepatch', /^\S+_3_1$/m);
    await shown('until when, and into what to reboot', 'kpatch channel status; echo "status $?"', [
      new RegExp(`reboot into ${newer.release} by then`),
      /^status 0$/m,
    ]);
    await shown(
      'seven months later the window has ended',
      'now=$(date +%s); date -s "+7 months" >/dev/null; kpatch channel status; echo "status $?"; kpatch status | grep -i support; date -s @$now >/dev/null',
      [new RegExp(`no live patches since .*: reboot into ${newer.release} now`), /^status 1$/m],
    );
    await guest.run('systemctl poweroff; sleep 60', { deadlineMs: 240_000 }).catch(() => undefined);
  } finally {
    await guest.stop();
  }

  say(`\n== the same machine, rebooted into ${newer.release}`);
  guest = await bootSystem(guestOptions(newer, disk));
  try {
    await step(
      guest,
      'its own patch was loaded at boot',
      'while [ "$(systemctl is-active kpatch.service)" = activating ]; do sleep 1; done; systemctl is-active kpatch.service; uname -r; kpatch list; grep -i vmallocchunk /proc/meminfo; cat /proc/cmdline; tail -1 /proc/version',
      [
        /^active$/m,
        new RegExp(`^${newer.release}$`, 'm'),
        /_3_1 \[enabled\]/,
        /^VMALLOCCHUNK/m,
        /live\.patched=2/,
        /^live patched$/m,
      ],
    );
    await step(guest, 'it is the newest of its line', `${network}; kpatch update; kpatch channel status`, [
      /everything is up to date/,
      new RegExp(`\\* ${newer.release}: patch 3-1, loaded`),
    ]);
    await step(
      guest,
      'the kernel log has no complaint',
      'dmesg | grep -E "WARNING|BUG:|Oops|Unpatched|Call Trace" || echo clean',
      /^clean$/m,
    );
  } finally {
    await guest.stop();
  }

  say('\n== the RPM side again');
  const dnf = [
    '-y',
    '--installroot',
    machine,
    '--disableplugin=*',
    '--setopt',
    `reposdir=${machine}/etc/yum.repos.d`,
    // The repository file has the path that the machine itself sees.
    '--setopt',
    `kpatch-channel.gpgkey=file://${machine}/etc/pki/rpm-gpg/RPM-GPG-KEY-kpatch-channel`,
  ];
  const cves = await run('dnf', [...dnf, '--refresh', 'updateinfo', 'list', 'cves'], {
    onLine: (line) => say(`    ${line}`),
  });
  seen('dnf updateinfo list cves', /CVE-1900-0003 .*-3-1\.x86_64/.test(cves.stdout.toString()));
  await own('update', '--root', machine);
  const store = join(machine, 'var/lib/kpatch', older.release);
  say(`    ${store.slice(machine.length)}: ${existsSync(store) ? readdirSync(store).join(' ') : 'nothing'}`);
  seen(
    'dnf upgraded it, and kpatch installed the third patch',
    existsSync(store) && readdirSync(store).some((name) => /_3_1\.ko$/.test(name)),
  );
  await own('channel', 'check', dir);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`${error instanceof KpatchError ? renderError(error) : String((error as Error).stack)}\n`);
  process.exitCode = 1;
}
if (missed() > 0) process.exitCode = 1;
say(
  process.exitCode === undefined
    ? '\nevery step was seen'
    : `\nnot every step was seen${missed() === 0 ? '' : ` (${missed()} missed)`}`,
);
