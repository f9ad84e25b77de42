import assert from 'node:assert/strict';
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { run } from '#kpatch/base/run.ts';
import { useSandbox } from '#kpatch/base/workspace.ts';
import { readOutput, requireNoEscape } from '#kpatch/sandbox/output.ts';
import { sandboxed, sandboxedOk } from '#kpatch/sandbox/sandbox.ts';
import { sandboxUser, shareFolder } from '#kpatch/sandbox/user.ts';
import { attack } from '../attack.ts';
import { provokes } from '../provoke.ts';

const root = join(import.meta.dirname, '../../../..');
const isRoot = process.getuid?.() === 0;

/** What a script prints in a sandbox that sees `readOnly` and can write to `writable`. */
async function inside(script: string, writable: readonly string[] = [], readOnly: readonly string[] = []) {
  const view = { readOnly, writable };
  const { stdout, stderr, status } = await sandboxed('sh', ['-c', script], { view, timeoutMs: 60_000 });
  return { status, text: `${stdout}${stderr}` };
}

test('a program in the sandbox works: input, output, status, its folder, its environment', async () => {
  using folder = temporaryFolder('kpatch-test-');
  shareFolder(folder.path);
  const view = { writable: [folder.path] };
  const script = 'cat > made; pwd; echo "$WORD $HOME"; exit 3';
  const result = await sandboxed('sh', ['-c', script], {
    view,
    cwd: folder.path,
    env: { WORD: 'word' },
    input: 'text',
  });
  assert.equal(result.status, 3);
  assert.equal(result.stdout.toString(), `${folder.path}\nword /tmp\n`);
  assert.equal(readOutput(folder.path, 'made').toString(), 'text');
  await provokes('tool-missing', () => sandboxed('kpatch-not-there', [], { view: {} }));
  await provokes('tool-failed', () => sandboxedOk('false', [], { view: {} }));
  await provokes('timed-out', () => sandboxed('sleep', ['60'], { view: {}, timeoutMs: 300 }));
});

test('a toolchain outside of /usr is visible, by its own path', async () => {
  using folder = temporaryFolder('kpatch-test-');
  chmodSync(folder.path, 0o755);
  mkdirSync(join(folder.path, 'bin'));
  mkdirSync(join(folder.path, 'lib'));
  const compiler = join(folder.path, 'bin', 'gcc-kpatch');
  writeFileSync(compiler, '#!/bin/sh\nls ..; echo compiled\n', { mode: 0o755 });
  const { stdout } = await sandboxedOk('sh', ['-c', `cd ${folder.path}/bin; $CC`], { view: {}, env: { CC: compiler } });
  assert.equal(stdout.toString(), 'bin\nlib\ncompiled\n');
});

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a compiler that was taken over reads /etc/shadow, the home folder and other work of kpatch',
  },
  async () => {
    using secret = temporaryFolder('kpatch-secret-');
    writeFileSync(join(secret.path, 'key'), 'TOP-SECRET', { mode: 0o644 });
    const { text } = await inside(
      `cat /etc/shadow /etc/passwd ${join(secret.path, 'key')}; ls /root /home /var /sys /boot; ls /tmp`,
    );
    assert.doesNotMatch(text, /root:|TOP-SECRET/);
    assert.equal(text.match(/No such file/g)?.length, 8, text);
    return 'the sandbox has none of these paths';
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a compiler that was taken over writes to the toolchain and to the prepared kernel',
  },
  async () => {
    using tree = temporaryFolder('kpatch-tree-');
    chmodSync(tree.path, 0o777);
    const file = join(tree.path, 'Makefile');
    writeFileSync(file, 'all:\n');
    chmodSync(file, 0o666);
    const { text } = await inside(
      `echo evil >> ${file}; echo evil > ${tree.path}/new; touch /usr/bin/evil`,
      [],
      [tree.path],
    );
    assert.equal(readFileSync(file, 'utf8'), 'all:\n');
    assert.equal(text.match(/Read-only file system/g)?.length, 3, text);
    return 'they are mounted read-only';
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a build connects to a server on this machine and looks for the network',
  },
  async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as { port: number };
    const connected: unknown[] = [];
    server.on('connection', (socket) => connected.push(socket.destroy()));
    const { stdout } = await sandboxed(
      'bash',
      ['-c', `cat /proc/net/dev; exec 3<>/dev/tcp/127.0.0.1/${port} && echo in`],
      { view: {} },
    );
    server.close();
    assert.equal(connected.length, 0);
    assert.doesNotMatch(stdout.toString(), /eth|ens|wl|^in$/m);
    return 'the sandbox has no network but its own loopback';
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a build gains rights by setuid programs, by its user number or by a namespace of its own',
  },
  async () => {
    const { text } = await inside(
      'grep -E "^(Uid|Cap(Eff|Prm|Bnd|Amb)|NoNewPrivs)" /proc/self/status; id -u; mount -t tmpfs none /mnt; chroot /',
    );
    assert.match(text, /NoNewPrivs:\t1/);
    for (const set of ['Eff', 'Prm', 'Amb']) assert.match(text, new RegExp(`Cap${set}:\t0+\n`), text);
    if (isRoot) assert.match(text, new RegExp(`Uid:\t${sandboxUser()}\t${sandboxUser()}`));
    assert.doesNotMatch(text, /^0$/m);
    return `it runs as user ${sandboxUser() ?? process.getuid?.()} without capabilities, and exec gives it none`;
  },
);

