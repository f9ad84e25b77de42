/** `kpatch info`: prints the metadata of a livepatch module. */
import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { findModule } from '../../host/store/find.ts';
import { lineOf, type ModuleFile } from '../../host/store/module-file.ts';
import { readProof } from '../../module/proof.ts';
import { proofPath } from '../../module/proof-path.ts';
import { isSigned, readSignature, verifySignature } from '../../module/signature.ts';
import { limitsOf } from '../../prove/limits.ts';
import { action, type Context, type Outcome } from '../command.ts';
import { columns, type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program
    .command('info <PATCH>')
    .description('show the contents of a patch: a module file or an installed patch')
    .option('--cert <file>', 'verify the signature of the module with this certificate (PEM or DER)');
  withHostOptions(command).action(action(run));
}

interface SignatureFacts {
  readonly signer: string;
  readonly hash: string;
  readonly serial: string;
  /** The certificate used for verification, if one was given. */
  readonly verifiedBy?: string;
}

/** Errors: `signature-malformed`, and with a certificate those of `verifySignature`. */
function signatureOf({ bytes, path }: ModuleFile, certificate: string | undefined): SignatureFacts | undefined {
  if (certificate === undefined && !isSigned(bytes)) return undefined;
  const found = certificate === undefined ? readSignature(bytes, path) : verifySignature(bytes, certificate, path);
  const { signer, hash, serial } = found!;
  return { signer, hash, serial, ...(certificate === undefined ? {} : { verifiedBy: certificate }) };
}

function signatureText(signature: SignatureFacts | undefined): string {
  if (signature === undefined) return 'no';
  const { signer, hash, serial, verifiedBy } = signature;
  return `by '${signer}' (${hash}, serial ${serial})${verifiedBy === undefined ? '' : `, verified with ${verifiedBy}`}`;
}

function run(_: Context, options: HostOptions & { readonly cert?: string }, patch: string): Outcome {
  const module = findModule(machineOf(options), patch);
  const { bytes, manifest, ...facts } = module;
  const signature = signatureOf(module, options.cert);
  const data = { ...facts, signature: signature ?? null, size: bytes.length, manifest: manifest ?? null };
  const proof = proofLines(module);
  const text = [`Patch information for ${patch}:`, ...lines(module, signature), ...proof].join('\n');
  return { schema: 'kpatch.info/1', data, text };
}

/** Summary of the proof next to the module, unless it belongs to another file. */
function proofLines({ path, sha256 }: ModuleFile): string[] {
  const file = proofPath(path);
  if (!existsSync(file)) return [];
  const proof = readProof(file);
  const { verdict, reasons, module, plan, made, kernel, checks, signature } = proof;
  if (module.sha256 !== sha256) return [`proof: ${file} belongs to another module file`];
  const held = checks.filter(({ outcome }) => outcome === 'held').length;
  const signed =
    signature === undefined ? 'not signed' : `signed with key ${signature.key.slice(0, 16)}, not verified here`;
  return [
    `proof: ${verdict} (${held} of ${checks.length} checks of the plan "${plan}" on ${kernel.release}, ${made}; ${signed})`,
    ...reasons.map((reason) => `  because ${reason}`),
    ...limitsOf(proof).map((limit) => `  not shown: ${limit}`),
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
    ['signed:', signatureText(signature)],
    ...(module.description === undefined ? [] : [['description:', module.description]]),
  ];
  if (manifest === undefined) return [...columns(rows), 'built by another tool: no manifest'];
  rows.push(
    ['version:', String(manifest.version)],
    ...(lineOf(manifest) === '' ? [] : [['line:', lineOf(manifest)]]),
    ['kernel:', `${manifest.release} (build-id ${manifest.buildId ?? 'not recorded'})`],
    ['replaces:', manifest.replace ? 'all loaded patches' : 'nothing'],
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
