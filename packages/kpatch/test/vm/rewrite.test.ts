/** Rewritten patches on the newest stock kernel: the refused change takes effect, and unloading takes it back. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { silentReporter } from '#kpatch/base/report.ts';
import { runOk } from '#kpatch/base/run.ts';
import { prepareKernel } from '#kpatch/prepare/kernel.ts';
import { sourcePatch } from '../source/source-patch.ts';
import { resumed } from './resumed.ts';

const root = join(import.meta.dirname, '../../../..');
let folder = '';
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'kpatch-rewrite-vm-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

function kpatch(...args: string[]): { status: number | null; document: Record<string, unknown> } {
  const options = { encoding: 'utf8', cwd: folder } as const;
  const { status, stdout } = spawnSync(join(root, 'bin', 'kpatch'), [...args, '--json'], options);
  return { status, document: JSON.parse(stdout) as Record<string, unknown> };
}

const soak = process.env.KPATCH_SOAK === '1';
/** Eventfds from before the load, as many from after it, and as many that reuse their memory. Each look at one is work for the emulator. */
const EVENTFDS = soak ? 5000 : 1500;
const TIMERS = soak ? 1000 : 150;

const program = `#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>
#define N ${EVENTFDS}
static int fds[2 * N];
static void make(int from, int to) { for (int i = from; i < to; i++) fds[i] = eventfd(0, 0); }
static void shut(void) { for (int i = 0; i < 2 * N; i++) if (fds[i] > 0) { close(fds[i]); fds[i] = 0; } }
static void bump(void) { for (int i = 0; i < 2 * N; i++) eventfd_write(fds[i], 1); }
static void look(const char *what, int count)
{
	int seen[8] = { 0 };
	for (int i = 0; i < count; i++) {
		char name[64], line[128]; int n = 7; FILE *f;
		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fds[i]);
		f = fopen(name, "r");
		while (f && fgets(line, sizeof(line), f)) if (sscanf(line, "eventfd-writes: %d", &n) == 1 && n > 6) n = 6;
		if (f) fclose(f);
		seen[n]++;
	}
	printf("%s: none %d, 0: %d, 1: %d, 2: %d\\n", what, seen[7], seen[0], seen[1], seen[2]);
	fflush(stdout);
}
static void await(const char *file) { while (access(file, F_OK)) usleep(50000); }
int main(void)
{
	struct rlimit most = { 2 * N + 100, 2 * N + 100 };
	setrlimit(RLIMIT_NOFILE, &most);
	make(0, N);
	look("before", N); puts("made"); fflush(stdout);
	await("/go1"); make(N, 2 * N); look("loaded", 2 * N); bump(); look("written", 2 * N);
	await("/go2"); look("replaced", 2 * N); bump(); look("again", 2 * N);
	shut(); make(0, N); look("reused", N); shut();
	puts("done"); fflush(stdout);
	return 0;
}
`;

const counted = (text: string): string =>
  text
    .replace('\tint id;\n};', '\tint id;\n\tunsigned int writes;\n};')
    .replace(
      '\tif (ucnt == ULLONG_MAX)\n\t\treturn -EINVAL;',
      '\tif (ucnt == ULLONG_MAX)\n\t\treturn -EINVAL;\n\tctx->writes++;',
    )
    .replace(
      'seq_printf(m, "eventfd-id: %d\\n", ctx->id);',
      'seq_printf(m, "eventfd-id: %d\\n", ctx->id);\n\tseq_printf(m, "eventfd-writes: %u\\n", ctx->writes);',
    );

