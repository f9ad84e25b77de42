/** The program `kpatch-fleet`. */
import { Command, InvalidArgumentError } from 'commander';

import { failure, KpatchError, print, printError, renderError, version } from 'kpatch/parts';
import { commandLine } from '../access/audit.ts';
import { createToken, listTokens, revokeToken, type TokenFacts } from '../access/tokens.ts';
import { type FleetConfig, readConfig } from '../config.ts';
import { openFleet } from '../server/fleet.ts';
import { startHousekeeping } from '../server/housekeeping.ts';
import { openDatabase } from '../store/database.ts';
import { addManageCommands } from './manage.ts';
import { type Common, Reach } from './reach.ts';
import { addRolloutCommands } from './rollout.ts';

const program = new Command('kpatch-fleet')
  .description('What really runs on every machine, and live patches that are rolled out in rings.')
  .version(`kpatch-fleet ${version}`, '-V, --version')
  .option('-C, --home <folder>', 'folder of the fleet server, with fleet.json', '.')
  .option('--database <url>', 'PostgreSQL server (default: that of fleet.json, or an embedded database in the folder)')
  .option('--url <url>', 'act on the server that runs there, with an API token, in place of the database')
  .option('--token-file <file>', 'with --url: file with the API token')
  .option('--ca <file>', 'with --url: certificates (PEM) of which the server must have one')
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
    const fleet = await openFleet(database, config);
    const housekeeping = startHousekeeping(database, config, (host) => fleet.rollouts.labelFor(host));
    const stopped = new Promise<void>((resolve) => {
      process.once('SIGINT', () => resolve()).once('SIGTERM', () => resolve());
    });
    try {
      print(`listening on ${await fleet.server.listen(config.listen)}\n`);
      await stopped;
    } finally {
      await housekeeping.stop();
      await fleet[Symbol.asyncDispose]();
      await database.close();
    }
  });

const reach = new Reach(() => program.opts<Common>());

const token = program.command('token').description('tokens with which machines join');
token
  .command('create')
  .description('make a token and print it; it is shown only now')
  .option('--label <label...>', 'labels of the machines that join with it', [])
  .option('--uses <number>', 'how many machines may join with it', whole(1, 1_000_000), 1)
  .option('--hours <number>', 'how long it may be used', whole(1, 8760), 24)
  .option('--note <text>', 'what it is for', '')
  .action(async (options: { label: string[]; uses: number; hours: number; note: string }) => {
    const { label: labels, ...rest } = options;
    const made = await reach.at<{ token: string }>(
      (client) => client.call('POST /api/tokens', { body: { labels, ...rest } }),
      (database) => createToken(database, commandLine, { labels, ...rest }),
    );
    print(`${made.token}\n`);
  });
token
  .command('list')
  .description('list the tokens, without their secrets')
  .action(async () => {
    const tokens = await reach.at<
      readonly (Omit<TokenFacts, 'expires' | 'revoked'> & { expires: Date | string; revoked: Date | string | null })[]
    >(async (client) => (await client.call('GET /api/tokens', {})).tokens, listTokens);
    for (const { id, note, labels, uses, used, expires, revoked } of tokens) {
      const state = revoked === null ? `until ${new Date(expires).toISOString().slice(0, 16)}` : 'revoked';
      print(`${[id, `${used}/${uses}`, state, labels.join(','), note].join('\t')}\n`);
    }
  });
token
  .command('revoke <ID>')
  .description('make a token useless; machines that joined with it stay')
  .action(async (id: string) => {
    const revoked = await reach.at(
      async (client) => {
        await client.call('DELETE /api/tokens/:id', { params: { id } });
        return true;
      },
      (database) => revokeToken(database, commandLine, Number(id) || 0),
    );
    if (!revoked) throw failure('usage', { problem: `there is no token ${id} that could be revoked` });
  });

addManageCommands(program, reach);
addRolloutCommands(program, reach);

function whole(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < least || value > most)
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    return value;
  };
}

program
  .command('migrate')
  .description('bring the tables of the database to the version of this program')
  .action(async () => {
    await reach.database(async () => {});
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
