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
  'channel-none': {
    exit: 2,
    what: '{folder} holds no channel',
    why: 'there is nothing that could be added to, published or checked',
    fix: 'make one with `kpatch channel init {folder}`',
  },
  'channel-exists': {
    exit: 3,
    what: '{folder} holds a channel already',
    why: 'making it anew would forget its kernels and patches',
    fix: 'choose another folder, or change channel.json in it',
  },
  'channel-config': {
    exit: 1,
    what: '{file} is wrong: {problem}',
    why: 'a channel that is misread would publish something else than was meant',
    fix: 'correct it as docs/channel.md describes, or take it back from a copy',
  },
  'channel-kernel-unknown': {
    exit: 2,
    what: 'the kernel {release} is not in the channel',
    why: 'its support window begins on the day of its release, which has to be known',
    fix: 'add it: `kpatch channel kernel {folder} {release} --released DAY`',
  },
  'channel-window-over': {
    exit: 4,
    what: 'the support window of {release} ended on {until}',
    why: 'machines that run it were told to reboot by then; a patch now would make that date worth nothing',
    fix: 'extend the window where that is meant: `kpatch channel kernel DIR {release} --extend DAY --reason TEXT`',
  },
  'channel-wrong-kernel': {
    exit: 4,
    what: 'patch {version} is not for the kernel {release} of this channel: {problem}',
    why: 'every machine that runs that kernel would be given it',
    fix: 'build it for that very kernel',
  },
  'channel-not-replacing': {
    exit: 4,
    what: 'patch {version} for {release} does not replace the patches before it',
    why: 'machines upgrade from one cumulative patch to the next by atomic replace',
    fix: 'build it as a cumulative patch (with replace, which is the default)',
  },
  'channel-version': {
    exit: 4,
    what: 'patch {version} for {release} is not newer than {old}, which the channel has',
    why: 'machines only ever go to a higher version; this one would reach none of those that have {old}',
    fix: 'build it with a higher version, or package the same module with a higher --release',
  },
  'channel-not-cumulative': {
    exit: 4,
    what: 'patch {version} for {release} no longer fixes {lost}, which {old} did',
    why: 'an upgrade would bring a vulnerability back',
    fix: 'build it with all fixes of its predecessor, or name what is withdrawn: --withdraw CVE=REASON',
  },
  'channel-unsigned-module': {
    exit: 4,
    what: 'the module of patch {version} for {release} is not signed',
    why: 'this channel asks for signed modules, since some of its machines load no others',
    fix: 'sign it (kpatch build --sign-key) and add it again',
  },
  'channel-unproven': {
    exit: 4,
    what: 'patch {version} for {release} is not proven',
    why: 'this channel publishes only what was seen to hold on its kernel',
    fix: 'run `kpatch prove` on it, and leave the proof beside the module',
  },
  'channel-key': {
    exit: 1,
    what: 'the key {key} cannot be used: {problem}',
    why: 'machines take nothing from a channel that is not signed by a key they know',
    fix: 'look at `gpg --list-secret-keys`, unlock, prolong or rotate the key (docs/channel.md, "Keys")',
  },
  'channel-clock': {
    exit: 1,
    what: 'the last publication is of {last}, now is {now}',
    why: 'machines take no publication that is older than the one they have',
    fix: 'set the clock right and publish again',
  },
  'channel-damaged': {
    exit: 1,
    what: 'the channel {folder} is damaged: {problem}',
    why: 'a publication of it could not be installed from',
    fix: 'take the file back from a copy, or add the patch again',
  },
  'channel-check-failed': {
    exit: 1,
    what: '{folder} has {count} problems',
    why: 'machines that follow it would refuse it, or be given something else than was meant',
    fix: 'read the list; publishing again repairs what was only damaged in the published tree',
  },
});