attack(
  { area: 'sandbox', attacker: 'patch author', how: 'a process of the build stays behind and changes files after it' },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    shareFolder(folder.path);
    const late = join(folder.path, 'late');
    const go = join(folder.path, 'go');
    const waits = `n=0; until [ -e ${go} ] || [ $n = 600 ]; do sleep 0.1; n=$((n+1)); done; [ -e ${go} ] && echo evil > ${late}`;
    await inside(`(setsid sh -c '${waits}' >/dev/null 2>&1 &) ; true`, [folder.path]);
    writeFileSync(go, '');
    await new Promise((resolve) => setTimeout(resolve, 500));
    assert.equal(existsSync(late), false);
    return 'all processes of a sandbox end with its first one';
  },
);

attack(
  { area: 'sandbox', attacker: 'patch author', how: 'a build sends signals to other processes and reads their memory' },
  async () => {
    const { text } = await inside(
      `kill -9 ${process.pid} 1; cat /proc/${process.pid}/environ; ls /proc | grep -c '^[0-9]'`,
    );
    assert.doesNotMatch(text, /PATH=/);
    assert.ok(Number(/^(\d+)$/m.exec(text)?.[1]) < 8, text);
    return 'it has a table of processes of its own';
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a build replaces a source file or a folder of ours in the folder where its objects go',
  },
  async (context) => {
    if (!isRoot) return context.skip('needs root') ?? 'not root';
    using folder = temporaryFolder('kpatch-test-');
    shareFolder(folder.path);
    const sources = join(folder.path, 'sources');
    mkdirSync(sources);
    shareFolder(sources);
    writeFileSync(join(sources, 'a.c'), 'int a;\n');
    const evil =
      'rm -f sources/a.c; mv sources gone; ln -sfn /etc sources; echo evil > sources/a.c; echo mine > sources/a.o';
    await inside(`cd ${folder.path}; ${evil}`, [folder.path]);
    assert.equal(readFileSync(join(sources, 'a.c'), 'utf8'), 'int a;\n');
    assert.equal(lstatSync(sources).isDirectory(), true);
    assert.equal(readOutput(folder.path, 'sources/a.o').toString(), 'mine\n');
    return 'the folders have the sticky bit, and what is in them belongs to root';
  },
);

attack(
  {
    area: 'sandbox',
    attacker: 'patch author',
    how: 'a build leaves a link, a pipe or a folder that is a link where kpatch will read the object',
  },
  async () => {
    using folder = temporaryFolder('kpatch-test-');
    using secret = temporaryFolder('kpatch-secret-');
    shareFolder(folder.path);
    writeFileSync(join(secret.path, 'x.o'), 'TOP-SECRET');
    const target = join(secret.path, 'x.o');
    await inside(`cd ${folder.path}; ln -s ${target} x.o; ln -s ${secret.path} drivers; mkfifo pipe; mkdir dir`, [
      folder.path,
    ]);
    await provokes('sandbox-output', () => readOutput(folder.path, 'drivers/x.o'));
    await provokes('sandbox-output', () => readOutput(folder.path, 'pipe'));
    await provokes('sandbox-output', () => readOutput(folder.path, 'dir'));
    await provokes('sandbox-output', () => requireNoEscape(folder.path));
    return await provokes('sandbox-output', () => readOutput(folder.path, 'x.o'));
  },
);

