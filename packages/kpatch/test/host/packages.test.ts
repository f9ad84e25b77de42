/**
 * The packages on a machine: installed, upgraded, removed, by dpkg and by rpm. It happens on this machine's own files, in
 * namespaces and below a layer in memory that goes with the last process; systemd does not run there (its part is in
 * test/vm/host-packages.test.ts).
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { moduleBytes } from '../channel/module-file.ts';
import { fixture } from '../compatibility/fixtures.ts';
import { packages } from '../vm/host-guest.ts';
import { onMachineCopy } from './machine-copy.ts';

/** Files of the package, and what enables its units, that are on the machine. */
const TRACES = `ls -d /usr/sbin/kpatch /usr/bin/kpatch* /usr/libexec/kpatch /var/lib/kpatch /lib/systemd/system/kpatch* \
/usr/share/man/man1/kpatch* /usr/share/bash-completion/completions/kpatch /etc/systemd/system/*/kpatch* \
/usr/share/doc/kpatch /var/lib/prometheus/node-exporter/kpatch.prom 2>/dev/null`;
const ENABLED = 'echo $(systemctl is-enabled kpatch.service kpatch-survived.timer kpatch-metrics.timer 2>/dev/null)';
const METRICS =
  'mkdir -p /var/lib/prometheus/node-exporter; kpatch metrics --output /var/lib/prometheus/node-exporter/kpatch.prom';

/**
 * What a machine has after months of use: the files that 0.1 left on one that follows a channel, a cache, a timer's stamp.
 */
const USED = `mount -t tmpfs tmpfs /var/cache; mkdir -p /var/cache/kpatch/packages /var/lib/systemd/timers
echo >/var/cache/kpatch/packages/a_1_amd64.deb; echo >/var/lib/systemd/timers/stamp-kpatch-update.timer
${written('machine.tar.gz')} | tar -xzC / --exclude=./usr`;

/** A command that prints a file that 0.1 wrote: what is in a checkout below /tmp is hidden there. */
function written(name: string): string {
  return `echo '${readFileSync(fixture(name), 'base64')}' | base64 -d`;
}

/** Every file of kpatch outside the package manager's own database. */
const ANYTHING = `find /etc /run /usr/lib /usr/libexec /usr/bin /usr/sbin /usr/share /var -xdev -path '*kpatch*' -not -path '/var/lib/dpkg/*' \
-not -path '/var/cache/*' | sort`;

const UPGRADED = `enabled enabled disabled
Loaded patch modules:

Installed patch modules:
kpatch_6_1_0_57_amd64_1_1 (6.1.0-57-amd64)
livepatch_cmdline (6.1.0-57-amd64)
mode=auto
`;

const root = join(import.meta.dirname, '../../../..');
let folder = '';
before(async () => {
  folder = await packages();
});

/** Runs the script on the copy of this machine; `$deb` and `$rpm` are the packages. Standard output. */
function onCopy(script: string): Promise<string> {
  const [deb, rpm] = ['.deb', '.rpm'].map((end) => readdirSync(folder).find((name) => name.endsWith(end)));
  return onMachineCopy(folder, `deb=/mnt/packages/${deb} rpm=/mnt/packages/${rpm}\n${script}`);
}

// Removed but not purged, a package of Debian keeps what is enabled: that is configuration.
test('dpkg: installed, upgraded, removed, purged', async () => {
  const printed = await onCopy(`${TRACES} && exit 1
dpkg --no-triggers -i $deb >/dev/null; ${ENABLED}; ${TRACES} | wc -l
kpatch list; readlink -f /usr/bin/kpatch-build
systemctl disable kpatch-metrics.timer 2>/dev/null; dpkg --no-triggers -i $deb >/dev/null; ${ENABLED}
${METRICS}; mkdir /var/lib/kpatch/6.1; dpkg --no-triggers -r kpatch >/dev/null
echo removed; ${TRACES} || true
dpkg --no-triggers -i $deb >/dev/null; ${ENABLED}
dpkg --no-triggers -P kpatch >/dev/null; echo purged; ${TRACES} || true; find /etc/systemd /var/lib/systemd -name '*kpatch*'`);
  assert.match(
    printed,
    /^enabled enabled enabled\n\d\d\nLoaded patch modules:\n\nInstalled patch modules:\n\/usr\/sbin\/kpatch\nenabled enabled disabled\nremoved\n(\/etc\/systemd\/.*\n){2}\/var\/lib\/kpatch\nenabled enabled disabled\npurged\n$/,
  );
});

