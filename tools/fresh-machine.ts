/**
 * The commands of the README on fresh machines: for each release of Debian a new root with the packages of a minimal
 * installation and make, entered with pivot_root (the sandbox does not work in a plain chroot). There is no Node, no npm and no
 * compiler. A clone of this checkout runs `make demo` and `make test`. Prints a line for each; status 0 only if all passed.
 *
 *   tools/fresh-machine.ts [--release 12]… [--tests FILE]… [--no-demo] [--no-tests] [--folder FOLDER] [--keep] [--allow-expired]
 *
 * `--tests` runs these test files only. `--keep` leaves the machine in FOLDER, and the next run with `--keep` uses it again.
 * `--allow-expired` lets its apt accept expired package lists. Needs root, debootstrap and 15 GB of disk space for each machine.
 */
import { copyFileSync, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KpatchError } from '#kpatch/base/errors/error.ts';
import { renderError } from '#kpatch/base/errors/render.ts';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { consoleReporter } from '#kpatch/base/report.ts';
import { type RunResult, run, runOk } from '#kpatch/base/run.ts';
import { machineMirror } from '#kpatch/distro/debian/suites.ts';

const { values } = parseArgs({
  options: {
    release: { type: 'string', multiple: true, default: ['12', '13', '14'] },
    tests: { type: 'string', multiple: true },
    'no-demo': { type: 'boolean', default: false },
    'no-tests': { type: 'boolean', default: false },
    folder: { type: 'string', default: '/var/tmp' },
    keep: { type: 'boolean', default: false },
    'allow-expired': { type: 'boolean', default: false },
  },
});

const report = consoleReporter();
/** Certificates that this machine trusts, and where the fresh machine has them. */
const trusted = '/etc/ssl/certs/ca-certificates.crt';
const trustedThere = '/etc/ssl/host.crt';
const checkout = join(import.meta.dirname, '..');
/** A machine has at most this long for one command of the README, milliseconds. */
const DEADLINE_MS = { demo: 1_800_000, test: 14_400_000 };

/** A release, and the suites that an installation of it uses. */
const releases: Readonly<Record<string, { readonly codename: string; readonly suites: readonly string[] }>> = {
  12: { codename: 'bookworm', suites: ['bookworm', 'bookworm-updates'] },
  13: { codename: 'trixie', suites: ['trixie', 'trixie-updates'] },
  14: { codename: 'forky', suites: ['forky'] },
};

/** Makes the root of a minimal installation, with the package sources of its release. */
async function makeRoot(release: string, root: string): Promise<void> {
  const { codename, suites } = releases[release]!;
  const mirror = machineMirror('debian') ?? 'http://deb.debian.org/debian';
  // A release in development has no script of its own in older versions of debootstrap.
  const script = `/usr/share/debootstrap/scripts/${codename}`;
  const scripts = existsSync(script) ? [] : ['/usr/share/debootstrap/scripts/sid'];
  const args = ['--variant=minbase', '--include=make,git,ca-certificates', codename, root, mirror, ...scripts];
  // Its mounts end with it, also if it is killed: below a root that is removed there may be no /proc of this machine.
  const apart = ['--mount', '--propagation', 'private', 'debootstrap', ...args];
  await runOk('unshare', apart, { timeoutMs: 1_200_000 });
  const lines = suites.map((suite) => `deb ${mirror} ${suite} main`);
  if (suites.length > 1) lines.push(`deb ${mirror.replace(/debian$/, 'debian-security')} ${codename}-security main`);
  writeFileSync(join(root, 'etc/apt/sources.list'), `${lines.join('\n')}\n`);
  if (values['allow-expired']) {
    writeFileSync(join(root, 'etc/apt/apt.conf.d/expired'), 'Acquire::Check-Valid-Until "false";\n');
  }
  rmSync(join(root, 'etc/resolv.conf'), { force: true });
  for (const file of ['/etc/resolv.conf', '/etc/hosts']) copyFileSync(file, join(root, file));
  // Behind a proxy that ends TLS, the fresh machine has to trust what this one trusts.
  if (existsSync(trusted)) copyFileSync(trusted, join(root, trustedThere));
}

