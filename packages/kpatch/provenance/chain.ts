/** What can be said of a module file from what lies next to it: its signature, its provenance, its proof, the test result. */
import type { X509Certificate } from 'node:crypto';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { sha256 } from '../base/digest.ts';
import { KpatchError } from '../base/errors/error.ts';
import { readBytes } from '../base/files.ts';
import type { verifyModuleDocument } from '../documents/definitions/provenance.ts';
import type { Content } from '../documents/document.ts';
import { isSigned } from '../formats/appended-signature.ts';
import { readModuleContent } from '../module/content.ts';
import type { Manifest } from '../module/manifest.ts';
import { type Proof, parseProof, requireProofBytes } from '../module/proof.ts';
import { proofPath, provenancePath } from '../module/proof-path.ts';
import type { PublicKey } from '../module/public-key.ts';
import { certificateName, judgeSignature, usualDemand } from '../module/signature-rules.ts';
import { type ProvenanceStatement, readProvenance, readTestResult, testResultPath } from './statement.ts';

type Documented = Content<typeof verifyModuleDocument>['modules'][number];
/** Without the kernel's answer, which only the machine itself can give. */
export type VerifiedModule = Omit<Documented, 'kernel'>;
type Link = Documented['links'][number];

/** What the user trusts: keys for statements and proofs, certificates for module signatures. */
export interface Trust {
  readonly keys: readonly PublicKey[];
  readonly certificates: readonly X509Certificate[];
}

interface Subject {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly sha256: string;
  /** Digest without the appended signature. */
  readonly unsigned: string;
  readonly manifest: Manifest | undefined;
}

/** Looks at a module file and at the files next to it. Errors: `file-unreadable`, `signature-malformed`, those of reading ELF. */
export function verifyModule(file: string, trust: Trust): VerifiedModule {
  const module = readModuleContent(file);
  const { bytes, manifest } = module;
  const subject: Subject = { file, bytes, sha256: module.sha256, unsigned: sha256(module.unsigned), manifest };
  const links = [
    signatureLink(subject, trust),
    guarded('provenance', () => provenanceLink(subject, trust)),
    guarded('proof', () => proofLink(subject, trust)),
    guarded('test result', () => testResultLink(subject, trust)),
  ];
  // The test result says the same as the proof. Channels and the store carry only the proof.
  const counted = links.filter(({ link, state }) => link !== 'test result' || state !== 'missing');
  const verdict = links.some(({ state }) => state === 'broken')
    ? 'broken'
    : counted.every(({ state }) => state === 'verified')
      ? 'verified'
      : 'incomplete';
  return { file, sha256: subject.sha256, verdict, links, shows: shownBy(links), doesNotShow: notShown };
}

/** An error of the catalogue about a link is that link's state. */
function guarded(link: Link['link'], look: () => Link): Link {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof KpatchError)) throw error;
    return { link, state: 'broken', text: error.message };
  }
}

function signatureLink({ bytes }: Subject, { certificates }: Trust): Link {
  const link = 'module signature';
  if (!isSigned(bytes)) return { link, state: 'missing', text: 'the module is not signed' };
  if (certificates.length === 0) return { link, state: 'not verified', text: 'signed; --cert FILE verifies it' };
  const judged = judgeSignature(bytes, certificates, { ...usualDemand, at: new Date() });
  if ('problem' in judged) return { link, state: 'broken', text: judged.problem };
  return { link, state: 'verified', text: `signed by '${certificateName(judged.signer)}'` };
}

function provenanceLink(subject: Subject, { keys }: Trust): Link {
  const link = 'provenance';
  const file = provenancePath(subject.file);
  if (!existsSync(file)) return { link, state: 'missing', text: `there is no ${basename(file)}` };
  const { statement, signedBy, claimed } = readProvenance(readBytes(file), file, keys);
  const problem = provenanceProblem(statement, subject);
  if (problem !== undefined) return { link, state: 'broken', text: problem };
  const { builder } = statement.predicate.runDetails;
  return signed(link, signedBy, claimed, `built by ${builder.id} with kpatch ${builder.version.kpatch ?? '?'}`);
}

