/** The program `kpatch-fleet`. */
import { Command } from 'commander';
import { failure, KpatchError, print, printError, renderError, version } from 'kpatch/parts';
import { type FleetConfig, readConfig } from '../config.ts';
import { makeServer } from '../server/server.ts';
import { openDatabase } from '../store/database.ts';

interface Common {
  readonly home: string;
  readonly database?: string;
}

const program = new Command('kpatch-fleet')
  .description('What really runs on every machine, and live patches that are rolled out in rings.')
  .version(`kpatch-fleet ${version}`, '-V, --version')
  .option('-C, --home <folder>', 'folder of the fleet server, with fleet.json', '.')
  .option('--database <url>', 'PostgreSQL server (default: that of fleet.json, or an embedded database in the folder)')
  .exitOverride()
  .configureOutput({ writeErr: () => {} });

function settings(): { config: FleetConfig; url: string | undefined } {
  const { home, database } = program.opts<Common>();
  const config = readConfig(home);
  return { config, url: database ?? config.database };
}

program
  .command('serve')
  .description('answer hosts and people until it is stopped')
  .action(async () => {
    const { config, url } = settings();
    const database = await openDatabase(config.home, url);
    const server = makeServer(config);
    const stopped = new Promise<void>((resolve) => {
      process.once('SIGINT', () => resolve()).once('SIGTERM', () => resolve());
    });
    try {
      print(`listening on ${await server.listen(config.listen)}\n`);
      await stopped;
    } finally {
      await server.close();
      await database.close();
    }
  });

program
  .command('migrate')
  .description('bring the tables of the database to the version of this program')
  .action(async () => {
    const { config, url } = settings();
    await (await openDatabase(config.home, url)).close();
    print('The tables are up to date.\n');
  });

try {
  await program.parseAsync(process.argv);
} catch (error) {
  process.exitCode = report(error);
}

function report(error: unknown): number {
  const code = (error as { code?: unknown }).code;
  if (typeof code === 'string' && code.startsWith('commander.')) {
    const { exitCode, message } = error as { exitCode: number; message: string };
    if (exitCode === 0) return 0;
    printError(`${renderError(failure('usage', { problem: message.replace(/^error: /, '') }))}\n`);
    return 2;
  }
  const known =
    error instanceof KpatchError
      ? error
      : failure('internal', { problem: error instanceof Error ? error.message : String(error) });
  printError(`${renderError(known)}\n`);
  return known.exit;
}