test(`a new member is carried through ${2 * EVENTFDS} objects, a replacement, their end and the unload`, async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  const target = ['-k', kernel.release];
  const { tree } = kernel.paths;
  writeFileSync(join(folder, 'first.patch'), sourcePatch(tree, { 'fs/eventfd.c': counted }));
  writeFileSync(
    join(folder, 'second.patch'),
    sourcePatch(tree, {
      'fs/eventfd.c': (text) => counted(text).replace('"eventfd-id: %d\\n"', '"eventfd-id:  %d\\n"'),
    }),
  );
  assert.equal(
    (kpatch('build', 'first.patch', ...target).document.error as { code: string }).code,
    'diff-layout-changed',
  );
  const first = kpatch('build', '--rewrite', 'first.patch', ...target);
  assert.equal(first.status, 0, JSON.stringify(first.document));
  assert.match((first.document.warnings as string[]).join('\n'), /shadow-member: eventfd_ctx\.writes/);
  const second = kpatch('build', '--rewrite', 'second.patch', '--after', 'livepatch_first.ko', ...target);
  assert.equal(second.status, 0, JSON.stringify(second.document));
  writeFileSync(join(folder, 'fds.c'), program);
  await runOk('gcc', ['-O2', '-static', '-D_GNU_SOURCE', 'fds.c', '-o', 'fds'], { cwd: folder });
  const file = (name: string): Buffer => readFileSync(join(folder, name));
  const guest = await resumed(kernel, {
    files: {
      '/first.ko': file('livepatch_first.ko'),
      '/second.ko': file('livepatch_second.ko'),
      '/fds': { content: file('fds'), mode: 0o755 },
    },
    memoryMiB: soak ? 1024 : 512,
  });
  try {
    const { output } = await guest.run(
      `settled() { n=0; while grep -q 1 /sys/kernel/livepatch/*/transition 2>/dev/null && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done; }
waits() { n=0; until grep -q "$1" /out || [ $n -gt 3000 ]; do sleep 0.1; n=$((n+1)); done; }
active() { awk '/^kmalloc-64 /{print $2}' /proc/slabinfo; }
/fds > /out & waits made
start=$(active)
insmod /first.ko || echo insmod failed; settled; touch /go1; waits written
echo "with: $(( $(active) - start > ${1.6 * EVENTFDS} ))"
insmod /second.ko || echo insmod failed; settled; touch /go2; waits done; wait
n=0; while [ $(( $(active) - start )) -gt ${0.8 * EVENTFDS} ] && [ $n -lt 300 ]; do sleep 0.2; n=$((n+1)); done
echo "left: $(( $(active) - start > ${0.8 * EVENTFDS} ))"
echo 0 > /sys/kernel/livepatch/livepatch_second/enabled
n=0; while [ -d /sys/kernel/livepatch/livepatch_second ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
rmmod livepatch_second livepatch_first || echo rmmod failed
cat /out
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched|no memory' || echo log clean`,
      { step: 'carry a member', deadlineMs: 600_000 },
    );
    const [some, all] = [EVENTFDS, 2 * EVENTFDS];
    assert.match(output, new RegExp(`before: none ${some},`), output);
    assert.match(output, new RegExp(`loaded: none 0, 0: ${all},`));
    assert.match(output, new RegExp(`written: none 0, 0: 0, 1: ${all},`));
    assert.match(output, new RegExp(`replaced: none 0, 0: 0, 1: ${all},`), 'the values survive a replacement');
    assert.match(output, new RegExp(`again: none 0, 0: 0, 1: 0, 2: ${all}\n`));
    assert.match(output, new RegExp(`reused: none 0, 0: ${some},`), 'an address that is used again has no stale value');
    assert.match(output, /with: 1/, 'the counter of the allocator sees the variables');
    assert.match(output, /left: 0/, 'and that they are freed with their objects');
    assert.doesNotMatch(output, /failed/);
    assert.match(output, /log clean/);
  } finally {
    await guest.stop();
  }
});