/** Clones what is committed here. */
async function cloneInto(root: string): Promise<void> {
  const clone = join(root, 'root/kpatch');
  rmSync(clone, { recursive: true, force: true });
  await runOk('git', ['clone', '-q', '--no-hardlinks', checkout, clone]);
}

/** `$1` is the root, `$2` the command line that runs in it, in the clone. Everything ends with the shell. */
const enter = `set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount --rbind /dev dev
mount -t sysfs sysfs sys
mkdir -p old
pivot_root . old
umount -l /old
cd /root/kpatch
exec bash -c "$2"`;

/** Runs a command line on the machine, with nothing of the environment of this one but what the network needs. */
function onMachine(root: string, command: string, timeoutMs: number): Promise<RunResult> {
  const network = Object.entries(process.env).filter(([name]) =>
    /^(https?_proxy|no_proxy|npm_config_registry)$/i.test(name),
  );
  const env = ['HOME=/root', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', 'TERM=dumb'];
  if (existsSync(join(root, trustedThere)))
    env.push(`CURL_CA_BUNDLE=${trustedThere}`, `NODE_EXTRA_CA_CERTS=${trustedThere}`);
  const all = [...env, ...network.map(([name, value]) => `${name}=${value}`)];
  const shell = [
    'env',
    '-i',
    ...all,
    'unshare',
    '--mount',
    '--pid',
    '--fork',
    '--kill-child',
    'bash',
    '-c',
    enter,
    'enter',
  ];
  return run(shell[0]!, [...shell.slice(1), root, command], {
    timeoutMs,
    onLine: (line) => process.stderr.write(`  ${line}\n`),
  });
}

/** The last lines of what a command printed. */
function ending({ stdout, stderr }: RunResult): string {
  return `${stdout.toString()}${stderr}`.trimEnd().split('\n').slice(-12).join('\n');
}

/** Makes a machine and runs the commands on it; true if all passed. */
async function tryMachine(release: string): Promise<boolean> {
  using folder = temporaryFolder('kpatch-fresh-', values.folder);
  const root = values.keep ? join(values.folder, `kpatch-fresh-${release}`) : join(folder.path, 'root');
  if (!existsSync(join(root, 'etc/resolv.conf')))
    await report.stage(`a fresh Debian ${release}`, () => makeRoot(release, root));
  await cloneInto(root);
  const tests = values.tests === undefined ? '' : ` TESTS="${values.tests.join(' ')}"`;
  const commands: [string, number][] = [];
  if (!values['no-demo'])
    commands.push([`make demo${values['allow-expired'] ? ' ALLOW_EXPIRED=1' : ''}`, DEADLINE_MS.demo]);
  if (!values['no-tests']) commands.push([`make test${tests}`, DEADLINE_MS.test]);
  let passed = true;
  for (const [command, timeoutMs] of commands) {
    const start = performance.now();
    const result = await onMachine(root, command, timeoutMs);
    const seconds = ((performance.now() - start) / 1000).toFixed(0);
    const outcome = result.status === 0 ? 'passed' : `FAILED with status ${result.status}`;
    console.log(`Debian ${release}: ${command}: ${outcome} in ${seconds} s`);
    if (result.status !== 0) console.log(ending(result));
    passed &&= result.status === 0;
  }
  return passed;
}

try {
  for (const release of values.release) {
    if (releases[release] === undefined)
      throw new Error(`no release '${release}'; known are ${Object.keys(releases).join(', ')}`);
    if (!(await tryMachine(release))) process.exitCode = 1;
  }
} catch (error) {
  console.error(
    error instanceof KpatchError
      ? renderError(error)
      : `fresh-machine: ${error instanceof Error ? error.message : error}`,
  );
  process.exitCode = 1;
}
