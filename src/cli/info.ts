/** `kpatch info`: what a patch module says of itself. */
import type { Command } from 'commander';
import { findModule } from '../host/find.ts';
import { lineOf, type ModuleFile } from '../host/module-file.ts';
import { action, type Context, type Outcome } from './command.ts';
import { columns, type HostOptions, machineOf, withHostOptions } from './host-options.ts';

export function register(program: Command): void {
  const command = program.command('info <PATCH>').description('what a patch is, a file or an installed one');
  withHostOptions(command).action(action(run));
}

function run(_: Context, options: HostOptions, patch: string): Outcome {
  const module = findModule(machineOf(options), patch);
  const { bytes, manifest, ...facts } = module;
  const data = { ...facts, size: bytes.length, manifest: manifest ?? null };
  return { schema: 'kpatch.info/1', data, text: [`Patch information for ${patch}:`, ...lines(module)].join('\n') };
}

function lines(module: ModuleFile): string[] {
  const { manifest } = module;
  const rows: string[][] = [
    ['filename:', module.path],
    ['name:', module.name],
    ['vermagic:', module.vermagic],
    ['livepatch:', 'Y'],
    ['sha256:', module.sha256],
    ['signed:', module.signed ? 'yes' : 'no'],
    ...(module.description === undefined ? [] : [['description:', module.description]]),
  ];
  if (manifest === undefined) return [...columns(rows), 'made by another tool: no manifest'];
  rows.push(
    ['version:', String(manifest.version)],
    ...(lineOf(manifest) === '' ? [] : [['line:', lineOf(manifest)]]),
    ['kernel:', `${manifest.release} (build-id ${manifest.buildId ?? 'not recorded'})`],
    ['replaces:', manifest.replace ? 'every patch before it' : 'nothing'],
    ['CVEs:', manifest.cves.join(' ') || 'none named'],
    [
      'run-pre match:',
      manifest.runPre === 'matched' ? 'every function is what the kernel runs' : 'SKIPPED: not compared',
    ],
    ['made by:', manifest.tool],
  );
  const functions = manifest.functions.map(({ name, object, sympos }) => {
    return `  ${name}${sympos > 1 ? `,${sympos}` : ''} (${object})`;
  });
  const sources = manifest.patches.map(({ name, sha256 }) => `  ${name} ${sha256.slice(0, 16)}`);
  return [...columns(rows), 'functions:', ...functions, 'source patches:', ...sources];
}
