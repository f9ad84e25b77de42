/**
 * A background workload for a guest: forks, file I/O, loopback sockets, signals, each in its own loop until it is stopped.
 * Every loop sleeps a little in each round, because emulated processors would otherwise do nothing else. It needs only
 * busybox.
 */
import type { Session } from '../check.ts';

const loops: Readonly<Record<string, (rest: (ms: number) => string) => string>> = {
  forks: (rest) => `while :; do (true | cat >/dev/null); /bin/true; ${rest(10)}; done`,
  files: (rest) =>
    `while :; do dd if=/dev/zero of=/tmp/load.$$ bs=16k count=64 2>/dev/null; cat /tmp/load.$$ >/dev/null; rm /tmp/load.$$; ${rest(20)}; done`,
  proc: (rest) =>
    `while :; do cat /proc/[0-9]*/stat /proc/[0-9]*/maps /proc/meminfo /proc/stat >/dev/null 2>&1; ${rest(30)}; done`,
  sockets: (rest) =>
    `mkdir -p /tmp/www; cp /init /tmp/www/page; httpd -p 127.0.0.1:8008 -h /tmp/www; while :; do wget -q -O /dev/null http://127.0.0.1:8008/page || sleep 0.1; ${rest(10)}; done`,
  signals: (rest) =>
    `while :; do sh -c 'trap : USR1; for i in 1 2 3 4 5 6 7 8; do kill -USR1 $$; done; sleep 0.05 & kill -STOP $!; kill -CONT $!; wait'; ${rest(1)}; done`,
};

export interface Load {
  /** Niceness of the loops, 0 to 19. */
  readonly niceness?: number;
  /** Factor for the sleep time of each loop. */
  readonly rest?: number;
}

/** Starts all loops. */
export async function startLoad(session: Session, { niceness = 5, rest = 1 }: Load = {}): Promise<void> {
  const scripts = Object.entries(loops).map(
    ([name, loop]) => `cat >/kpatch/load-${name} <<'EOF'
renice -n ${niceness} -p $$
${loop((ms) => `usleep ${ms * rest * 1000}`)}
EOF
setsid sh /kpatch/load-${name} </dev/null >/dev/null 2>&1 &`,
  );
  await session.sh(`mkdir -p /kpatch; ${scripts.join('\n')}\nsleep 0.5`, { step: 'start the load' });
}

/** Stops all loops and waits until their processes are gone. */
export async function stopLoad(session: Session): Promise<void> {
  await session.sh(
    `for p in /proc/[0-9]*; do
  case $(tr '\\0' ' ' <$p/cmdline 2>/dev/null) in */kpatch/load-*) kill -9 -\${p#/proc/} 2>/dev/null;; esac
done
killall -9 httpd wget dd 2>/dev/null
sleep 0.3
rm -rf /tmp/load.* /tmp/www; true`,
    { step: 'stop the load' },
  );
}

/** Processes created since boot (`processes` in /proc/stat) and packets on the loopback interface. */
export async function loadFigures(session: Session): Promise<{ processes: number; packets: number }> {
  const { output } = await session.sh("grep '^processes' /proc/stat; grep lo: /proc/net/dev");
  const processes = Number(/^processes (\d+)/m.exec(output)?.[1] ?? 0);
  const packets = Number(/lo:\s*\d+\s+(\d+)/.exec(output)?.[1] ?? 0);
  return { processes, packets };
}
