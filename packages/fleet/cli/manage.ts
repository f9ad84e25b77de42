/** Commands of `kpatch-fleet` for the administrator: accounts, API tokens, releases, CVEs, backup, restore. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { failure, plural, print, readBytes } from 'kpatch/parts';
import {
  createApiToken,
  disableAccount,
  listAccounts,
  type Role,
  revokeApiToken,
  roles,
  setAccount,
} from '../access/accounts.ts';
import { commandLine } from '../access/audit.ts';
import { openApi } from '../api/openapi.ts';
import { backup, restore } from '../store/backup.ts';
import { addRelease, importCves, releaseOfModule } from '../store/import.ts';
import type { Reach } from './reach.ts';

export function addManageCommands(program: Command, reach: Reach): void {
  addAccounts(program, reach);
  addApiTokens(program, reach);
  program
    .command('release <MODULE...>')
    .description('make livepatch modules known, so that their digests tell which CVEs they fix')
    .option('--channel <url>', 'the channel that lists them', '')
    .action(async (files: string[], { channel }: { channel: string }) => {
      const releases = files.map(releaseOfModule);
      await reach.at(
        async (client) => {
          for (const { cves, ...release } of releases)
            await client.call('POST /api/releases', { body: { ...release, cves: [...cves], channel } });
        },
        async (database) => {
          for (const release of releases) await addRelease(database, commandLine, release, channel);
        },
      );
      for (const { name, kernel, version, cves, digest } of releases)
        print(`${name} version ${version} for ${kernel}: ${plural(cves.length, 'CVE')}, ${digest}\n`);
    });
  program
    .command('cves <FILE...>')
    .description('read the CVEs of kernels: the output of kpatch cves --json for each of them')
    .action(async (files: string[]) => {
      await reach.database(async (database) => {
        for (const file of files) print(`${file}: ${plural(await importCves(database, commandLine, file), 'CVE')}\n`);
      });
    });
  program
    .command('backup <FILE>')
    .description('write all data to a file (gzip); the server may run if it uses PostgreSQL')
    .action(async (file: string) => {
      print(`${plural(await reach.database((database) => backup(database, file)), 'row')} written to ${file}\n`);
    });
  program
    .command('restore <FILE>')
    .description('read such a file into an empty database')
    .action(async (file: string) => {
      print(`${plural(await reach.database((database) => restore(database, file)), 'row')} restored\n`);
    });
  program
    .command('openapi')
    .description('print the OpenAPI description of the API')
    .action(() => print(`${JSON.stringify(openApi(), null, 2)}\n`));
}

function addAccounts(program: Command, reach: Reach): void {
  const account = program.command('account').description('local accounts');
  account
    .command('set <NAME>')
    .description('make an account, or set its role and password')
    .requiredOption('--role <role>', `one of ${roles.join(', ')}`)
    .requiredOption('--password-file <file>', 'file with the password; - reads standard input')
    .action(async (name: string, { role, passwordFile }: { role: string; passwordFile: string }) => {
      const password = (passwordFile === '-' ? readFileSync(0) : readBytes(passwordFile)).toString('utf8').trimEnd();
      await reach.at<unknown>(
        (client) =>
          client.call('PUT /api/accounts/:name', { params: { name }, body: { role: role as Role, password } }),
        (database) => setAccount(database, commandLine, name, role, password),
      );
    });
  account
    .command('disable <NAME>')
    .description('end its sessions and API tokens, and let nobody sign in with it')
    .action(async (name: string) => {
      const disabled = await reach.at<unknown>(
        (client) => client.call('DELETE /api/accounts/:name', { params: { name } }),
        (database) => disableAccount(database, commandLine, name),
      );
      if (disabled === false) throw failure('usage', { problem: `there is no account ${name} that could be disabled` });
    });
  account
    .command('list')
    .description('list the accounts')
    .action(async () => {
      const accounts = await reach.at<readonly { name: string; role: string; disabled: unknown }[]>(
        async (client) => (await client.call('GET /api/accounts', {})).accounts,
        listAccounts,
      );
      for (const { name, role, disabled } of accounts)
        print(`${[name, role, disabled === null ? '' : 'disabled'].join('\t').trimEnd()}\n`);
    });
}

function addApiTokens(program: Command, reach: Reach): void {
  const token = program.command('api-token').description('tokens with which programs call the API');
  token
    .command('create <NAME>')
    .description('make a token and print it; it is shown only now')
    .requiredOption('--role <role>', `one of ${roles.join(', ')}`)
    .option('--days <number>', 'how long it is valid', Number, 90)
    .action(async (name: string, { role, days }: { role: string; days: number }) => {
      if (!(days >= 1 && days <= 3650)) throw failure('usage', { problem: '--days must be from 1 to 3650' });
      const made = await reach.at<{ token: string }>(
        (client) => client.call('POST /api/api-tokens', { body: { name, role: role as Role, days } }),
        (database) => createApiToken(database, commandLine, { name, role, days }),
      );
      print(`${made.token}\n`);
    });
  token
    .command('revoke <ID>')
    .description('make a token useless')
    .action(async (id: string) => {
      const revoked = await reach.at<unknown>(
        (client) => client.call('DELETE /api/api-tokens/:id', { params: { id } }),
        (database) => revokeApiToken(database, commandLine, Number(id) || 0),
      );
      if (revoked === false) throw failure('usage', { problem: `there is no API token ${id} that could be revoked` });
    });
}
