import { table } from '../entry.ts';

/** Errors of the fleet server (packages/fleet) and of the agent (packages/kpatch/fleet). */
export const fleetErrors = table({
  'fleet-database': {
    exit: 1,
    what: 'cannot use the database {database}: {problem}',
    why: 'everything that hosts report is stored there',
    fix: 'check the address and the rights, or move the data with `kpatch-fleet backup` and `kpatch-fleet restore`',
  },
  'fleet-config': {
    exit: 2,
    what: 'the fleet server in {folder} has an invalid fleet.json: {problem}',
    why: 'a misread setting could send a patch to the wrong machines',
    fix: 'correct it, see docs/fleet.md',
  },
});
