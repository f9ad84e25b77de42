import { table } from '../entry.ts';

/** Errors of the factory (packages/factory). */
export const factoryErrors = table({
  'factory-feed': {
    exit: 1,
    what: 'cannot read the feed {feed}: {problem}',
    why: 'what it reported before stays; new records are missing until it can be read',
    fix: 'check the address, the network and the rights, then run the command again',
  },
  'factory-repository': {
    exit: 1,
    what: 'cannot use the repository {folder}: {problem}',
    why: 'fixes are taken from its commits',
    fix: 'give a full clone of a stable or mainline kernel repository',
  },
  'factory-config': {
    exit: 2,
    what: 'the factory in {folder} has an invalid {file}: {problem}',
    why: 'a wrong setting could publish the wrong patches',
    fix: 'correct it, see docs/factory.md',
  },
  'factory-channel': {
    exit: 1,
    what: 'the channel {channel} does not take the live patch: {problem}',
    why: 'the factory tries again; machines keep the patch that they have',
    fix: 'correct the channel, see docs/channel.md',
  },
  'factory-proof': {
    exit: 1,
    what: 'there is no proof of {module}: {problem}',
    why: 'a module without a proof is not published',
    fix: 'correct what is named, then run the factory again',
  },
  'factory-store': {
    exit: 1,
    what: 'cannot use the store {store}: {problem}',
    why: 'the results of all steps are kept there',
    fix: 'check the address, the token and the free space, then run the command again',
  },
  'factory-document': {
    exit: 1,
    what: 'cannot use the stored {document}: {problem}',
    why: 'a newer version of kpatch-factory may have written it',
    fix: 'use the version that wrote it',
  },
  'factory-database': {
    exit: 1,
    what: 'cannot open the database {database}: {problem}',
    why: 'the factory keeps its queue there',
    fix: 'check the address, or move the data of the embedded database with `kpatch-factory dump` and `restore`',
  },
});