test('a changed initial value and a changed table take effect, and unloading takes them back', async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  writeFileSync(
    join(folder, 'status.patch'),
    sourcePatch(kernel.paths.tree, {
      'fs/binfmt_misc.c': (text) =>
        text
          .replace('static int enabled = 1;', 'static int enabled = 0;')
          .replace(
            'static const struct file_operations bm_status_operations',
            `static ssize_t bm_status_read2(struct file *file, char __user *buf, size_t nbytes, loff_t *ppos)
{
	char *s = enabled ? "ENABLED\\n" : "DISABLED\\n";

	if (nbytes == 7)
		return bm_status_read(file, buf, nbytes, ppos);
	return simple_read_from_buffer(buf, nbytes, ppos, s, strlen(s));
}

static const struct file_operations bm_status_operations`,
          )
          .replace('.read\t\t= bm_status_read,', '.read\t\t= bm_status_read2,'),
    }),
  );
  const rewritten = kpatch('rewrite', 'status.patch', '-o', 'new.patch', '-k', kernel.release);
  assert.equal(rewritten.status, 0, JSON.stringify(rewritten.document));
  const built = kpatch('build', 'new.patch', '-n', 'status', '-k', kernel.release);
  assert.equal(built.status, 0, JSON.stringify(built.document));
  const guest = await resumed(kernel, {
    files: { '/status.ko': readFileSync(join(folder, `${built.document.name}.ko`)) },
    modules: { folder: kernel.paths.modules!, available: ['binfmt_misc'] },
  });
  try {
    const { output } = await guest.run(`modprobe binfmt_misc; mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
status=/proc/sys/fs/binfmt_misc/status; patch=/sys/kernel/livepatch/${built.document.name}
echo "before: $(cat $status)"
insmod /status.ko || echo insmod failed
n=0; while [ "$(cat $patch/transition)" != 0 ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
echo "with: $(cat $status)"
echo "by name: $(dd if=$status bs=7 count=1 2>/dev/null)"
echo 0 > $patch/enabled; n=0; while [ -d $patch ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
echo "after: $(cat $status)"
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`);
    assert.match(output, /before: enabled/, output);
    assert.match(output, /with: DISABLED/);
    assert.match(output, /by name: disable$/m, 'the old function, where the new one calls it');
    assert.match(output, /after: enabled/);
    assert.match(output, /log clean/);
  } finally {
    await guest.stop();
  }
});

/** Timers from before the load, from after it, and some that reuse their memory; each is set once or twice. */
const timers = `#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>
#define N ${TIMERS}
static int fds[2 * N];
static void make(int from, int to) { for (int i = from; i < to; i++) fds[i] = timerfd_create(CLOCK_MONOTONIC, 0); }
static void set(int count)
{
	struct itimerspec far = { .it_value = { .tv_sec = 1000000 } };
	for (int i = 0; i < count; i++) timerfd_settime(fds[i], 0, &far, NULL);
}
static void look(const char *what, int count)
{
	int seen[8] = { 0 };
	for (int i = 0; i < count; i++) {
		char name[64], line[128]; int n = 7; FILE *f;
		snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fds[i]);
		f = fopen(name, "r");
		while (f && fgets(line, sizeof(line), f)) if (sscanf(line, "sets: %d", &n) == 1 && n > 6) n = 6;
		if (f) fclose(f);
		seen[n]++;
	}
	printf("%s: none %d, 0: %d, 1: %d, 2: %d\\n", what, seen[7], seen[0], seen[1], seen[2]);
	fflush(stdout);
}
int main(void)
{
	struct rlimit most = { 2 * N + 100, 2 * N + 100 };
	setrlimit(RLIMIT_NOFILE, &most);
	make(0, N); set(N);
	look("before", N); puts("made"); fflush(stdout);
	while (access("/go", F_OK)) usleep(50000);
	make(N, 2 * N); look("loaded", 2 * N); set(2 * N); look("set", 2 * N); set(N); look("again", N);
	for (int i = 0; i < 2 * N; i++) close(fds[i]);
	make(0, N); look("reused", N);
	puts("done"); fflush(stdout);
	return 0;
}
`;

