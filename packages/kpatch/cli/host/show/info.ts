/** `kpatch info`: prints the metadata of a livepatch module. */
import type { Command } from 'commander';
import { type KernelOpinion, kernelOpinion } from '../../../host/machine/kernel-trust.ts';
import type { Machine } from '../../../host/machine/machine.ts';
import { findModule } from '../../../host/store/find.ts';
import { lineOf, type ModuleFile } from '../../../host/store/module-file.ts';
import type { Manifest } from '../../../module/manifest.ts';
import { type Proof, parseProof } from '../../../module/proof.ts';
import { proofBeside, proofPath } from '../../../module/proof-path.ts';
import { readSignature } from '../../../module/signature.ts';
import { certificateName, verifySignature } from '../../../module/signature-rules.ts';
import { limitsOf } from '../../../prove/limits.ts';
import { action, type Context, type Outcome } from '../../command.ts';
import { columns, type HostOptions, machineOf, withHostOptions } from '../host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('info <PATCH>')
    .description('show the contents of a patch: a module file or an installed patch')
    .option('--cert <file>', 'verify the signature of the module with this certificate (PEM or DER)');
  withHostOptions(command).action(action(run));
}

interface SignatureFacts {
  readonly hash: string;
  /** Of the certificate that the message names. */
  readonly serial: string;
  readonly verified: boolean;
  /** The subject of the certificate that it was verified with. */
  readonly signer?: string;
  /** The file of that certificate. */
  readonly verifiedBy?: string;
  /** Whether this machine's kernel would take it. */
  readonly kernel: KernelOpinion;
}

/** Errors: `signature-malformed`, and with a certificate those of `verifySignature`. */
function signatureOf(
  machine: Machine,
  { bytes, path }: ModuleFile,
  certificate: string | undefined,
): SignatureFacts | undefined {
  if (certificate === undefined) {
    const found = readSignature(bytes, path);
    if (found === undefined) return undefined;
    return { hash: found.hash, serial: found.serial, verified: false, kernel: kernelOpinion(machine, bytes) };
  }
  const { signature, signer } = verifySignature(bytes, certificate, path);
  const { hash, serial } = signature;
  const facts = {
    signer: certificateName(signer),
    verifiedBy: certificate,
    kernel: kernelOpinion(machine, bytes, [signer]),
  };
  return { hash, serial, verified: true, ...facts };
}

function signatureLines(signature: SignatureFacts | undefined): string[][] {
  if (signature === undefined) return [['signed:', 'no']];
  const { hash, serial, signer, verifiedBy, kernel } = signature;
  const text =
    verifiedBy === undefined
      ? `not verified (${hash}; it names the certificate ${serial}; --cert FILE verifies it)`
      : `by '${signer}' (${hash}, serial ${serial}), verified with ${verifiedBy}`;
  return [
    ['signed:', text],
    ['this kernel:', `${kernel.answer}: ${kernel.reason}`],
  ];
}

function run(_: Context, options: HostOptions & { readonly cert?: string }, patch: string): Outcome {
  const machine = machineOf(options);
  const module = findModule(machine, patch);
  const { bytes, manifest, ...facts } = module;
  const signature = signatureOf(machine, module, options.cert);
  const found = proofOf(module);
  const proof = found === undefined ? null : proofFacts(found, module);
  const data = { ...facts, signature: signature ?? null, size: bytes.length, manifest: manifest ?? null, proof };
  const shown = found === undefined ? [] : proofLines(found, module);
  const text = [`Patch information for ${patch}:`, ...lines(module, signature), ...shown].join('\n');
  return { schema: 'kpatch.info/1', data, text };
}

interface FoundProof {
  readonly file: string;
  readonly proof: Proof;
}

/** The proof next to the module. */
function proofOf({ path }: ModuleFile): FoundProof | undefined {
  const bytes = proofBeside(path);
  const file = proofPath(path);
  return bytes === undefined ? undefined : { file, proof: parseProof(bytes, file) };
}

function proofFacts({ file, proof }: FoundProof, { sha256 }: ModuleFile) {
  const { verdict, reasons, module, plan, made, kernel, checks, signature } = proof;
  const held = checks.filter(({ outcome }) => outcome === 'held').length;
  const { release } = kernel;
  return {
    file,
    belongs: module.sha256 === sha256,
    verdict,
    plan,
    made,
    release,
    held,
    checks: checks.length,
    reasons,
    signedBy: signature?.key ?? null,
  };
}

/** Summary of the proof, unless it belongs to another file. */
function proofLines(found: FoundProof, module: ModuleFile): string[] {
  const { file, belongs, verdict, plan, made, release, held, checks, reasons, signedBy } = proofFacts(found, module);
  if (!belongs) return [`proof: ${file} belongs to another module file`];
  const signed = signedBy === null ? 'not signed' : `signed with key ${signedBy.slice(0, 16)}, not verified here`;
  return [
    `proof: ${verdict} (${held} of ${checks} checks of the plan "${plan}" on ${release}, ${made}; ${signed})`,
    ...reasons.map((reason) => `  because ${reason}`),
    ...limitsOf(found.proof).map((limit) => `  not shown: ${limit}`),
  ];
}

function lines(module: ModuleFile, signature: SignatureFacts | undefined): string[] {
  const { manifest } = module;
  const rows: string[][] = [
    ['filename:', module.path],
    ['name:', module.name],
    ['vermagic:', module.vermagic],
    ['livepatch:', 'Y'],
    ['sha256:', module.sha256],
    ...signatureLines(signature),
    ...(module.description === undefined ? [] : [['description:', module.description]]),
  ];
  if (manifest === undefined) return [...columns(rows), 'built by another tool: no manifest'];
  rows.push(
    ['version:', String(manifest.version)],
    ...(lineOf(manifest) === '' ? [] : [['line:', lineOf(manifest)]]),
    ['kernel:', `${manifest.release} (build-id ${manifest.buildId ?? 'not recorded'})`],
    ['replaces:', manifest.replace ? 'all loaded patches' : 'nothing'],
    ...shieldRow(manifest),
    ['CVEs:', manifest.cves.join(' ') || 'none named'],
    [
      'run-pre match:',
      manifest.runPre === 'matched'
        ? 'all functions match the kernel image'
        : 'SKIPPED: not compared with the kernel image',
    ],
    ['built by:', manifest.tool],
  );
  const functions = manifest.functions.map(({ name, object, sympos }) => {
    return `  ${name}${sympos > 1 ? `,${sympos}` : ''} (${object})`;
  });
  const sources = manifest.patches.map(({ name, sha256 }) => `  ${name} ${sha256.slice(0, 16)}`);
  return [...columns(rows), 'functions:', ...functions, 'source patches:', ...sources];
}

function shieldRow({ shield }: Manifest): string[][] {
  if (shield === undefined) return [];
  const which = shield.when === undefined ? 'every call' : `calls with ${shield.when}`;
  const end = shield.until === undefined ? '' : ` until ${shield.until}`;
  return [['shield:', `no fix: ${shield.function} returns ${shield.returns} for ${which}${end}`]];
}
