// The Debian package where systemd runs: a clean Debian whose first process is systemd, in namespaces of its own. What the unit's
// sandbox forbids is really forbidden here.

import assert from 'node:assert/strict';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { freePort, launch, run } from '../harness/process.mjs';
import { startEmulator } from '../harness/server.mjs';
import { Cleanup, signIn } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { CONFIG, STATE, UNIT, packages } from './packages.mjs';
import { RootFs } from './rootfs.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let root;
let debs;
let emulator;
let port;
let ops;
/** The pid of the system's first process, as we see it. */
let system;
let visitor;

// Devices, kernel file systems and control groups as a container has them; then the root is changed for good, because user
// namespaces (PrivateUsers=) are not to be had in a chroot.
const BOOT = `
set -e
mount --make-rprivate /
mount --bind "$1" "$1"
cd "$1"
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if grep -q name=systemd /proc/self/cgroup; then
  mount -t tmpfs -o mode=755 tmpfs sys/fs/cgroup
  mkdir sys/fs/cgroup/systemd
  mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
else
  mount -t cgroup2 cgroup2 sys/fs/cgroup
fi
for folder in run tmp dev; do mount -t tmpfs -o mode=755 tmpfs $folder; done
while read -r name minor; do mknod -m 666 "dev/$name" c $minor; done <<END
null 1 3
zero 1 5
full 1 7
random 1 8
urandom 1 9
tty 5 0
END
mkdir dev/shm dev/pts old
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
pivot_root . old
umount -l /old
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin \\
  /lib/systemd/systemd --system --unit=multi-user.target --log-target=console --show-status=false
`;

before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
  [port, ops] = [await freePort(), await freePort()];
  debs = await packages();
  root = cleanup.add(await RootFs.make(['systemd', 'systemd-sysv', 'dbus']));
  for (const [name, path] of Object.entries(debs)) cpSync(path, root.at(`${name}.deb`));
  const spaces = ['--mount', '--pid', '--uts', '--ipc', '--cgroup', '--fork', '--kill-child'];
  const booted = await launch('systemd', 'unshare', [...spaces, 'bash', '-c', BOOT, 'bash', root.path], {
    ready: async (self) => {
      await eventually(async () => {
        const children = readFileSync(`/proc/${self.child.pid}/task/${self.child.pid}/children`, 'utf8');
        system = children.trim();
        return system && (await inside('systemctl', 'is-system-running')).stdout.startsWith('running');
      }, 'systemd to run');
    },
    startMs: 30_000,
  });
  // Its end is the end of all that runs inside.
  cleanup.add({ stop: () => booted.stop('SIGKILL') });
});

/** A command inside, as root. */
function inside(command, ...args) {
  const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8'];
  return run('nsenter', ['-t', system, '-m', '-p', '-u', '-i', ...env, command, ...args], { ms: 60_000 });
}

async function fine(command, ...args) {
  const ended = await inside(command, ...args);
  assert.equal(ended.code, 0, `${command} ${args.join(' ')}\n${ended.output}\n${await journal()}`);
  return ended;
}

/** Of everything: what ends at once is not always known to be of its unit. */
const journal = async () => (await inside('journalctl', '--no-pager', '-n', '60')).stdout;
const property = async (name) => (await inside('systemctl', 'show', '-P', name, UNIT)).stdout.trim();
const healthy = () =>
  eventually(
    async () => (await inside('max-auth', 'health', '--config', CONFIG)).stdout === 'healthy\n',
    'the service to be healthy',
    15_000,
    200,
  ).catch(async (error) => {
    error.message += `\n${await journal()}`;
    throw error;
  });

test('installed, it runs, sandboxed, and will run after the next start of the machine', async () => {
  await fine('dpkg', '-i', '/first.deb');
  await healthy();
  assert.equal(await property('ActiveState'), 'active');
  assert.equal((await fine('systemctl', 'is-enabled', UNIT)).stdout, 'enabled\n');
  const status = (await fine('cat', `/proc/${await property('MainPID')}/status`)).stdout;
  assert.match(status, /^CapEff:\t0+$/m);
  assert.match(status, /^NoNewPrivs:\t1$/m);
  assert.match(status, /^Seccomp:\t2$/m, 'system calls are filtered');
  assert.equal((await fine('stat', '-c', '%a %U', STATE)).stdout, '700 max-auth\n');
});

test('with its settings, somebody signs in', async () => {
  const settings = readFileSync(`/proc/${system}/root${CONFIG}`, 'utf8')
    .replace(/^#public_url = .*$/m, `public_url = "http://127.0.0.1:${port}"`)
    .replace(/^#listen = .*$/m, `listen = "127.0.0.1:${port}"`)
    .replace(/^#ops_listen = .*$/m, `ops_listen = "127.0.0.1:${ops}"`);
  writeFileSync(`/proc/${system}/root${CONFIG}`, settings);
  const endpoints = `MAX_AUTH_UPSTREAM_ENDPOINTS='[{ url = "${emulator.url}", dialect = "binary" }]'\n`;
  writeFileSync(`/proc/${system}/root/etc/max-auth/env`, endpoints);
  await fine('systemctl', 'restart', UNIT);
  await healthy();
  ({ visitor } = await signIn({ emulator, base: `http://127.0.0.1:${port}/api/auth/max` }));
});

test('an upgrade restarts it by itself, and who is signed in stays so', async () => {
  const before = await property('MainPID');
  await fine('dpkg', '--force-confdef', '-i', '/second.deb');
  await healthy();
  assert.notEqual(await property('MainPID'), before);
  assert.equal(await property('NRestarts'), '0', 'it stopped and started as it should');
  assert.equal((await visitor.session()).status, 200);
});

test('wrong settings are said in the journal, and nothing is started with them', async () => {
  const path = `/proc/${system}/root${CONFIG}`;
  const settings = readFileSync(path, 'utf8');
  writeFileSync(path, settings.replace('public_url', 'public_ulr'));
  assert.notEqual((await inside('systemctl', 'restart', UNIT)).code, 0);
  await eventually(async () => /public_ulr.*public_url/.test(await journal()), 'the journal to say it', 5000, 200);
  writeFileSync(path, settings);
  await fine('systemctl', 'restart', UNIT);
  await healthy();
});

test('removed, it is stopped; purged, nothing is left of it', async () => {
  const pid = await property('MainPID');
  await fine('dpkg', '-r', 'max-auth');
  assert.notEqual((await inside('test', '-d', `/proc/${pid}`)).code, 0, 'it still runs');
  await fine('test', '-d', STATE);
  await fine('dpkg', '-P', 'max-auth');
  assert.notEqual((await inside('test', '-e', STATE)).code, 0);
  assert.equal((await inside('systemctl', 'list-unit-files', '--no-legend', UNIT)).stdout, '');
});
