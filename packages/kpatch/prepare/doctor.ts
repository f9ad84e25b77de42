/** Checks each thing that a machine needs to build, prove and load live patches. */

import { accessSync, constants, existsSync, readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, freemem, release as runningRelease, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { packageOf } from '../base/process/tools.ts';
import { cacheRoot, programFolders } from '../base/workspace.ts';
import { platformHere } from '../platform/registry.ts';
import { sandboxedOk } from '../sandbox/sandbox.ts';

export type Purpose = 'build' | 'prove' | 'load';

export interface Check {
  readonly purpose: Purpose;
  readonly thing: string;
  /** `missing`: it will not work; `warning`: it works, with a drawback. */
  readonly state: 'ok' | 'warning' | 'missing';
  readonly found: string;
  /** What to do; only if the state is not ok. */
  readonly fix?: string;
  /** The package that provides what is missing. */
  readonly package?: string;
}

/** Programs of this machine that every build needs; compilers come in build roots. */
const buildTools = ['bwrap', 'setpriv', 'prlimit', 'flock', 'patch', 'tar', 'xz', 'zstd', 'cpio'];
/** Programs that unpack packages and kernels, by what fetches them. */
const fetchTools = { 'apt-get': ['dpkg-deb', 'apt-cache'], dnf: ['rpm2cpio', 'rpmspec', 'make', 'gcc'] } as const;
/** Programs and headers of a build without a build root: custom kernels, kernels of RPM distributions, `--local-compiler`. */
const localTools = ['make', 'gcc', 'ld', 'objcopy', 'bc', 'flex', 'bison'];
const localHeaders = [
  ['gelf.h', 'libelf-dev'],
  ['openssl/opensslv.h', 'libssl-dev'],
] as const;

/** Looks at everything; nothing is changed and nothing needs root. */
export async function checkMachine(): Promise<Check[]> {
  const { emulator } = platformHere();
  return [
    ...buildTools.map((tool) => toolCheck('build', tool)),
    await sandboxCheck(),
    ...sourcesChecks(),
    localCompilerCheck(),
    spaceCheck('build', existing(cacheRoot()), 4, 'for one prepared kernel'),
    toolCheck('prove', emulator.program, emulator.package),
    toolCheck('prove', 'busybox', 'busybox-static'),
    kvmCheck(),
    memoryCheck(),
    spaceCheck('prove', tmpdir(), 0.5, 'for initramfs images'),
    ...loadChecks(),
  ];
}

function findTool(tool: string): string | undefined {
  const folders = [...programFolders(), '/usr/sbin', '/sbin'];
  return folders
    .map((folder) => join(folder, tool))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function toolCheck(purpose: Purpose, tool: string, name = packageOf(tool)): Check {
  const path = findTool(tool);
  if (path !== undefined) return { purpose, thing: tool, state: 'ok', found: path };
  return {
    purpose,
    thing: tool,
    state: 'missing',
    found: 'not installed',
    fix: `apt-get install ${name}`,
    package: name,
  };
}

/** What is missing to compile with this machine's own compiler. Kernels with a build root do not need it. */
function localCompilerCheck(): Check {
  const purpose = 'build';
  const thing = 'compiler of this machine';
  const { triple } = platformHere().naming;
  const tools = localTools.filter((tool) => findTool(tool) === undefined).map(packageOf);
  const headers = localHeaders
    .filter(([header]) => ![`/usr/include/${header}`, `/usr/include/${triple}/${header}`].some(existsSync))
    .map(([, name]) => name);
  const missing = [...new Set([...tools, ...headers])];
  if (missing.length === 0) return { purpose, thing, state: 'ok', found: 'present' };
  return {
    purpose,
    thing,
    state: 'warning',
    found: `${missing.join(', ')} not installed; kernels with a build root do not need it`,
    fix: 'optional, for custom kernels and --local-compiler',
  };
}

/** Starts a program in the sandbox: that bubblewrap is installed does not tell whether it works here. */
async function sandboxCheck(): Promise<Check> {
  const purpose = 'build';
  const thing = 'sandbox';
  try {
    await sandboxedOk('true', [], { view: {} });
    return { purpose, thing, state: 'ok', found: 'bubblewrap works' };
  } catch (error) {
    const { message, fix } = error as { message: string; fix?: string };
    return { purpose, thing, state: 'missing', found: message, ...(fix === undefined ? {} : { fix }) };
  }
}

function sourcesChecks(): Check[] {
  const purpose = 'build';
  const thing = 'package sources';
  for (const [tool, needed] of Object.entries(fetchTools)) {
    if (findTool(tool) === undefined) continue;
    return [{ purpose, thing, state: 'ok', found: tool }, ...needed.map((one) => toolCheck(purpose, one))];
  }
  const fix = 'give each kernel with --image, --headers and --source';
  return [{ purpose, thing, state: 'warning', found: 'neither apt nor dnf', fix }];
}

function existing(path: string): string {
  return existsSync(path) ? path : existing(dirname(path));
}

function spaceCheck(purpose: Purpose, folder: string, gigabytes: number, what: string): Check {
  const { bavail, bsize } = statfsSync(folder);
  const free = (bavail * bsize) / 1e9;
  const thing = `space in ${folder}`;
  const found = `${free.toFixed(1)} GB free`;
  if (free >= gigabytes) return { purpose, thing, state: 'ok', found };
  return {
    purpose,
    thing,
    state: 'missing',
    found,
    fix: `free ${gigabytes} GB ${what}, or set XDG_CACHE_HOME`,
  };
}

function kvmCheck(): Check {
  const purpose = 'prove';
  const thing = '/dev/kvm';
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return { purpose, thing, state: 'ok', found: 'available; the first proof will test it' };
  } catch {
    const fix = 'optional: proofs are faster with KVM';
    return { purpose, thing, state: 'warning', found: 'not available: guests run in software emulation', fix };
  }
}

function memoryCheck(): Check {
  const free = freemem() / 1e9;
  const found = `${free.toFixed(1)} GB free, ${availableParallelism()} cores`;
  if (free >= 1) return { purpose: 'prove', thing: 'memory', state: 'ok', found };
  return {
    purpose: 'prove',
    thing: 'memory',
    state: 'warning',
    found,
    fix: 'a guest needs 0.5 GB: free some memory first',
  };
}

function loadChecks(): Check[] {
  const purpose = 'load';
  const checks: Check[] = [];
  const livepatch = existsSync('/sys/kernel/livepatch');
  checks.push(
    livepatch
      ? { purpose, thing: 'running kernel', state: 'ok', found: `${runningRelease()} can load live patches` }
      : {
          purpose,
          thing: 'running kernel',
          state: 'missing',
          found: `${runningRelease()} has no /sys/kernel/livepatch`,
          fix: 'boot a kernel with CONFIG_LIVEPATCH=y, such as the stock kernel of the distribution',
        },
    toolCheck(purpose, 'insmod'),
    toolCheck(purpose, 'flock'),
    process.getuid?.() === 0
      ? { purpose, thing: 'root', state: 'ok', found: 'yes' }
      : { purpose, thing: 'root', state: 'warning', found: 'no', fix: 'load with sudo' },
    signatureCheck(),
  );
  return checks;
}

/** Kernel lockdown and sig_enforce make the kernel refuse modules that are not signed with a key it knows. */
function signatureCheck(): Check {
  const read = (path: string): string => {
    try {
      return readFileSync(path, 'utf8').trim();
    } catch {
      return '';
    }
  };
  const enforced = read('/sys/module/module/parameters/sig_enforce') === 'Y';
  const locked = /\[(integrity|confidentiality)\]/.exec(read('/sys/kernel/security/lockdown'))?.[1];
  const thing = 'unsigned modules';
  if (!enforced && locked === undefined) return { purpose: 'load', thing, state: 'ok', found: 'accepted' };
  const found = enforced ? 'refused (module.sig_enforce=1)' : `refused (lockdown mode is ${locked})`;
  return {
    purpose: 'load',
    thing,
    state: 'warning',
    found,
    fix: 'build with --sign-key and --sign-cert of a key that the kernel trusts',
  };
}