test('rpm: installed, upgraded, removed', async () => {
  const printed = await onCopy(`${TRACES} && exit 1
rpm -i --nodeps $rpm 2>/dev/null; ${ENABLED}; ${TRACES} | wc -l; kpatch list
systemctl disable kpatch-metrics.timer 2>/dev/null; rpm -U --nodeps --force $rpm 2>/dev/null; ${ENABLED}
rpm -q --requires kpatch | grep -x util-linux
${METRICS}; rpm -e kpatch 2>/dev/null; echo removed; ${TRACES} || true; find /etc/systemd -name '*kpatch*'`);
  assert.match(
    printed,
    /^enabled enabled enabled\n\d\d\nLoaded patch modules:\n\nInstalled patch modules:\nenabled enabled disabled\nutil-linux\nremoved\n$/,
  );
});

test('dpkg: a machine that follows a channel keeps its settings when the package is removed, and nothing when it is purged', async () => {
  const printed = await onCopy(`${ANYTHING} >/tmp/before
dpkg --no-triggers -i $deb >/dev/null; ${USED}; ls /etc/systemd/system/kpatch-update.*
dpkg --no-triggers -r kpatch >/dev/null; echo removed; ls -A /etc/kpatch /var/lib/kpatch; ls /var/cache/kpatch
dpkg --no-triggers -P kpatch >/dev/null 2>&1; echo purged; ls /var/cache; ${ANYTHING} | diff /tmp/before -`);
  assert.equal(
    printed,
    `/etc/systemd/system/kpatch-update.service
/etc/systemd/system/kpatch-update.timer
removed
/etc/kpatch:
channel.conf

/var/lib/kpatch:
6.1.0-57-amd64
channel.json
packages
purged
`,
  );
});

test('rpm: a machine that follows a channel keeps settings and patches when the package is removed, and nothing that runs', async () => {
  const printed = await onCopy(`${ANYTHING} >/tmp/before
rpm -i --nodeps $rpm 2>/dev/null; ${USED}; rm -r /etc/apt/*/kpatch-channel*
rpm -e kpatch 2>/dev/null; ls /var/cache; ${ANYTHING} | diff /tmp/before - | sed -n 's/^[<>] //p'`);
  const store = '/var/lib/kpatch/6.1.0-57-amd64';
  assert.deepEqual(printed.trim().split('\n'), [
    '/etc/kpatch',
    '/etc/kpatch/channel.conf',
    '/run/kpatch',
    '/run/kpatch/loaded',
    '/run/kpatch/loaded/kpatch_6_1_0_57_amd64_1_1.json',
    '/run/kpatch/loaded/livepatch_cmdline.json',
    '/run/kpatch/lock',
    '/var/lib/kpatch',
    store,
    ...[
      '.boot.json',
      '.index.json',
      '.staged',
      'kpatch_6_1_0_57_amd64_1_1.ko',
      'kpatch_6_1_0_57_amd64_1_1.proof.json',
    ].map((name) => `${store}/${name}`),
    `${store}/livepatch_cmdline.ko`,
    '/var/lib/kpatch/channel.json',
  ]);
});

test('dpkg: the package of 0.1 is upgraded: what is switched off, installed and set stays; a purge then leaves nothing', async () => {
  const printed = await onCopy(`${ANYTHING} >/tmp/before
${written('packages/kpatch_0.1.0-1_amd64.deb')} >/tmp/old.deb; dpkg --no-triggers -i /tmp/old.deb >/dev/null; ${USED}
systemctl disable kpatch-metrics.timer 2>/dev/null; dpkg --no-triggers -i $deb >/dev/null
${ENABLED}; kpatch list; cat /etc/kpatch/channel.conf | grep ^mode=
grep ^Condition /etc/systemd/system/kpatch-update.service
dpkg --no-triggers -P kpatch >/dev/null 2>&1; ${ANYTHING} | diff /tmp/before -`);
  assert.equal(printed, `${UPGRADED}ConditionFileIsExecutable=/usr/sbin/kpatch\n`);
});

test('rpm: the package of 0.1 is upgraded: what is switched off, installed and set stays', async () => {
  const printed = await onCopy(`${written('packages/kpatch-0.1.0-1.x86_64.rpm')} >/tmp/old.rpm
rpm -i --nodeps /tmp/old.rpm 2>/dev/null; ${USED}
systemctl disable kpatch-metrics.timer 2>/dev/null; rpm -U --nodeps --force $rpm 2>/dev/null
${ENABLED}; kpatch list; cat /etc/kpatch/channel.conf | grep ^mode=
rpm -e kpatch; ls /usr/sbin/kpatch /lib/systemd/system/kpatch.service 2>/dev/null || true`);
  assert.equal(printed, UPGRADED);
});

