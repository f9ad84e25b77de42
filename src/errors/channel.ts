import { table } from './entry.ts';

/** Errors of the room `channel/`. */
export const channelErrors = table({
  'channel-not-json': {
    exit: 1,
    what: '{file} is no JSON document: {problem}',
    why: 'nothing in it can be relied on',
    fix: 'fetch or write the file again',
  },
  'channel-unknown-advisory': {
    exit: 1,
    what: '{file} is no advisory of a known format',
    why: 'leaving it out silently could hide a vulnerability',
    fix: 'give CVE JSON 5 records, OSV records, CSAF or VEX documents, or a kernel changelog',
  },
  'channel-not-changelog': {
    exit: 1,
    what: '{file} is no changelog of a kernel package: {problem}',
    why: 'which versions fixed what is read from it',
    fix: 'give the changelog of the linux package (on Debian below /usr/share/doc/linux-image-*), plain or gzip, or what `rpm -q --changelog kernel` prints',
  },
  'channel-policy': {
    exit: 2,
    what: 'the policy {file} is wrong at {at}: {problem}',
    why: 'a policy that is misread could leave out a vulnerability',
    fix: 'correct it as docs/channel.md describes',
  },
  'channel-kernel-version': {
    exit: 2,
    what: 'which package version the kernel {release} has cannot be found out here',
    why: 'what a newer kernel fixes is counted from that version',
    fix: 'give it with --from VERSION (such as 6.1.190-1)',
  },
  'channel-module': {
    exit: 2,
    what: '{file} cannot be packaged: {problem}',
    why: 'a package must say truthfully what it holds and which kernel it is for',
    fix: 'build the module with `kpatch build` and give that file',
  },
  'channel-proof-mismatch': {
    exit: 4,
    what: 'the proof beside {file} is of another module',
    why: 'a proof that travels with the wrong module would vouch for what nobody has tried',
    fix: 'run `kpatch prove` on this very file (signing changes it: sign first), or remove the proof',
  },
  'channel-record': {
    exit: 1,
    what: 'the record in {file} is wrong: {problem}',
    why: 'what a package is for is read from its record',
    fix: 'make the package again with `kpatch package`',
  },
  'channel-package': {
    exit: 4,
    what: 'the package {file} is not taken: {problem}',
    why: 'machines would install it as what it says it is',
    fix: 'make it with `kpatch package` and give that file unchanged',
  },
});