attack({ area: 'sandbox', attacker: 'patch author', how: 'a build prints without end' }, async () => {
  return await provokes('output-too-large', () => sandboxed('yes', [], { view: {}, maxOutput: 1 << 20 }));
});

attack({ area: 'sandbox', attacker: 'patch author', how: 'a build writes a file without end' }, async () => {
  using folder = temporaryFolder('kpatch-test-');
  shareFolder(folder.path);
  const { text, status } = await inside(`truncate -s 1T ${folder.path}/big`, [folder.path]);
  assert.notEqual(status, 0);
  assert.doesNotMatch(text, /^$/);
  return 'files are limited to 8 GiB (setrlimit)';
});

attack({ area: 'sandbox', attacker: 'patch author', how: 'a compiler computes without end' }, async () => {
  const { status } = await sandboxed('sh', ['-c', 'while :; do :; done'], { view: {}, limits: { cpuSeconds: 1 } });
  assert.notEqual(status, 0);
  return 'the kernel ends it after its processor time (setrlimit; ten minutes for a compiler)';
});

attack({ area: 'sandbox', attacker: 'patch author', how: 'a compiler takes memory without end' }, async () => {
  const { status } = await sandboxed('sh', ['-c', 'x=x; while :; do x=$x$x; done'], {
    view: {},
    limits: { addressBytes: 1 << 28 },
  });
  assert.notEqual(status, 0);
  return 'the kernel gives it no more memory (setrlimit; 8 GiB for a compiler)';
});

attack(
  { area: 'sandbox', attacker: 'patch author', how: 'variables of the person who builds reach the build' },
  async () => {
    process.env.AWS_SECRET_ACCESS_KEY = 'TOP-SECRET';
    try {
      const { text } = await inside('env');
      assert.doesNotMatch(text, /TOP-SECRET/);
      assert.deepEqual(
        text
          .match(/^[A-Z_]+(?==)/gm)
          ?.filter((name) => !['PWD', 'SHLVL', '_', 'OLDPWD'].includes(name))
          .sort(),
        ['HOME', 'PATH', 'TMPDIR'],
      );
    } finally {
      delete process.env.AWS_SECRET_ACCESS_KEY;
    }
    return 'the environment is created again';
  },
);

test('without bubblewrap nothing runs, unless the user does without a sandbox', async () => {
  using folder = temporaryFolder('kpatch-test-');
  const path = process.env.PATH;
  for (const tool of ['prlimit', 'true']) symlinkSync(`/usr/bin/${tool}`, join(folder.path, tool));
  process.env.PATH = folder.path;
  try {
    const error = await provokes('sandbox-unavailable', () => sandboxed('true', [], { view: {} }));
    assert.match(error.message, /bwrap\) is not installed/);
    assert.equal(error.exit, 4);
    useSandbox(false);
    assert.equal((await sandboxed('true', [], { view: {} })).status, 0);
  } finally {
    process.env.PATH = path;
    useSandbox(true);
  }
});

test('a person with lower limits than those of the sandbox keeps them', async () => {
  const script = `import { sandboxed } from '${root}/packages/kpatch/sandbox/sandbox.ts';
    console.log(String((await sandboxed('bash', ['-c', 'ulimit -Hu; ulimit -Hn'], { view: {} })).stdout));`;
  const node = [process.execPath, '--input-type=module', '-e', script];
  const { stdout } = await run('prlimit', ['--nproc=4001', '--nofile=2000', ...node]);
  assert.equal(stdout.toString(), '4001\n2000\n\n');
});

test('in a chroot the error says that it is one', async (context) => {
  if (!isRoot) return context.skip('needs root');
  using folder = temporaryFolder('kpatch-test-');
  const script = `set -e; cd "$1"; mkdir usr proc etc tmp dev work; for x in bin sbin lib lib64; do ln -s usr/$x $x; done
    mount --bind /usr usr; mount -t proc proc proc; mount --bind "$2" work; exec chroot . /work/node_modules/node/bin/node --input-type=module -e '
    import { sandboxed } from "/work/packages/kpatch/sandbox/sandbox.ts";
    await sandboxed("true", [], { view: {} }).catch((error) => console.log(error.code, error.message));'`;
  const { stdout, stderr } = await run('unshare', ['-m', 'sh', '-c', script, 'sh', folder.path, root], {
    env: { NODE_OPTIONS: undefined },
  });
  assert.match(stdout.toString(), /sandbox-unavailable .*does not work in a chroot/, stderr);
});
