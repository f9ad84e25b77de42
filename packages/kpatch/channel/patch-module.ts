/** A livepatch module file with what belongs to it: the manifest, its signature, the proof beside it. */
import { isCveId } from '../advisory/record.ts';
import { sha256 as digestOf } from '../base/digest.ts';
import { failure } from '../base/errors/error.ts';
import { readRegularFile } from '../base/files.ts';
import { livepatchFacts, ModuleContent } from '../module/content.ts';
import type { Manifest } from '../module/manifest.ts';
import { isModuleName } from '../module/name.ts';
import { parseProof } from '../module/proof.ts';
import { proofBeside, proofPath, provenanceBeside, provenancePath } from '../module/proof-path.ts';
import { provenanceProblem } from '../provenance/chain.ts';
import { readProvenance } from '../provenance/statement.ts';

export interface PatchModule {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly manifest: Manifest;
  readonly sha256: string;
  /** True if a signature is appended, whatever it is worth. */
  readonly signed: boolean;
  /** The proof file's bytes, where there is one beside the module. */
  readonly proof: Uint8Array | undefined;
  /** The same for the statement of its build. */
  readonly provenance: Uint8Array | undefined;
}

/** The files that accompany a module. */
export type Companions = Pick<PatchModule, 'proof' | 'provenance'>;

/** What may be part of a file name, a package name and a script without quoting. */
const safeName = /^[A-Za-z0-9][A-Za-z0-9._+-]*$/;

/** True for text that can be a kernel release. */
export function isRelease(release: string): boolean {
  return safeName.test(release) && release.length <= 64;
}

/**
 * Reads a livepatch module and checks what packaging relies on. Whether its proof and signature count: `trust.ts`.
 * Errors: `file-unreadable`, those of reading ELF, `manifest-damaged`, `channel-module`, `channel-proof-mismatch`,
 * `proof-invalid`, `channel-provenance-mismatch`, `provenance-invalid`.
 */
export function readPatchModule(file: string): PatchModule {
  const companions = { proof: proofBeside(file), provenance: provenanceBeside(file) };
  return patchModuleOf(readRegularFile(file), file, companions);
}

/** The same from bytes, for modules read out of a package. */
export function patchModuleOf(bytes: Uint8Array, file: string, { proof, provenance }: Companions): PatchModule {
  const module = new ModuleContent(bytes, file);
  const bad = (problem: string): Error => failure('channel-module', { file, problem }, { where: { file } });
  const facts = livepatchFacts(module);
  if (typeof facts === 'string') throw bad(facts);
  const { manifest, sha256, signed } = module;
  if (manifest === undefined) throw bad('it has no manifest, so kpatch build did not build it');
  if (!isModuleName(manifest.name)) throw bad(`'${manifest.name}' is not a module name`);
  if (!isRelease(manifest.release)) throw bad(`'${manifest.release}' is not a kernel release`);
  if (manifest.version < 1) throw bad('its version is 0; versions start at 1');
  const wrong = manifest.cves.find((cve) => !isCveId(cve));
  if (wrong !== undefined) throw bad(`'${wrong}' is not a CVE id`);
  if (facts.release !== manifest.release)
    throw bad(`its manifest is for ${manifest.release}, but its vermagic is '${facts.vermagic}'`);
  if (proof !== undefined && parseProof(proof, proofPath(file)).module.sha256 !== sha256)
    throw failure('channel-proof-mismatch', { file }, { where: { file: proofPath(file) } });
  if (provenance !== undefined) {
    const name = provenancePath(file);
    const { statement } = readProvenance(provenance, name, []);
    const unsigned = digestOf(module.unsigned);
    const problem = provenanceProblem(statement, { sha256, unsigned, manifest });
    if (problem !== undefined)
      throw failure('channel-provenance-mismatch', { file, problem }, { where: { file: name } });
  }
  return { file, bytes, manifest, sha256, signed, proof, provenance };
}
