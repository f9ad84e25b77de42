/**
 * A BPF program attached to the function that a patch replaces. Its loader is a small C program of its own: it finds the
 * function in the kernel's type information (Documentation/bpf/btf.rst), loads a program that returns 0 and attaches it to the
 * function's entry through a trampoline, as libbpf does for `fentry`.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '#kpatch/base/files.ts';
import { runOk } from '#kpatch/base/run.ts';
import { BAD_LOG, bootSmall, inside, LP } from './host-guest.ts';

const loader = `#include <linux/bpf.h>
#include <linux/btf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Bytes after a type, by its kind; those of each of its members where it has some. */
static const struct { unsigned fixed, member; } sizes[] = {
  [BTF_KIND_INT] = { 4, 0 }, [BTF_KIND_ARRAY] = { 12, 0 }, [BTF_KIND_STRUCT] = { 0, 12 }, [BTF_KIND_UNION] = { 0, 12 },
  [BTF_KIND_ENUM] = { 0, 8 }, [BTF_KIND_FUNC_PROTO] = { 0, 8 }, [BTF_KIND_VAR] = { 4, 0 }, [BTF_KIND_DATASEC] = { 0, 12 },
  [BTF_KIND_DECL_TAG] = { 4, 0 }, [BTF_KIND_ENUM64] = { 0, 12 },
};

static unsigned find(const char *name) {
  static char all[64 << 20];
  FILE *file = fopen("/sys/kernel/btf/vmlinux", "r");
  if (!file || !fread(all, 1, sizeof all, file)) exit(2);
  struct btf_header *header = (void *)all;
  char *types = all + header->hdr_len + header->type_off, *strings = all + header->hdr_len + header->str_off;
  unsigned id = 1;
  for (char *at = types; at < types + header->type_len; id++) {
    struct btf_type *type = (void *)at;
    unsigned kind = BTF_INFO_KIND(type->info), members = BTF_INFO_VLEN(type->info);
    if (kind == BTF_KIND_FUNC && !strcmp(strings + type->name_off, name)) return id;
    at += sizeof *type;
    if (kind < sizeof sizes / sizeof *sizes) at += sizes[kind].fixed + sizes[kind].member * members;
  }
  exit(3);
}

int main(int argc, char **argv) {
  struct bpf_insn program[] = { { BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0 }, { BPF_JMP | BPF_EXIT, 0, 0, 0, 0 } };
  union bpf_attr load = { .prog_type = BPF_PROG_TYPE_TRACING, .expected_attach_type = BPF_TRACE_FENTRY,
    .insns = (long)program, .insn_cnt = 2, .license = (long)"GPL", .attach_btf_id = find(argv[1]) };
  int fd = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
  union bpf_attr attach = { .raw_tracepoint.prog_fd = fd };
  if (fd < 0 || syscall(SYS_bpf, BPF_RAW_TRACEPOINT_OPEN, &attach, sizeof attach) < 0) { perror("bpf"); return 1; }
  printf("/proc/%d/fdinfo/%d\\n", getpid(), fd);
  fflush(stdout);
  pause();
}
`;

/** The loader, linked statically. */
async function build(): Promise<Buffer> {
  using folder = temporaryFolder('kpatch-bpf-');
  const source = join(folder.path, 'fentry.c');
  writeFileSync(source, loader);
  await runOk('gcc-12', ['-static', '-o', join(folder.path, 'fentry'), source]);
  return readFileSync(join(folder.path, 'fentry'));
}

const script = `sysctl -q kernel.bpf_stats_enabled=1
cp ${LP}/fentry /usr/local/bin; chmod +x /usr/local/bin/fentry
fentry loadavg_proc_show >/tmp/fdinfo &
n=0; until [ -s /tmp/fdinfo ] || [ $n -gt 600 ]; do sleep 0.1; n=$((n+1)); done
kpatch load --dry-run ${LP}/lp_one.ko | grep users
kpatch load ${LP}/lp_one.ko 2>&1 | grep -v stage
cat /proc/loadavg
grep run_cnt $(cat /tmp/fdinfo)
kpatch unload lp_one && kill %1`;

const kernels = process.env.KPATCH_SOAK === '1' ? (['6.1', '6.12'] as const) : (['6.12'] as const);
for (const series of kernels) {
  test(`${series}: a BPF program on the patched function is named, and goes on running`, async () => {
    const guest = await bootSmall({ series, files: { [`${LP}/fentry`]: await build() } });
    try {
      const { status, output } = await guest.run(inside(script), { deadlineMs: 180_000 });
      const named = /warning +users: a BPF program is attached to loadavg_proc_show: it still runs before the new code/;
      assert.match(output, new RegExp(`${named.source}\\n(.|\\n)*\\nlp_one\\nrun_cnt:\\s+1\\n`));
      assert.equal(status, 0, output);
      assert.equal((await guest.run(BAD_LOG)).output, '');
    } finally {
      await guest.stop();
    }
  });
}
