/** Parsers of text: patches, kbuild's files, packages and repositories, what the kernel prints. */
import { parseChangelog } from '#kpatch/advisory/formats/changelog.ts';
import { cvss3Score } from '#kpatch/advisory/formats/cvss3.ts';
import { cvss4Score } from '#kpatch/advisory/formats/cvss4.ts';
import { compareDeb, compareRpm, compareUpstream } from '#kpatch/advisory/version.ts';
import { readSettings } from '#kpatch/channel/follow/settings.ts';
import { Ending, parseOptions } from '#kpatch/compat/kpatch-build-options.ts';
import { parseKallsyms, parseReadelf } from '#kpatch/differ/parts/symbols/symbol-table.ts';
import { filesOf } from '#kpatch/distro/fedora/rpm.ts';
import { parseDependencies, parseStanzas } from '#kpatch/formats/deb822.ts';
import { modulesInTraces } from '#kpatch/host/boot/crash-evidence.ts';
import { parseStack } from '#kpatch/host/live/tasks.ts';
import { readDependencies } from '#kpatch/kbuild/compile.ts';
import { parseWalk } from '#kpatch/kbuild/object-map.ts';
import { parseConfig } from '#kpatch/kernel/config.ts';
import { parseRelease } from '#kpatch/kernel/release.ts';
import { parseSymvers } from '#kpatch/kernel/symvers.ts';
import { readTestScript } from '#kpatch/prove/input/test-script.ts';
import { parseLog } from '#kpatch/prove/run/guest/kernel-log.ts';
import { parseEnabledFunctions } from '#kpatch/prove/run/guest/livepatch.ts';
import { readReport } from '#kpatch/source/diff/gnu-report.ts';
import { parseSourcePatch } from '#kpatch/source/patch.ts';
import { readMacro } from '#kpatch/source/reach/c-text.ts';
import { readSeries } from '#kpatch/source/series.ts';
import { readable } from '#kpatch/vm/agent/console.ts';
import { damaged } from './binary-targets.ts';
import type { Target } from './driver.ts';
import { asFile } from './files.ts';

const patch = `From 1234 Mon Sep 17 00:00:00 2001
Subject: [PATCH] fix
---
diff --git a/fs/a.c b/fs/a.c
index 1..2 100644
--- a/fs/a.c
+++ b/fs/a.c
@@ -1,3 +1,3 @@ int f(void)
 one
-two
+TWO
 three
-- 
2.39
`;
const contextPatch = `*** a/fs/a.c\n--- b/fs/a.c\n***************\n*** 1,3 ****\n  one\n! two\n  three\n--- 1,3 ----\n  one\n! TWO\n  three\n`;
const text = (read: (text: string) => unknown) => (bytes: Buffer) => read(bytes.toString('utf8'));
const lines = (line: string) => (bytes: number) => line.repeat(Math.ceil(bytes / line.length));