test('a new member in padding: objects from before the load have 0, and their memory is used again without old values', async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  writeFileSync(
    join(folder, 'sets.patch'),
    sourcePatch(kernel.paths.tree, {
      'fs/timerfd.c': (text) =>
        text
          .replace('\tint clockid;\n', '\tint clockid;\n\tunsigned short sets;\n')
          .replace('\tint clockid = ctx->clockid;\n', '\tint clockid = ctx->clockid;\n\n\tctx->sets++;\n')
          .replace('\t\t   "clockid: %d\\n"', '\t\t   "sets: %d\\n"\n\t\t   "clockid: %d\\n"')
          .replace('\t\t   ctx->clockid,\n', '\t\t   ctx->sets,\n\t\t   ctx->clockid,\n'),
    }),
  );
  const refused = kpatch('build', 'sets.patch', '-k', kernel.release);
  assert.equal((refused.document.error as { code: string }).code, 'diff-layout-changed');
  const built = kpatch('build', '--rewrite', 'sets.patch', '-k', kernel.release);
  assert.equal(built.status, 0, JSON.stringify(built.document));
  assert.match((built.document.warnings as string[]).join('\n'), /padding: timerfd_ctx\.sets/);
  writeFileSync(join(folder, 'timers.c'), timers);
  await runOk('gcc', ['-O2', '-static', '-D_GNU_SOURCE', 'timers.c', '-o', 'timers'], { cwd: folder });
  const guest = await resumed(kernel, {
    files: {
      '/sets.ko': readFileSync(join(folder, 'livepatch_sets.ko')),
      '/timers': { content: readFileSync(join(folder, 'timers')), mode: 0o755 },
    },
  });
  try {
    const { output } = await guest.run(
      `waits() { n=0; until grep -q "$1" /out || [ $n -gt 3000 ]; do sleep 0.1; n=$((n+1)); done; }
patch=/sys/kernel/livepatch/livepatch_sets
/timers > /out & waits made
insmod /sets.ko || echo insmod failed
n=0; while [ "$(cat $patch/transition)" != 0 ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
touch /go; waits done; wait
echo 0 > $patch/enabled; n=0; while [ -d $patch ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
rmmod livepatch_sets || echo rmmod failed
cat /out
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      { step: 'carry a member in padding', deadlineMs: 600_000 },
    );
    const [some, all] = [TIMERS, 2 * TIMERS];
    assert.match(output, new RegExp(`before: none ${some},`), output);
    assert.match(output, new RegExp(`loaded: none 0, 0: ${all},`));
    assert.match(output, new RegExp(`set: none 0, 0: 0, 1: ${all},`));
    assert.match(output, new RegExp(`again: none 0, 0: 0, 1: 0, 2: ${some}\n`));
    assert.match(output, new RegExp(`reused: none 0, 0: ${some},`));
    assert.doesNotMatch(output, /failed/);
    assert.match(output, /log clean/);
  } finally {
    await guest.stop();
  }
});

test('a driver that a patch gave another device id binds the device, which survives the unload', async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  writeFileSync(
    join(folder, 'ids.patch'),
    sourcePatch(kernel.paths.tree, {
      'drivers/pci/pci-pf-stub.c': (text) =>
        text.replace(
          '\t/* required last entry */',
          '\t{ PCI_VDEVICE(INTEL, 0x1237) },\n\t{ PCI_VDEVICE(INTEL, 0x29c0) },\n\t/* required last entry */',
        ),
    }),
  );
  const built = kpatch('build', '--rewrite', 'ids.patch', '-k', kernel.release);
  assert.equal(built.status, 0, JSON.stringify(built.document));
  assert.match((built.document.warnings as string[]).join('\n'), /id-table: pci_pf_stub_whitelist/);
  const guest = await resumed(kernel, {
    files: { '/ids.ko': readFileSync(join(folder, 'livepatch_ids.ko')) },
    modules: { folder: kernel.paths.modules!, available: ['pci-pf-stub'] },
  });
  try {
    const { output } = await guest.run(
      `for one in /sys/bus/pci/devices/*; do case "$(cat $one/vendor):$(cat $one/device)" in 0x8086:0x1237|0x8086:0x29c0) device=\${one##*/};; esac; done
driver=/sys/bus/pci/drivers/pci-pf-stub; patch=/sys/kernel/livepatch/livepatch_ids
bound() { [ -e $driver/$device ] && echo bound || echo free; }
loads() { insmod /ids.ko || echo insmod failed; n=0; while [ "$(cat $patch/transition)" != 0 ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done; }
goes() { echo 0 > $patch/enabled; n=0; while [ -d $patch ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done; rmmod livepatch_ids || echo rmmod failed; }
modprobe pci-pf-stub
echo $device > /sys/bus/pci/drivers_probe; echo "before: $(bound)"
loads; echo $device > /sys/bus/pci/drivers_probe; echo "with: $(bound)"
goes; echo "unloaded: $(bound)"
echo $device > $driver/unbind; echo $device > /sys/bus/pci/drivers_probe; echo "old table: $(bound)"
loads; echo $device > /sys/bus/pci/drivers_probe; echo "again: $(bound)"
rmmod pci-pf-stub || echo rmmod failed; modprobe pci-pf-stub; echo "module came later: $(bound)"
goes; rmmod pci-pf-stub || echo rmmod failed
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      { step: 'another device id', deadlineMs: 600_000 },
    );
    assert.match(output, /before: free/, output);
    assert.match(output, /with: bound/);
    assert.match(output, /unloaded: bound/);
    assert.match(output, /old table: free/);
    assert.match(output, /again: bound/);
    assert.match(output, /module came later: bound/);
    assert.doesNotMatch(output, /failed/);
    assert.match(output, /log clean/);
  } finally {
    await guest.stop();
  }
});