test('every command has a man page without a complaint, and all shells complete', async () => {
  const printed = await onCopy(`dpkg --no-triggers -i $deb >/dev/null
for command in $(kpatch help | sed -n '/^Commands:/,$ s/^  \\([a-z][a-z-]*\\).*/\\1/p' | grep -vx help); do
  page=/usr/share/man/man1/kpatch-$command.1.gz
  [ $command != build ] || page=/usr/share/man/man1/kpatch_build.1.gz
  [ -e $page ] || echo "no page for $command"
  zcat $page | groff -man -Tutf8 -ww -z 2>&1
done
zcat /usr/share/man/man1/kpatch.1.gz | groff -man -Tutf8 -ww -z 2>&1
bash -c 'source /usr/share/bash-completion/completions/kpatch
complete_last() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _kpatch; echo "\${COMPREPLY[*]}"; }
complete_last kpatch uni; complete_last kpatch cache ""; complete_last kpatch cache prune --m; complete_last kpatch help prov'
ls /usr/share/zsh/site-functions/_kpatch /usr/share/zsh/vendor-completions/_kpatch /usr/share/fish/vendor_completions.d/kpatch.fish 2>/dev/null || true`);
  assert.match(
    printed,
    /^uninstall\nlist size prune\n--max-size\nprove\n\/usr\/share\/fish\/\S+\n\/usr\/share\/zsh\/\S+\n$/,
  );
});

test('the documents that errors and man pages name are installed, by both packages', async () => {
  const named = readFileSync(join(root, 'docs/errors.md'), 'utf8').match(/\bdocs\/[\w-]+\.md/g) ?? [];
  assert.ok(named.length > 0);
  for (const name of named) assert.ok(existsSync(join(root, name)), name);
  const cited = `kpatch channel check /tmp/broken 2>&1 | grep -o '/usr/share/doc/[^ ,]*' | xargs ls
zgrep -ho '/usr/share/doc/kpatch/[a-z-]*\\.md' /usr/share/man/man1/kpatch*.gz | tr -d '\\\\' | sort -u | xargs ls >/dev/null`;
  const printed = await onCopy(`mkdir /tmp/broken; echo '{}' >/tmp/broken/channel.json
dpkg --no-triggers -i $deb >/dev/null; ${cited}; dpkg -L kpatch | grep ^/usr/share/doc/kpatch/. | sort >/tmp/deb
man -w kpatch-build kpatch_build | xargs -n 1 basename; zgrep -c 'drop.*in' $(man -w kpatch-build)
dpkg --no-triggers -P kpatch >/dev/null
rpm -i --nodeps $rpm 2>/dev/null; ${cited}; rpm -ql kpatch | grep ^/usr/share/doc/kpatch/. | sort >/tmp/rpm
diff /tmp/deb /tmp/rpm && grep -c '\\.md$' /tmp/deb`);
  const [first, drop, command, , second, documents] = printed.trim().split('\n');
  assert.equal(first, '/usr/share/doc/kpatch/channel.md');
  assert.equal(second, first);
  assert.deepEqual([drop, command], ['kpatch-build.1.gz', 'kpatch_build.1.gz']);
  assert.equal(
    Number(documents),
    readdirSync(join(root, 'docs'), { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.md'))
      .length + 2,
  );
});

const release = '9.9.9-1-amd64';
const patch = `kpatch_9_9_9_1_amd64_1_1`;
/** Makes a livepatch module there, and packages it. */
const MADE = `cd /tmp; echo '${moduleBytes({ release, name: patch }).toString('base64')}' | base64 -d >${patch}.ko`;
const LISTED = "kpatch list | grep '^kpatch_9' || echo none";

// Processing only this package's trigger: those of the manual pages take minutes.
test('dpkg: the trigger installs what a package of data brings, and uninstalls it with the package', async () => {
  const printed = await onCopy(`dpkg --no-triggers -i $deb >/dev/null; ${MADE}
kpatch package ${patch}.ko -o . --format deb >/dev/null 2>&1; dpkg --no-triggers -i kpatch-patch-*.deb >/dev/null; ${LISTED}
dpkg --triggers-only kpatch >/dev/null; ${LISTED}
dpkg --no-triggers -r kpatch-patch-${release} >/dev/null; dpkg --triggers-only kpatch >/dev/null; ${LISTED}`);
  assert.deepEqual(printed.trim().split('\n'), ['none', `${patch} (${release})`, 'none']);
});

test('rpm: the same by file triggers', async () => {
  const printed = await onCopy(`rpm -i --nodeps $rpm 2>/dev/null; ${MADE}
kpatch package ${patch}.ko -o . --format rpm >/dev/null 2>&1; rpm -i --nodeps kpatch-patch-*.rpm 2>/dev/null; ${LISTED}
rpm -e kpatch-patch-${release.replaceAll('.', '_')} 2>/dev/null; ${LISTED}`);
  assert.deepEqual(printed.trim().split('\n'), [`${patch} (${release})`, 'none']);
});
