/** Provenance statements for the modules of tests. */
import { readFileSync, writeFileSync } from 'node:fs';
import { readModuleContent } from '#kpatch/module/content.ts';
import { provenancePath } from '#kpatch/module/proof-path.ts';
import { readPrivateKey } from '#kpatch/module/signing-key.ts';
import { seal } from '#kpatch/provenance/envelope.ts';
import { provenanceOf } from '#kpatch/provenance/slsa.ts';
import type { ProvenanceStatement, Resource } from '#kpatch/provenance/statement.ts';
import { strict } from '../provenance/statements.ts';

/** The statement of a module file with a manifest: its patches, and the kernel image. */
export async function statementOf(file: string): Promise<ProvenanceStatement> {
  const module = readModuleContent(file);
  const { name, version, release, patches, cves, replace } = module.manifest!;
  const dependency = (role: string, named: string, sha256: string): Resource => ({
    name: named,
    digest: { sha256 },
    annotations: { role },
  });
  const made = await provenanceOf(
    {
      parameters: {
        release,
        name,
        version,
        patches: patches.map((one) => one.name),
        cves: [...cves],
        ...strict,
        replace,
      },
      internal: {
        sourceVersion: '6.1.9-1',
        distribution: 'debian',
        compiler: 'gcc',
        toolchain: 'build root',
        sandbox: true,
      },
      dependencies: [
        ...patches.map((one) => dependency('patch', one.name, one.sha256)),
        dependency('kernel image', 'vmlinuz', '2'.repeat(64)),
      ],
      file: readFileSync(file),
      unsigned: module.unsigned,
    },
    'https://example.org/builders/1',
  );
  return structuredClone(made);
}

/** Writes the statement beside a module, signed if a key is given; `change` makes it wrong. */
export async function attest(
  file: string,
  key: { readonly key: string } | undefined,
  change: (statement: ProvenanceStatement) => void = () => undefined,
): Promise<void> {
  const statement = await statementOf(file);
  change(statement);
  writeFileSync(provenancePath(file), seal(statement, key === undefined ? undefined : readPrivateKey(key.key)));
}
