/** Examples of every command. Help and manual pages show the same ones, and a test parses each command line. */

export interface Example {
  /** What it is for, without a colon. */
  readonly what: string;
  /** Command lines, in order. */
  readonly run: readonly string[];
}

/** By command: `kpatch` is the program itself. */
export const examples: Readonly<Record<string, readonly Example[]>> = {
  kpatch: [
    {
      what: 'Build a live patch for the running kernel, prove it in a virtual machine, and install it',
      run: [
        'kpatch build fix.patch',
        'kpatch prove livepatch_fix.ko --test fix.test.sh',
        'kpatch install --require-proof livepatch_fix.ko',
      ],
    },
    { what: 'See what is loaded and what needs attention', run: ['kpatch status'] },
    {
      what: 'Take live patches from a channel, for every installed kernel',
      run: ['kpatch channel follow https://patches.example.org/live --key root.json', 'kpatch auto'],
    },
  ],
  'kpatch-build': [
    { what: 'For the running kernel', run: ['kpatch-build -t vmlinux fix.patch'] },
    {
      what: 'For a kernel that you built yourself',
      run: ['kpatch-build -s /src/linux -c /src/linux/.config -v /src/linux/vmlinux fix.patch'],
    },
  ],
  build: [
    { what: 'For the running kernel', run: ['kpatch build fix.patch'] },
    {
      what: 'For another kernel of the distribution, several patches in order',
      run: ['kpatch build -k 6.1.0-57-amd64 first.patch second.patch'],
    },
    {
      what: 'The next version of a cumulative patch, with the CVE that it fixes',
      run: ['kpatch build all/ --after livepatch_all.ko --cve CVE-2026-99228'],
    },
    {
      what: 'For a kernel that you built yourself',
      run: ['kpatch build fix.patch --image vmlinux --headers /src/linux --source /src/linux'],
    },
  ],
  fleet: [
    {
      what: 'Join a fleet with the one-time token that its administrator made',
      run: ['kpatch fleet join https://fleet.example.org:8443 --token-file token.txt --ca fleet-ca.pem'],
    },
    { what: 'See to which fleet this machine belongs, and what its server chose', run: ['kpatch fleet show'] },
    { what: 'Leave the fleet', run: ['kpatch fleet leave'] },
  ],
  report: [
    { what: 'Report now', run: ['kpatch report'] },
    { what: 'See what would be sent', run: ['kpatch report --print'] },
  ],
  review: [
    { what: 'Before a patch is built', run: ['kpatch review fix.patch'] },
    {
      what: 'In a script: refuse two kinds of hazards',
      run: ['kpatch review fix.patch --deny lock-change,registered'],
    },
    { what: 'Refuse all kinds while building', run: ['kpatch build fix.patch --deny all'] },
  ],
  rewrite: [
    {
      what: 'Write a new patch, read it, and build it',
      run: ['kpatch rewrite fix.patch -o new.patch', 'kpatch build new.patch'],
    },
    { what: 'Both steps at once', run: ['kpatch build --rewrite fix.patch'] },
  ],
  shield: [
    {
      what: 'Refuse every mount of one file system, and log the attempts',
      run: ['kpatch shield omfs_fill_super --return -EPERM --log'],
    },
    {
      what: 'Refuse some calls for two weeks',
      run: [
        "kpatch shield snd_ctl_elem_add --return -EPERM --when 'info->type == SNDRV_CTL_ELEM_TYPE_ENUMERATED' --expires 14d",
      ],
    },
    { what: 'Build what a vendor published', run: ['kpatch shield --cve CVE-2026-46088.json'] },
    {
      what: 'Replace it by the fix',
      run: ['kpatch build fix.patch --after livepatch_shield_omfs_fill_super.ko'],
    },
  ],
  try: [
    { what: 'Look at the patched kernel', run: ['kpatch try livepatch_fix.ko'] },
    { what: 'Build the patch first, and bring a driver for the test', run: ['kpatch try fix.patch -m dummy'] },
    {
      what: 'Before and after, without a terminal',
      run: ["kpatch try livepatch_fix.ko -c 'grep Chunk /proc/meminfo; kpatch unload; grep Chunk /proc/meminfo'"],
    },
  ],
  kernel: [
    { what: 'Prepare the running kernel, or the newest one that apt or dnf offers', run: ['kpatch kernel add'] },
    {
      what: 'Prepare one release, then look at it',
      run: ['kpatch kernel add 6.1.0-57-amd64', 'kpatch kernel show 6.1.0-57-amd64'],
    },
    {
      what: 'Remove it together with the packages that were downloaded for it',
      run: ['kpatch kernel remove 6.1.0-57-amd64 --packages'],
    },
    { what: 'What is prepared already', run: ['kpatch kernel list'] },
  ],
  cache: [
    { what: 'See what takes the space', run: ['kpatch cache list'] },
    {
      what: 'Keep the cache below 20 GB; look first',
      run: ['kpatch cache prune --max-size 20G --dry-run', 'kpatch cache prune --max-size 20G'],
    },
    { what: 'Remove what was not used for a month', run: ['kpatch cache prune --older-than 30d'] },
    { what: 'Limit it for good', run: ['echo max_size=20G >>/etc/kpatch/cache.conf'] },
    { what: 'How much space each kind of file takes', run: ['kpatch cache size'] },
  ],
  doctor: [
    { what: 'Everything', run: ['kpatch doctor'] },
    { what: 'Only what loading needs, for a script', run: ['kpatch doctor --for load --json'] },
  ],
  advisory: [
    { what: 'What is fixed and what is missing on this machine', run: ['kpatch advisory cves/'] },
    {
      what: 'With your own selection, and one patch that is not loaded yet',
      run: ['kpatch advisory cves/ --selection selection.json --module livepatch_fix.ko'],
    },
  ],
  package: [
    {
      what: 'Both packages of a module, with titles and severities of its CVEs',
      run: ['kpatch package kpatch_6_1_0_57_amd64_3_1.ko --advisories cves/'],
    },
    {
      what: 'The empty package that subscribes a kernel before there is a patch',
      run: ['kpatch package --empty 6.1.0-57-amd64 -o packages/'],
    },
  ],
  load: [
    {
      what: 'Check whether a patch fits, and load it',
      run: ['kpatch load --dry-run livepatch_fix.ko', 'kpatch load livepatch_fix.ko'],
    },
    {
      what: 'Only if it is proven by someone you trust',
      run: ['kpatch load --require-proof --proof-key prover.pem livepatch_fix.ko'],
    },
  ],
  unload: [
    {
      what: 'Unload a patch, and keep it from coming back at boot',
      run: ['kpatch unload livepatch_fix', 'kpatch uninstall livepatch_fix'],
    },
  ],
  install: [
    { what: 'Load a patch now and at each boot', run: ['kpatch install livepatch_fix.ko'] },
    {
      what: 'For another kernel, to be loaded when it boots',
      run: ['kpatch install -k 6.1.0-57-amd64 livepatch_fix.ko'],
    },
    { what: 'Unblock a patch that the boot guard blocked', run: ['kpatch install --again livepatch_fix'] },
  ],
  uninstall: [
    {
      what: 'Uninstall a patch and take it out of the running kernel',
      run: ['kpatch uninstall livepatch_fix', 'kpatch unload livepatch_fix'],
    },
  ],
  rollback: [{ what: 'See what it would do, then do it', run: ['kpatch rollback --dry-run', 'kpatch rollback'] }],
  list: [{ what: 'What is loaded and installed, and which functions it replaces', run: ['kpatch list --functions'] }],
  info: [
    { what: 'Look at a file', run: ['kpatch info livepatch_fix.ko'] },
    { what: 'Verify its signature', run: ['kpatch info livepatch_fix.ko --cert signer.pem'] },
  ],
  status: [
    { what: 'In a check of a monitoring system', run: ['kpatch status >/dev/null || echo "kpatch needs attention"'] },
    { what: 'One line, for a prompt or a message of the day', run: ['kpatch status --short'] },
    { what: 'Your own line', run: ["kpatch status --format '{release}: {patches}, {cve-count} CVEs, {todo}'"] },
    { what: 'Watch a transition', run: ['kpatch status --watch'] },
  ],
  signal: [
    {
      what: 'Load a patch, leave the transition running, and help it along later',
      run: ['kpatch load --leave livepatch_fix.ko', 'kpatch signal'],
    },
  ],
  force: [{ what: 'See which tasks are left, and decide', run: ['kpatch status', 'kpatch force'] }],
  verify: [
    {
      what: 'Check a module file with the keys of its builder',
      run: ['kpatch verify fix.ko --key builder.pub --key prover.pub --cert signer.pem'],
    },
    {
      what: 'Check where an installed patch comes from, with the keys of the host policy',
      run: ['kpatch verify livepatch_fix'],
    },
    {
      what: 'Check, and rebuild a damaged index from the modules that are there',
      run: ['kpatch verify', 'kpatch verify --repair'],
    },
  ],
  policy: [
    {
      what: 'Show the rules that apply, and check that the policy and the installed patches agree',
      run: ['kpatch policy show', 'kpatch policy check'],
    },
    {
      what: 'Check a policy before you put it in place, and whether a module would be accepted',
      run: ['kpatch policy check new-policy.json', 'kpatch policy check livepatch_fix.ko'],
    },
  ],
  cves: [
    {
      what: 'What is open on this machine, by the records in a folder and the changelog of the newest kernel package',
      run: ['kpatch cves --open cves/ changelog.gz'],
    },
    {
      what: 'Documents for scanners: a VEX document, and definitions that OpenSCAP evaluates',
      run: [
        'kpatch cves --format openvex --output host.vex.json cves/',
        'kpatch cves --format oval --output kpatch.oval.xml cves/',
        'oscap oval eval kpatch.oval.xml',
      ],
    },
  ],
  effective: [
    {
      what: 'Up to which release everything is fixed, and what is missing for the next one',
      run: ['kpatch effective cves/ changelog.gz'],
    },
    { what: 'Whether the patched functions really run their new code', run: ['kpatch effective --hooks'] },
  ],
  metrics: [
    { what: 'Look at the metrics', run: ['kpatch metrics'] },
    {
      what: 'Write them where the node exporter reads them',
      run: ['kpatch metrics --output /var/lib/prometheus/node-exporter/kpatch.prom'],
    },
  ],
  version: [{ what: 'For a script', run: ['kpatch version --json'] }],
  channel: [
    {
      what: 'Publish',
      run: [
        'kpatch channel init /srv/live --name example --url https://patches.example.org/live --key patches@example.org',
        'kpatch channel kernel /srv/live 6.1.0-57-amd64 --released 2026-11-26 --package-version 6.1.192-3',
        'kpatch channel add /srv/live kpatch_6_1_0_57_amd64_1_1.ko',
        'kpatch channel publish /srv/live --tuf-keys keys',
      ],
    },
    {
      what: 'Make keys for the roles, and a root that two of three people sign, each on a machine of their own',
      run: [
        'kpatch channel new-key keys/targets.key',
        'kpatch channel root /srv/live --root-key a.pub b.pub c.pub --threshold 2 --targets-key keys/targets.key.pub --snapshot-key keys/snapshot.key.pub --timestamp-key keys/timestamp.key.pub',
        'kpatch channel sign next.root.json --key a.key',
        'kpatch channel import /srv/live next.root.json.*.sig',
      ],
    },
    {
      what: 'Publish with a key of targets that is on another machine: only `sign` runs there',
      run: [
        'kpatch channel targets /srv/live',
        'kpatch channel sign next.targets.json --key targets.key',
        'kpatch channel import /srv/live next.targets.json.*.sig',
        'kpatch channel publish /srv/live --tuf-keys keys',
      ],
    },
    { what: 'Follow', run: ['kpatch channel follow https://patches.example.org/live --key root.json', 'kpatch auto'] },
    {
      what: 'Fetch for a machine without a network',
      run: ['kpatch channel fetch --to /media/patches', 'kpatch update --fetched /media/patches'],
    },
    { what: 'See how far this machine has got', run: ['kpatch channel status'] },
    {
      what: 'Check a mirror as machines do, with a key from elsewhere',
      run: ['kpatch channel check /srv/mirror --key key.asc'],
    },
    {
      what: 'Remove what is out of date; look first',
      run: ['kpatch channel prune /srv/live --dry-run', 'kpatch channel prune /srv/live'],
    },
    {
      what: 'Change the signing key: sign with both, and retire the old one when all machines know the new one',
      run: [
        'kpatch channel key /srv/live --add new@example.org',
        'kpatch channel key /srv/live --retire patches@example.org',
      ],
    },
  ],
  auto: [
    {
      what: 'Follow a channel, then take all its live patches',
      run: ['kpatch channel follow https://patches.example.org/live --key root.json', 'kpatch auto'],
    },
  ],
  manual: [{ what: 'No more automatic updates; update by hand', run: ['kpatch manual', 'kpatch update'] }],
  update: [
    { what: 'See what would change, then do it', run: ['kpatch update --dry-run', 'kpatch update'] },
    { what: 'Subscribe one more kernel', run: ['kpatch update -k 6.1.0-57-amd64'] },
  ],
  prove: [
    { what: "The quick plan with the author's test", run: ['kpatch prove livepatch_fix.ko --test fix.test.sh'] },
    {
      what: 'All checks, a signed proof and a report for the browser',
      run: ['kpatch prove livepatch_fix.ko --full --key prover.key --report proof.html'],
    },
  ],
  reproduce: [
    {
      what: 'Rebuild a module whose provenance must be signed by the key of its builder',
      run: ['kpatch reproduce fix.ko --key builder.pub'],
    },
    {
      what: 'Rebuild a module of a custom kernel, whose files the provenance does not contain',
      run: ['kpatch reproduce fix.ko --image vmlinuz --headers build --source linux'],
    },
  ],
  diff: [
    { what: 'Which functions changed', run: ['kpatch diff original/meminfo.o patched/meminfo.o'] },
    {
      what: 'Why one of them counts as changed',
      run: ['kpatch diff original/meminfo.o patched/meminfo.o --explain meminfo_proc_show'],
    },
  ],
};

/** The examples of a command, such as `build` or `kernel add`: its own, or those of its group that use it. */
export function examplesOf(command: string): readonly Example[] {
  const group = command.split(' ')[0]!;
  const all = examples[group] ?? [];
  const uses = ({ run }: Example): boolean => run.some((line) => `${line} `.startsWith(`kpatch ${command} `));
  return command === group ? all : all.filter(uses);
}

/** The examples of a command as its help shows them; empty if there are none. */
export function examplesText(command: string): string {
  const blocks = examplesOf(command).map(({ what, run }) => {
    return [`  ${what}:`, ...run.map((line) => `    ${line}`)].join('\n');
  });
  return blocks.length === 0 ? '' : `\nExamples:\n${blocks.join('\n')}`;
}
