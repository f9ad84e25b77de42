/** `kpatch version`: as dynup/kpatch has it. */
import type { Command } from 'commander';
import { version } from '../base/version.ts';
import { action } from './command.ts';

export function register(program: Command): void {
  program
    .command('version')
    .description('the version of this program')
    .option('--json', 'one JSON document')
    .action(action(() => ({ schema: 'kpatch.version/1', data: { version }, text: version })));
}
