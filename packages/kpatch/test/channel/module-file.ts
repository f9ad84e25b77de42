/** Patch module files for tests of the channel: the smallest ELF that carries what packaging and publishing read. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Manifest } from '#kpatch/module/manifest.ts';

export interface ModuleFields {
  readonly release?: string;
  readonly version?: number;
  readonly cves?: readonly string[];
  readonly name?: string;
  readonly vermagic?: string;
  readonly signed?: boolean;
  readonly manifest?: Partial<Manifest> | null;
}

/** The module's name as the field has it: `kpatch_6_1_0_56_amd64_1_1`. */
export function moduleName(release: string, version: number): string {
  return `kpatch_${release.replace(/[^A-Za-z0-9]/g, '_')}_${version}_1`;
}

/** The bytes of a relocatable x86-64 ELF file with `.modinfo` and `.kpatch.manifest`. */
export function moduleBytes(fields: ModuleFields = {}): Buffer {
  const { release = '6.1.0-56-amd64', version = 1, cves = ['CVE-2026-1001'] } = fields;
  const name = fields.name ?? moduleName(release, version);
  const manifest = {
    schema: 'kpatch.manifest/1',
    name,
    version,
    release,
    arch: 'x86_64',
    buildId: 'ab'.repeat(20),
    replace: true,
    functions: [
      { name: 'meminfo_proc_show', object: 'vmlinux', sympos: 0, digest: 'c'.repeat(64), patches: ['fix.patch'] },
    ],
    cves,
    states: [],
    patches: [{ name: 'fix.patch', sha256: 'd'.repeat(64) }],
    runPre: 'matched',
    tool: 'kpatch test',
    ...fields.manifest,
  };
  const modinfo = `vermagic=${fields.vermagic ?? `${release} SMP preempt mod_unload modversions`}\0name=${name}\0livepatch=Y\0license=GPL\0`;
  const sections = new Map([['.modinfo', Buffer.from(modinfo)]]);
  if (fields.manifest !== null) sections.set('.kpatch.manifest', Buffer.from(JSON.stringify(manifest)));
  const elf = elfFile(sections);
  return fields.signed === true
    ? Buffer.concat([elf, Buffer.alloc(12), Buffer.from('~Module signature appended~\n')])
    : elf;
}

/** Writes such a module below `folder` and gives its path. */
export function writeModule(folder: string, fields: ModuleFields = {}): string {
  const { release = '6.1.0-56-amd64', version = 1 } = fields;
  const path = join(folder, `${fields.name ?? moduleName(release, version)}.ko`);
  writeFileSync(path, moduleBytes(fields));
  return path;
}

/** ELF64, little-endian, relocatable: header, the sections' bytes, their names, the section headers. */
function elfFile(sections: ReadonlyMap<string, Buffer>): Buffer {
  const names = [...sections.keys(), '.shstrtab'];
  const strings = Buffer.from(`\0${names.join('\0')}\0`);
  const all = [...sections, ['.shstrtab', strings] as const];
  const table: Buffer[] = [Buffer.alloc(64)];
  let offset = 64;
  for (const [name, data] of all) {
    const header = Buffer.alloc(64);
    header.writeUInt32LE(strings.indexOf(`\0${name}\0`) + 1, 0);
    header.writeUInt32LE(name === '.shstrtab' ? 3 : 1, 4);
    header.writeBigUInt64LE(BigInt(offset), 24);
    header.writeBigUInt64LE(BigInt(data.length), 32);
    header.writeBigUInt64LE(1n, 48);
    table.push(header);
    offset += data.length;
  }
  const head = Buffer.alloc(64);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  head.writeUInt16LE(1, 16);
  head.writeUInt16LE(62, 18);
  head.writeUInt32LE(1, 20);
  head.writeBigUInt64LE(BigInt(offset), 40);
  head.writeUInt16LE(64, 52);
  head.writeUInt16LE(64, 58);
  head.writeUInt16LE(table.length, 60);
  head.writeUInt16LE(all.length, 62);
  return Buffer.concat([head, ...all.map(([, data]) => data), ...table]);
}
