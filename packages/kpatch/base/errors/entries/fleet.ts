import { table } from '../entry.ts';

/** Errors of the fleet server (packages/fleet) and of the agent (packages/kpatch/fleet). */
export const fleetErrors = table({
  'fleet-database': {
    exit: 1,
    what: 'cannot use the database {database}: {problem}',
    why: 'everything that hosts report is stored there',
    fix: 'check the address and the rights, or move the data with `kpatch-fleet backup` and `kpatch-fleet restore`',
  },
  'fleet-joined-already': {
    exit: 3,
    what: 'this machine already belongs to the fleet at {url}',
    why: '',
    fix: 'leave that one first: kpatch fleet leave',
  },
  'fleet-not-joined': {
    exit: 3,
    what: 'this machine belongs to no fleet',
    why: '',
    fix: 'join one: kpatch fleet join URL --token-file FILE',
  },
  'fleet-url': {
    exit: 2,
    what: '{url} is not the address of a fleet server',
    why: 'reports are sent encrypted, to a server whose certificate is checked',
    fix: 'give an address such as https://fleet.example.org:8443',
  },
  'fleet-token': {
    exit: 2,
    what: 'the token has the wrong form',
    why: '',
    fix: 'copy the line that `kpatch-fleet token create` printed',
  },
  'fleet-unreachable': {
    exit: 1,
    what: 'cannot reach the fleet server {url}: {problem}',
    why: 'reports wait on this machine until the server can be reached',
    fix: 'check the address, the network and the certificate of the server',
  },
  'fleet-refused': {
    exit: 1,
    what: 'the fleet server {url} refuses: {problem}',
    why: '',
    fix: 'ask the administrator of the fleet; a new token is made with `kpatch-fleet token create`',
  },
  'fleet-api': {
    exit: 1,
    what: 'the fleet server {url} did not do it: {problem}',
    why: '',
    fix: 'check the address and the certificate of the server, and the role of the API token',
  },
  'fleet-cloned': {
    exit: 1,
    what: 'the fleet server {url} knows of two machines with the key of this one',
    why: 'one is a copy of the other, and the server cannot tell their reports apart',
    fix: 'on each of them: kpatch fleet leave, then kpatch fleet join with a new token',
  },
  'fleet-state': {
    exit: 1,
    what: 'cannot use {file}: {problem}',
    why: 'it says to which fleet this machine belongs',
    fix: 'leave the fleet and join it again: kpatch fleet leave, kpatch fleet join',
  },
  'fleet-backup': {
    exit: 1,
    what: 'cannot restore {file}: {problem}',
    why: 'nothing was changed',
    fix: 'restore a file that `kpatch-fleet backup` wrote into an empty database',
  },
  'fleet-rollout': {
    exit: 3,
    what: 'cannot {action}: {problem}',
    why: '',
    fix: 'see what it does and why: kpatch-fleet rollout show; plans are described in docs/rollouts.md',
  },
  'fleet-no-rollout': {
    exit: 3,
    what: 'there is no rollout {rollout}',
    why: '',
    fix: 'see which there are: kpatch-fleet rollout list',
  },
  'fleet-config': {
    exit: 2,
    what: 'the fleet server in {folder} has an invalid fleet.json: {problem}',
    why: 'a wrong setting could send a patch to the wrong machines',
    fix: 'correct it, see docs/fleet.md',
  },
});