/** Why a statement is not about this module; undefined if it is. The manifest in the module must say the same. */
export function provenanceProblem(
  { subject, predicate }: ProvenanceStatement,
  { sha256: file, unsigned, manifest }: Pick<Subject, 'sha256' | 'unsigned' | 'manifest'>,
): string | undefined {
  const digests = subject.map(({ digest }) => digest.sha256);
  if (!digests.includes(file) && !digests.includes(unsigned)) return 'it is the statement of another module file';
  if (manifest === undefined) return 'the module has no manifest, so kpatch did not build it';
  const { externalParameters: parameters, resolvedDependencies } = predicate.buildDefinition;
  const { name, version, release, patches } = manifest;
  if (parameters.name !== name || parameters.version !== version || parameters.release !== release)
    return 'it names another patch, version or kernel than the manifest in the module';
  const recorded = resolvedDependencies.filter(({ annotations }) => annotations?.role === 'patch');
  const agree =
    recorded.length === patches.length && patches.every((one, index) => recorded[index]?.digest?.sha256 === one.sha256);
  return agree ? undefined : 'it names other source patches than the manifest in the module';
}

function proofLink(subject: Subject, { keys }: Trust): Link {
  const link = 'proof';
  const file = proofPath(subject.file);
  if (!existsSync(file)) return { link, state: 'missing', text: `there is no ${basename(file)}` };
  const bytes = readBytes(file);
  const proof = parseProof(bytes, file);
  const demand = { module: subject.sha256, release: proof.kernel.release, except: true };
  requireProofBytes(bytes, file, demand);
  const problem = proofProblem(proof, subject);
  if (problem !== undefined) return { link, state: 'broken', text: problem };
  const text = `${proof.verdict} with the plan "${proof.plan}" on ${proof.kernel.release}`;
  const { signature } = proof;
  const claimed = signature === undefined ? [] : [signature.key];
  const trusted = keys.filter(({ id }) => id === signature?.key);
  if (trusted.length > 0) requireProofBytes(bytes, file, { ...demand, keys: trusted });
  return signed(
    link,
    trusted.map(({ id }) => id),
    claimed,
    text,
  );
}

function proofProblem({ kernel }: Proof, { manifest }: Subject): string | undefined {
  return manifest === undefined || manifest.release === kernel.release
    ? undefined
    : `it was made on ${kernel.release}, and the module is for ${manifest.release}`;
}

function testResultLink(subject: Subject, { keys }: Trust): Link {
  const link = 'test result';
  const file = testResultPath(subject.file);
  if (!existsSync(file)) return { link, state: 'missing', text: `there is no ${basename(file)}` };
  const { statement, signedBy, claimed } = readTestResult(readBytes(file), file, keys);
  const broken = (text: string): Link => ({ link, state: 'broken', text });
  if (!statement.subject.some(({ digest }) => digest.sha256 === subject.sha256))
    return broken('it is the statement of another module file');
  const { result, configuration } = statement.predicate;
  if (result === 'FAILED') return broken('its result is FAILED');
  const proof = proofPath(subject.file);
  const recorded = configuration.find(({ annotations }) => annotations?.role === 'proof')?.digest?.sha256;
  if (existsSync(proof) && recorded !== sha256(readBytes(proof))) return broken('it was made of another proof');
  return signed(link, signedBy, claimed, `result ${result}`);
}

function signed(link: Link['link'], signedBy: readonly string[], claimed: readonly string[], text: string): Link {
  const [key] = signedBy;
  if (key !== undefined) return { link, state: 'verified', text: `${text}, signed with key ${key.slice(0, 16)}`, key };
  const [named] = claimed;
  const why =
    named === undefined
      ? 'NOT SIGNED: anyone could have written it'
      : `signed with key ${named.slice(0, 16) || 'unknown'}, which is not among the keys given with --key`;
  return { link, state: 'not verified', text: `${text}; ${why}` };
}

const claims: Readonly<Record<Link['link'], string>> = {
  'module signature': 'the holder of the signing key signed exactly this module',
  provenance:
    'the holder of the provenance key states that kpatch built exactly this module from the recorded inputs; `kpatch reproduce` checks it',
  proof: 'the holder of the proof key states that this module passed the checks of the plan in virtual machines',
  'test result': 'the same as the proof, in a form that other tools read',
};

function shownBy(links: readonly Link[]): string[] {
  return links.filter(({ state }) => state === 'verified').map(({ link }) => claims[link]);
}

/** True of every chain, complete or not. */
const notShown = [
  'that the patch is harmless: a proof is no evidence against a hostile patch, which shares a kernel with its test and can recognise it. Read the source of the patch',
  'that the inputs are good: provenance names the source, headers and compiler, it does not examine them',
  'that the signers are honest: a statement is as good as whoever holds its key',
];
