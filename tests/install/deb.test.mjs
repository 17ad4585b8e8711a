// The Debian package on a clean Debian: installed, started as its unit says, signed in to, upgraded with everybody still signed
// in, removed, installed again, purged. There is no systemd inside, which the package must bear;
// systemd.test.mjs has one.

import assert from 'node:assert/strict';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { ROOT } from '../harness/paths.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { freePort, tempFolder } from '../harness/process.mjs';
import { startEmulator } from '../harness/server.mjs';
import { Cleanup, everyLoginEnded, signIn } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { CONFIG, STATE, UNIT, packages } from './packages.mjs';
import { RootFs, fine } from './rootfs.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let root;
let debs;
let emulator;
let settings;
/** Who signed in to the first version. */
let visitor;

before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: 20 }));
  root = cleanup.add(await RootFs.make());
  debs = await packages();
  settings = { port: await freePort(), ops: await freePort() };
});

const version = async () => (await root.fine('dpkg-query', '-W', '-f', '${Version}', 'max-auth')).stdout;
const installed = async () => (await root.run('dpkg-query', '-W', '-f', '${db:Status-Status}', 'max-auth')).stdout;

/** The service as its unit starts it; ends as systemd would end it. */
async function service(work) {
  const ops = `http://127.0.0.1:${settings.ops}`;
  const running = await root.start(UNIT, () =>
    eventually(async () => (await fetchWhole(`${ops}/healthz`, { ms: 3000 })).status === 200, 'healthz', 30_000),
  );
  try {
    return await work(`http://127.0.0.1:${settings.port}/api/auth/max`);
  } catch (error) {
    error.message += `\n--- ${UNIT} printed ---\n${running.output.slice(-4000)}`;
    throw error;
  } finally {
    const { code } = await running.stop('SIGTERM');
    assert.equal(code, 0, `a stop is no failure\n${running.output.slice(-2000)}`);
  }
}

test('it installs where there is no systemd, with its user, its files and their modes', async () => {
  const { output } = await root.install(debs.first);
  assert.doesNotMatch(output, /warning|error|cannot|failed/i, output);
  const [, uid, , , home, shell] = (await root.fine('getent', 'passwd', 'max-auth')).stdout.trim().split(/:(?:x:)?/);
  assert.ok(Number(uid) > 0 && Number(uid) < 1000, `a system user: ${uid}`);
  assert.deepEqual([home, shell], [STATE, '/usr/sbin/nologin']);
  for (const [path, mode] of [
    ['/usr/bin/max-auth', '0755 root:root'],
    ['/etc/max-auth', '0755 root:root'],
    [CONFIG, '0640 root:max-auth'],
    [STATE, '0700 max-auth:max-auth'],
    ['/usr/lib/systemd/system/max-auth.service', '0644 root:root'],
    ['/usr/share/doc/max-auth/copyright', '0644 root:root'],
    ['/usr/share/doc/max-auth/max-auth.toml', '0644 root:root'],
    ['/usr/share/man/man1/max-auth.1.gz', '0644 root:root'],
    ['/usr/share/man/man1/max-auth-keys-rotate.1.gz', '0644 root:root'],
    ['/usr/share/man/man5/max-auth.toml.5.gz', '0644 root:root'],
    ['/usr/share/bash-completion/completions/max-auth', '0644 root:root'],
    ['/usr/share/zsh/vendor-completions/_max-auth', '0644 root:root'],
    ['/usr/share/fish/vendor_completions.d/max-auth.fish', '0644 root:root'],
  ])
    assert.equal(await root.mode(path), mode, path);
  const wanted = root.at('etc/systemd/system/multi-user.target.wants/max-auth.service');
  assert.match(readlinkSync(wanted), /\/lib\/systemd\/system\/max-auth\.service$/, 'starts with the machine');
  assert.equal((await root.fine('dpkg', '--verify', 'max-auth')).stdout, '', 'as packed');
  const [, packed] = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8').match(/^version = "(.*)"$/m);
  assert.equal((await root.fine('max-auth', '--version')).stdout, `max-auth ${packed}\n`);
  assert.equal(await version(), `${packed}-1`);
});

test('systemd finds nothing wrong with the unit, and little that it could do', async () => {
  const units = '/usr/lib/systemd/system';
  // The targets that it names are systemd's own, which the small system has not.
  const whole = tempFolder('verified');
  mkdirSync(join(whole, units), { recursive: true });
  for (const name of readdirSync(units).filter((name) => name.endsWith('.target')))
    cpSync(join(units, name), join(whole, units, name), { verbatimSymlinks: true });
  cpSync(root.at(join(units, UNIT)), join(whole, units, UNIT));
  cpSync(root.at('usr/bin/max-auth'), join(whole, 'usr/bin/max-auth'));
  const verified = await fine('systemd-analyze', ['verify', `--root=${whole}`, '--man=no', join(units, UNIT)]);
  assert.doesNotMatch(verified.output, /max-auth/, verified.output);
  const rated = await fine('systemd-analyze', [
    'security',
    '--offline=yes',
    '--threshold=20',
    root.at(join(units, UNIT)),
  ]);
  assert.match(rated.stdout, /Overall exposure level for max-auth\.service: [01]\.\d/, rated.stdout.slice(-200));
});