test('a new lock for all objects: eight processes count without losing one, and the lock goes with the patch', async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  writeFileSync(
    join(folder, 'lock.patch'),
    sourcePatch(kernel.paths.tree, {
      'fs/eventfd.c': (text) =>
        text
          .replace('struct eventfd_ctx {\n', 'static unsigned long shows;\n\nstruct eventfd_ctx {\n')
          .replace('\tint id;\n};', '\tint id;\n\tstruct mutex show_lock;\n};')
          .replace('\tkref_init(&ctx->kref);\n', '\tkref_init(&ctx->kref);\n\tmutex_init(&ctx->show_lock);\n')
          .replace(
            '\tseq_printf(m, "eventfd-id: %d\\n", ctx->id);',
            '\tmutex_lock(&ctx->show_lock);\n\t{\n\t\tunsigned long seen = READ_ONCE(shows);\n\n\t\tcond_resched();\n\t\tWRITE_ONCE(shows, seen + 1);\n\t\tseq_printf(m, "eventfd-shows: %lu\\n", seen + 1);\n\t}\n\tmutex_unlock(&ctx->show_lock);',
          ),
    }),
  );
  const built = kpatch('build', '--rewrite', 'lock.patch', '-k', kernel.release);
  assert.equal(built.status, 0, JSON.stringify(built.document));
  assert.match((built.document.warnings as string[]).join('\n'), /shared-lock: eventfd_ctx\.show_lock/);
  writeFileSync(
    join(folder, 'shows.c'),
    `#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>
static unsigned long show(void)
{
	int fd = eventfd(0, 0); char name[64], line[128]; unsigned long n = 0; FILE *f;
	snprintf(name, sizeof(name), "/proc/self/fdinfo/%d", fd);
	f = fopen(name, "r");
	while (f && fgets(line, sizeof(line), f)) sscanf(line, "eventfd-shows: %lu", &n);
	if (f) fclose(f);
	close(fd);
	return n;
}
int main(void)
{
	for (int i = 0; i < 8; i++) if (!fork()) { for (int k = 0; k < 200; k++) show(); _exit(0); }
	while (wait(NULL) > 0);
	printf("shows: %lu\\n", show());
	return 0;
}
`,
  );
  await runOk('gcc', ['-O2', '-static', '-D_GNU_SOURCE', 'shows.c', '-o', 'shows'], { cwd: folder });
  const guest = await resumed(kernel, {
    files: {
      '/lock.ko': readFileSync(join(folder, 'livepatch_lock.ko')),
      '/shows': { content: readFileSync(join(folder, 'shows')), mode: 0o755 },
    },
  });
  try {
    const { output } = await guest.run(
      `patch=/sys/kernel/livepatch/livepatch_lock
insmod /lock.ko || echo insmod failed
n=0; while [ "$(cat $patch/transition)" != 0 ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
/shows
echo 0 > $patch/enabled; n=0; while [ -d $patch ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
rmmod livepatch_lock || echo rmmod failed
/shows
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      { step: 'a lock for all objects', deadlineMs: 600_000 },
    );
    assert.match(output, /shows: 1601\nshows: 0\n/, output);
    assert.doesNotMatch(output, /failed/);
    assert.match(output, /log clean/);
  } finally {
    await guest.stop();
  }
});

test('a structure of stacks changes its layout: new and old code each read their own objects', async () => {
  const kernel = await prepareKernel(undefined, { report: silentReporter() });
  const changed = (marker: string): string =>
    sourcePatch(kernel.paths.tree, {
      'fs/proc/fd.c': (text) =>
        text
          .replace('struct fd_data {\n', `struct fd_data {\n\tunsigned long size;\n${marker}`)
          .replace('struct fd_data data = {', 'struct fd_data data = {.size = 77, ')
          .replace('\t\tstruct fd_data data;\n', '\t\tstruct fd_data data = { .size = 77 };\n')
          .replace('inode->i_size = 64;', 'inode->i_size = data->size;'),
    });
  writeFileSync(join(folder, 'stack.patch'), changed(''));
  const refused = kpatch('build', 'stack.patch', '-k', kernel.release);
  assert.equal((refused.document.error as { code: string }).code, 'diff-layout-changed');
  // The objects go through a function pointer that takes any pointer: only a person can know that they stay on the stack.
  const unknown = kpatch('build', '--rewrite', 'stack.patch', '-k', kernel.release);
  assert.match(JSON.stringify(unknown.document.error), /instantiate may give an object of struct fd_data/);
  writeFileSync(join(folder, 'stack.patch'), changed('\tchar kpatch_on_stacks[0];\n'));
  const built = kpatch('build', 'stack.patch', '-k', kernel.release);
  assert.equal(built.status, 0, JSON.stringify(built.document));
  const guest = await resumed(kernel, {
    files: { '/stack.ko': readFileSync(join(folder, 'livepatch_stack.ko')) },
  });
  try {
    const { output } = await guest.run(
      `patch=/sys/kernel/livepatch/livepatch_stack
sizes() { n=0; while [ $n -lt 20 ]; do sh -c 'stat -c %s /proc/self/fd/0; ls /proc/self/fd >/dev/null'; n=$((n+1)); done | sort | uniq -c | tr -s ' '; }
(while [ ! -e /stop ]; do ls -l /proc/self/fd >/dev/null; done) &
echo "before:$(sizes)"
insmod /stack.ko || echo insmod failed
n=0; while [ "$(cat $patch/transition)" != 0 ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
echo "with:$(sizes)"
echo 0 > $patch/enabled; n=0; while [ -d $patch ] && [ $n -lt 600 ]; do sleep 0.2; n=$((n+1)); done
echo "after:$(sizes)"; touch /stop; wait
rmmod livepatch_stack || echo rmmod failed
dmesg | grep -E 'WARNING|BUG|Oops|Unpatched' || echo log clean`,
      { step: 'a structure of stacks', deadlineMs: 600_000 },
    );
    assert.match(output, /before: 20 64\n/, output);
    assert.match(output, /with: 20 77\n/, output);
    assert.match(output, /after: 20 64\n/, output);
    assert.doesNotMatch(output, /failed/);
    assert.match(output, /log clean/);
  } finally {
    await guest.stop();
  }
});