export const textTargets: readonly Target[] = [
  {
    name: 'source patch',
    seeds: () => [
      patch,
      contextPatch,
      patch.replace('fs/a.c b/fs/a.c', 'fs/a.c b/fs/b.c\nrename from fs/a.c\nrename to fs/b.c'),
    ],
    words: [
      '--- ',
      '+++ ',
      '@@ -1 +1 @@\n',
      'diff --git ',
      '/dev/null',
      '\\ No newline at end of file\n',
      '***************\n',
      'new file mode 100644\n',
      '\r\n',
      'GIT binary patch\n',
      'Index: ',
    ],
    read: (bytes) => parseSourcePatch('a.patch', bytes),
    long: (bytes) => `--- a/f.c\n+++ b/f.c\n@@ -1,${bytes >> 2} +1,${bytes >> 2} @@\n${' ab\n'.repeat(bytes >> 2)}`,
  },
  {
    name: 'series',
    seeds: () => ['# comment\na.patch -p1\n'],
    words: ['-p', '#', '../'],
    read: asFile('series', (_, file) => readSeries([file])),
  },
  {
    name: "GNU patch's report",
    seeds: () => ['patching file a\nHunk #1 succeeded at 3 with fuzz 1 (offset 2 lines).\n'],
    read: text(readReport),
    long: lines('Hunk #1 FAILED at 3.\n'),
  },
  {
    name: 'macro',
    seeds: () => ['#define a(b, c...) \\\n  b ## c', '#define x 1'],
    words: ['##', '__VA_ARGS__', '\\\n', '(', '"'],
    read: text(readMacro),
    long: (bytes) => `#define a(b) ${'b + '.repeat(bytes >> 2)}`,
  },
  {
    name: '.config',
    seeds: () => ['CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C="x"\n'],
    read: text(parseConfig),
    long: lines('CONFIG_ABC=y\n'),
  },
  {
    name: 'Module.symvers',
    seeds: () => ['0x12345678\tname\tvmlinux\tEXPORT_SYMBOL\tNS\n'],
    words: ['\t', '0x'],
    read: text((one) => parseSymvers(one)),
    long: (bytes) =>
      Array.from({ length: bytes >> 5 }, (_, i) => `0x12345678\tn${i}\tvmlinux\tEXPORT_SYMBOL\t\n`).join(''),
  },
  {
    name: '.cmd file',
    seeds: () => [
      'savedcmd_a.o := gcc -c\n\nsource_a.o := a.c\n\ndeps_a.o := \\\n  b.h \\\n    $(wildcard include/config/X) \\\n  /c.h \\\n\n',
    ],
    words: ['deps_a.o := \\\n', '\\\n'],
    read: text(readDependencies),
    long: (bytes) => `deps_a.o := \\\n${'  include/a.h \\\n'.repeat(bytes >> 4)}\n`,
  },
  { name: "kbuild's walk", seeds: () => ['D fs/\nO a.o\n'], read: text(parseWalk) },
  {
    name: 'release',
    seeds: () => ['6.1.0-57-amd64', '5.14.0-570.el9.x86_64'],
    read: text(parseRelease),
    long: (bytes) => `6.1.0-${'1'.repeat(bytes)}`,
  },
  {
    name: 'deb822',
    seeds: () => ['Package: a\nVersion: 1\nDescription: b\n more\n .\n\nPackage: c\n'],
    words: ['\n ', ': ', '\n\n'],
    read: text(parseStanzas),
    long: lines('Package: a\nVersion: 1\n\n'),
  },
  {
    name: 'one field of many lines',
    seeds: () => ['Description: b\n more\n'],
    read: text(parseStanzas),
    long: (bytes) => `Description: a\n${' more\n'.repeat(bytes / 6)}`,
  },
  {
    name: 'dependencies',
    seeds: () => ['linux-headers-6.1 (= 1) | b, c (>= 2:1~x) [amd64] <!x>'],
    words: [' | ', ', ', '(>= ', ')'],
    read: text(parseDependencies),
    long: lines('linux (= 1), '),
  },
  {
    name: 'rpm spec',
    seeds: () => ['Source0: https://x/linux-6.tar.xz\nPatch1: a.patch\n'],
    read: text(filesOf),
    long: lines('Patch1: abcdef.patch\n'),
  },
  {
    name: 'changelog of Debian',
    seeds: () => [
      'linux (6.1-1) bookworm; urgency=medium\n\n  * fix\n    (CVE-2026-1234, CVE-2026-1235)\n\n -- A <a@b>  Mon, 01 Jan 2026 00:00:00 +0000\n',
    ],
    words: ['CVE-2026-', '  * ', ' -- '],
    read: text((one) => parseChangelog(one, 'c')),
    long: (bytes) =>
      `linux (6.1-1) bookworm; urgency=medium\n\n${'    - fix a thing (CVE-2026-1234)\n'.repeat(bytes / 34)}`,
  },
  {
    name: 'changelog of one bullet',
    seeds: () => ['linux (6.1-1) b; u=m\n\n  * a\n'],
    read: text((one) => parseChangelog(one, 'c')),
    long: (bytes) => `linux (6.1-1) bookworm; urgency=medium\n\n  * CVE-2026-1234\n${'    more\n'.repeat(bytes / 9)}`,
  },
  {
    name: 'changelog of rpm',
    seeds: () => ['* Mon Jan 01 2026 A <a@b> [5.14.0-1.el9]\n- fix (CVE-2026-1234)\n'],
    read: text((one) => parseChangelog(one, 'c')),
    long: (bytes) =>
      `* Mon Jan 01 2026 A <a@b> [5.14.0-1.el9]\n${'- fix a thing (A) [1] {CVE-2026-1234}\n'.repeat(bytes / 38)}`,
  },
  {
    name: 'CVSS 3',
    seeds: () => ['CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H'],
    words: ['/AV:', '/S:C'],
    read: text(cvss3Score),
    long: lines('CVSS:3.1/AV:L/'),
  },
  {
    name: 'CVSS 4',
    seeds: () => ['CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N'],
    words: ['/E:A', '/SI:S'],
    read: text(cvss4Score),
    long: lines('CVSS:4.0/AV:N/'),
  },
  {
    name: 'versions',
    seeds: () => ['1:6.1~rc1+b-2', '5.14.0-570.el9_6.1', '6.1.192'],
    words: ['~', '^', ':', '-', '+'],
    read: text((one) => [compareDeb(one, '1:6.1-2'), compareRpm(one, '5-1'), compareUpstream(one, '6.1')]),
    long: (bytes) => '1a'.repeat(bytes >> 1),
  },
  {
    name: 'channel.conf',
    seeds: () => ['mode=auto\nurl=https://a\nrequire_proof=yes\n'],
    words: ['mode=', 'url='],
    read: asFile('etc/kpatch/channel.conf', (root) => readSettings(root)),
  },
  {
    name: 'options of kpatch-build',
    seeds: () => ['-t\0vmlinux\0--sourcedir=/a\0fix.patch'],
    words: ['--', '-', '=', '\0'],
    read: text((one) => damaged(Ending, () => parseOptions(one.split('\0')))),
  },
  {
    name: "readelf's symbols",
    seeds: () => [
      '\n   Num:    Value          Size Type    Bind   Vis      Ndx Name\n     1: 0000000000000000     0 FILE    LOCAL  DEFAULT  ABS a.c\n     2: 0000000000000010     4 FUNC    GLOBAL DEFAULT    1 f\n',
    ],
    read: text(parseReadelf),
    long: lines('     2: 0000000000000010     4 FUNC    GLOBAL DEFAULT    1 f\n'),
  },
  {
    name: '/proc/kallsyms',
    seeds: () => ['ffffffff81000000 T _text\nffffffffc0000000 t f\t[mod]\n'],
    words: ['\t[', 'ffffffff'],
    read: text(parseKallsyms),
    long: lines('ffffffff81000000 T _text\n'),
  },
  {
    name: '/proc/PID/stack',
    seeds: () => ['[<0>] do_wait+0x1/0x2\n[<0>] f+0x1/0x2 [mod]\n'],
    read: text(parseStack),
    long: lines('[<0>] do_wait+0x1/0x2 [a]\n'),
  },
  {
    name: 'crash record',
    seeds: () => ['Call Trace:\n <TASK>\n ? f+0x1/0x2 [mod]\n RIP: 0010:g+0x1/0x2 [mod2]\n'],
    words: ['Call Trace:', 'RIP: ', '[', ']'],
    read: text(modulesInTraces),
    long: lines(' f+0x1/0x2 [mod]\n'),
  },
  {
    name: 'kernel log',
    seeds: () => ['6,1,2,-;hello\n SUBSYSTEM=pci\n4,2,3,-;WARNING: x\n', '<6>[    0.000000] Linux\n'],
    words: [';', ',-;', '\\x0a'],
    read: text(parseLog),
    long: lines('6,1,2,-;hello there\n'),
  },
  {
    name: 'enabled_functions',
    seeds: () => ['f (1) R I\ttramp: 0xffffffff (klp_ftrace_handler+0x0/0x1) ->g+0x0/0x1\n'],
    read: text(parseEnabledFunctions),
    long: lines('meminfo_proc_show (1)   I\n'),
  },
  {
    name: 'console',
    seeds: () => ['\u001b[2J\u001b[1;1Hhello\r\nworld\u0008\u0008\n'],
    words: ['\u001b[', '\u001b]', '\r', '\u0008'],
    read: (bytes) => readable(bytes),
    long: lines('\u001b[31mhello\u001b[0m\r\n'),
  },
  {
    name: 'test script',
    seeds: () => ['#!/bin/sh\n# expect: fail pass fail\n# needs: ip\n# modules: tun\nexit 0\n'],
    words: ['# expect: ', '# needs: ', '# modules: '],
    read: asFile('t.sh', (_, file) => readTestScript(file)),
  },
];
