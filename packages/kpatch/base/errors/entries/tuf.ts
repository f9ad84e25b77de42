import { table } from '../entry.ts';

/** Errors of the channel's TUF repository: keys, signing, and what a machine refuses. */
export const tufErrors = table({
  'tuf-key': {
    exit: 2,
    what: 'the key {file} cannot be used: {problem}',
    why: 'the roles of a channel sign with Ed25519 keys',
    fix: 'make one with `kpatch channel new-key FILE`, or give the right file',
  },
  'tuf-passphrase': {
    exit: 2,
    what: 'the passphrase of the key {file} cannot be used: {problem}',
    why: '',
    fix: 'type it when kpatch asks, or give it with --passphrase-file FILE or --passphrase-fd NUMBER; never on the command line, where every user of the machine can read it',
  },
  'tuf-root': {
    exit: 2,
    what: 'the root metadata cannot be made: {problem}',
    why: 'the root lists the keys of all roles',
    fix: 'see docs/channel.md, "The signing ceremony"',
  },
  'tuf-signature-file': {
    exit: 2,
    what: '{file} cannot be added: {problem}',
    why: 'only a signature over the pending metadata by one of its keys counts',
    fix: 'sign the file that `kpatch channel root` or `kpatch channel targets` wrote: `kpatch channel sign FILE --key KEY`',
  },
  'tuf-unsigned': {
    exit: 1,
    what: 'cannot sign the {role} metadata: {have} of {threshold} keys are in {folder}',
    why: 'machines accept it only with that many signatures',
    fix: 'give the folder with the keys: `--tuf-keys FOLDER`; if the key of targets is elsewhere, run `kpatch channel targets DIR` and sign its file there; for new keys of a role, run `kpatch channel root`',
  },
  'tuf-root-expired': {
    exit: 1,
    what: 'the root metadata of the channel expired on {expires}',
    why: 'machines accept nothing new under an expired root',
    fix: 'make and sign the next one: `kpatch channel root DIR`, `kpatch channel sign`, `kpatch channel import`',
  },
  'tuf-root-file': {
    exit: 2,
    what: '{file} is not the root metadata of a channel: {problem}',
    why: 'everything from the channel is verified with the keys that it lists',
    fix: 'get root.json from the owner of the channel, and compare the digest that kpatch prints with the one the owner publishes',
  },
  'tuf-malformed': {
    exit: 4,
    what: 'the metadata {file} is malformed: {problem}',
    why: 'nothing was accepted; this machine keeps the patches it has',
    fix: 'ask the operator of the mirror; the publisher can test a mirror with `kpatch channel check`',
  },
  'tuf-wrong-channel': {
    exit: 4,
    what: 'the metadata {file} belongs to the channel {named}, but this machine follows the channel {channel}',
    why: 'nothing was accepted; this machine keeps the patches it has',
    fix: 'ask the operator of the mirror which channel it serves',
  },
  'tuf-signature': {
    exit: 4,
    what: '{url} serves metadata without enough valid signatures: {problem}',
    why: 'it does not come from the channel, or a key of it was revoked; nothing was accepted',
    fix: 'try another mirror; if the owner lost the root keys, follow the channel again with its new root.json',
  },
  'tuf-rollback': {
    exit: 4,
    what: '{url} serves older metadata than this machine has seen: {problem}',
    why: 'old metadata would hide newer live patches; nothing was accepted',
    fix: 'ask the operator of the mirror; the owner of the channel recovers from a leaked key with a new root',
  },
  'tuf-inconsistent': {
    exit: 4,
    what: 'the files of {url} do not belong together: {problem}',
    why: 'they were changed, mixed from several publications, or only partly copied; nothing was accepted',
    fix: 'try again later; the publisher can test a mirror with `kpatch channel check`',
  },
  'tuf-too-large': {
    exit: 4,
    what: '{url} sends more for {file} than the {limit} bytes it may have',
    why: 'a server that never stops sending would fill the disk; nothing was accepted',
    fix: 'try another mirror',
  },
  'tuf-target': {
    exit: 4,
    what: 'the file {path} of {url} is not the one the channel lists: {problem}',
    why: 'it was changed or cut off, so it was not used',
    fix: 'try another mirror',
  },
  'tuf-record': {
    exit: 4,
    what: 'the channel lists {path} with a wrong description: {problem}',
    why: 'kpatch installs only files that match their description',
    fix: 'tell the owner of the channel',
  },
  'tuf-state': {
    exit: 1,
    what: 'what this machine knows of the channel is damaged: {problem}',
    why: 'it protects against old and false metadata; nothing was accepted, installed patches stay',
    fix: 'get root.json from the owner of the channel and run `kpatch channel follow URL --key root.json`',
  },
  'tuf-package-key': {
    exit: 2,
    what: '{file} is an OpenPGP key, which package managers use',
    why: 'whoever holds a key that apt or dnf trusts can change anything on this machine as root',
    fix: 'follow the channel with its root.json; if you want packages, add `--packages`',
  },
});
