/** `kpatch version`: prints the version, as in dynup/kpatch. */
import type { Command } from 'commander';
import { version } from '../base/version.ts';
import { action } from './command.ts';

export function register(program: Command): void {
  program
    .command('version')
    .description('print the version of kpatch')
    .option('--json', 'print JSON')
    .action(action(() => ({ schema: 'kpatch.version/1', data: { version }, text: version })));
}