test('the configuration as shipped is fine, and so is each line that stands commented out in it', async () => {
  const check = () => root.run('max-auth', 'config', 'check', '--config', CONFIG);
  assert.equal((await check()).stdout, 'the configuration is fine\n');
  const shipped = root.read(CONFIG);
  const all = shipped.replace(/^#(?=\w+ = )/gm, '');
  assert.ok(all.split('\n').filter((line) => /^\w+ = /.test(line)).length >= 6, all);
  writeFileSync(root.at(CONFIG), all);
  const checked = await check();
  writeFileSync(root.at(CONFIG), shipped);
  assert.equal(checked.stdout, 'the configuration is fine\n', checked.stderr);
  assert.equal((await root.run('max-auth', 'health', '--config', CONFIG)).code, 1, 'nothing was started');
});

test('started as its unit says, somebody signs in', async () => {
  const url = `http://127.0.0.1:${settings.port}`;
  const edited = root
    .read(CONFIG)
    .replace(/^#public_url = .*$/m, `public_url = "${url}"`)
    .replace(/^#listen = .*$/m, `listen = "127.0.0.1:${settings.port}"`)
    .replace(/^#ops_listen = .*$/m, `ops_listen = "127.0.0.1:${settings.ops}"`);
  settings.config = `${edited}# My own words.\n`;
  writeFileSync(root.at(CONFIG), settings.config);
  const endpoints = `[{ url = "${emulator.url}", dialect = "binary" }]`;
  writeFileSync(root.at('etc/max-auth/env'), `# Where MAX is.\nMAX_AUTH_UPSTREAM_ENDPOINTS='${endpoints}'\n`);
  await service(async (base) => {
    assert.equal((await root.fine('max-auth', 'health', '--config', CONFIG)).stdout, 'healthy\n');
    ({ visitor } = await signIn({ emulator, base }));
  });
  await everyLoginEnded(emulator, 1);
  const kept = (await root.fine('find', STATE, '-type', 'f', '-printf', '%m %u:%g %f\n')).stdout.trim().split('\n');
  assert.ok(kept.length >= 2, `a store and a key: ${kept}`);
  for (const file of kept) assert.match(file, /^600 max-auth:max-auth /, kept.join(', '));
});

test('a higher version goes on with who is signed in, and with the edited configuration', async () => {
  await root.install(debs.second, '--force-confdef');
  assert.match(await version(), /\+next$/);
  assert.equal(root.read(CONFIG), settings.config);
  assert.match(root.read(`${CONFIG}.dpkg-dist`), /Said by the next version only/, 'to be compared');
  await service(async () => assert.equal((await visitor.session()).status, 200));
});

test('what the administrator made of owner and mode stays', async () => {
  chmodSync(root.at(CONFIG), 0o644);
  await root.fine('chown', 'root:root', CONFIG);
  await root.install(debs.second, '--force-confdef');
  assert.equal(await root.mode(CONFIG), '0644 root:root');
});

test('removed, the state stays; installed again, who was signed in still is', async () => {
  await root.fine('dpkg', '-r', 'max-auth');
  assert.equal(await installed(), 'config-files');
  assert.ok(!root.has('usr/bin/max-auth') && !root.has('usr/lib/systemd/system/max-auth.service'));
  assert.equal(root.read(CONFIG), settings.config);
  assert.equal(await root.mode(STATE), '0700 max-auth:max-auth');
  await root.install(debs.second, '--force-confdef');
  await service(async () => assert.equal((await visitor.session()).status, 200));
});

test('purged, nothing of it is left but its user', async () => {
  const { output } = await root.fine('dpkg', '-P', 'max-auth');
  assert.doesNotMatch(output, /warning|not empty/i);
  for (const path of [STATE, '/etc/max-auth', '/usr/bin/max-auth', '/usr/share/doc/max-auth'])
    assert.ok(!root.has(path), path);
  const left = await root.fine(
    'find',
    '/etc',
    '/usr',
    '/var/lib',
    '-name',
    '*max-auth*',
    '-not',
    '-path',
    '/var/lib/dpkg/*',
  );
  assert.equal(left.stdout, '');
  assert.match((await root.fine('getent', 'passwd', 'max-auth')).stdout, /^max-auth:/);
});
