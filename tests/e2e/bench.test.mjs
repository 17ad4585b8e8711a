// `max-auth bench` against the real server and the emulator: every load and transport, a restart under it, and what it
// says when logins do not come through.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { BINARY } from '../harness/paths.mjs';
import { launch, run, tempFolder } from '../harness/process.mjs';
import { environment, startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup, everyLoginEnded } from '../harness/story.mjs';
import { pause } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

const MS = 90_000;
const bench = (...args) => run(BINARY, ['bench', ...args], { env: environment({}), ms: MS });

/** A run whose result is its JSON: {code, report, stderr}. */
async function measured(...args) {
  const { code, stdout, stderr } = await bench('--json', ...args);
  return { code, report: JSON.parse(stdout), stderr };
}

let emulator;
let servers;
before(async () => {
  emulator = cleanup.add(await startEmulator({ pollMs: 50 }));
  const server = () => startServer({ upstream: [[emulator.url, 'binary']], settings: { LOG_LEVEL: 'warn' } });
  servers = await Promise.all([server(), server()]);
  servers.forEach((each) => cleanup.add(each));
});
const addresses = () => servers.map(({ base }) => base);
const pids = () => servers.flatMap(({ child }) => ['--pid', String(child.pid)]);

for (const transport of ['websocket', 'sse', 'poll']) {
  test(`logins wait at two servers and then all succeed, over ${transport}`, async () => {
    const load = ['--logins', '10', '--ramp', '50', '--hold', '1', '--finish', '--transport', transport];
    const { code, report, stderr } = await measured(...addresses(), ...load, ...pids(), '--emulator', emulator.address);
    assert.equal(code, 0, stderr);
    const { started, waited, succeeded, failed, lost } = report.logins;
    assert.deepEqual(
      { started, waited, succeeded, failed, lost },
      { started: 10, waited: 10, succeeded: 10, failed: 0, lost: 0 },
    );
    assert.deepEqual(report.streams, { resumed: 0, fresh_codes: 0, out_of_order: 0 });
    assert.equal(report.approvals.given, 10);
    assert.equal(report.first_code_ms.count, 10);
    assert.equal(report.approval_to_success_ms.count, 10);
    assert.ok(report.success_ms.p50 >= 1000, 'they were held');
    assert.equal(report.processes.length, 2);
    assert.ok(
      report.processes.every(({ resident_after_kib }) => resident_after_kib > 1000),
      JSON.stringify(report),
    );
    await everyLoginEnded(emulator);
  });
}

test('visitors sign in again and again, and others come at a rate', async () => {
  const phone = ['--emulator', emulator.address];
  const closed = await measured(...addresses(), ...phone, ...pids(), '--visitors', '3', '--for', '2');
  assert.equal(closed.code, 0, closed.stderr);
  assert.equal(closed.report.load, 'closed');
  assert.ok(closed.report.logins.succeeded > 3, 'more than one each');
  assert.ok(closed.report.per_finished_login.cpu_ms > 0);

  const table = await bench(...addresses(), ...phone, '--rate', '10', '--for', '2');
  assert.equal(table.code, 0, table.stderr);
  assert.match(table.stdout, /^10 logins a second, for 2 s; websocket at 2 addresses/);
  assert.match(table.stdout, /^start to success +\d+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+ +[\d.]+$/m);
});

test('a server that stands still is not flattered: logins go on beginning, and their waiting counts', async () => {
  const server = cleanup.add(
    await startServer({ upstream: [[emulator.url, 'binary']], settings: { LOG_LEVEL: 'warn', STORE_KIND: 'memory' } }),
  );
  const load = ['--rate', '20', '--for', '4', '--emulator', emulator.address, '--json'];
  const running = cleanup.add(
    await launch('max-auth bench', BINARY, ['bench', server.base, ...load], { env: environment({}) }),
  );
  await pause(1000);
  server.child.kill('SIGSTOP');
  await pause(1500);
  server.child.kill('SIGCONT');
  const { code } = await running.exited;
  assert.equal(code, 0, running.output);
  const report = JSON.parse(running.stdout);
  // 80 on average; as many as the seed says, whatever the server did.
  const { stdout } = await bench(server.base, ...load);
  assert.equal(report.logins.started, JSON.parse(stdout).logins.started);
  assert.ok(report.logins.started > 50, running.stdout);
  assert.ok(report.first_code_ms.max >= 1200, running.stdout);
  assert.ok(report.first_code_ms.p90 >= 800, 'a third of them began while it stood still');
});

test('a server that is killed and started again loses no login that waits', async () => {
  const settings = { LOG_LEVEL: 'warn', STORE_KIND: 'file' };
  const options = { upstream: [[emulator.url, 'binary']], settings, state: tempFolder('bench-state') };
  const server = cleanup.add(await startServer(options));
  const load = ['--logins', '6', '--hold', '8', '--finish', '--emulator', emulator.address, '--json'];
  const running = cleanup.add(
    await launch('max-auth bench', BINARY, ['bench', server.base, ...load], {
      env: environment({}),
      ready: (self) => self.printed(/6 logins wait/),
      startMs: MS,
    }),
  );
  await server.stop('SIGKILL');
  cleanup.add(await startServer({ ...options, port: server.port, opsPort: Number(new URL(server.ops).port) }));
  const { code } = await running.exited;
  assert.equal(code, 0, running.output);
  const report = JSON.parse(running.stdout);
  assert.equal(report.logins.succeeded, 6);
  assert.ok(report.streams.resumed >= 6, 'each came back');
  assert.equal(report.streams.fresh_codes, 6, 'at one fresh code each');
  assert.equal(report.streams.out_of_order, 0);
});

test('what fails is counted by its code, what could not begin is said loudly: exit 1', async () => {
  const old = cleanup.add(await startEmulator({ args: ['--min-app-version', '99.0.0'] }));
  const server = cleanup.add(await startServer({ upstream: [[old.url, 'binary']], settings: { LOG_LEVEL: 'warn' } }));
  const { code, report, stderr } = await measured(server.base, '--logins', '3', '--hold', '0');
  assert.equal(code, 1);
  assert.equal(report.logins.failed, 3);
  assert.deepEqual(report.reasons, { 'qr-login-disabled': 3 });
  assert.match(stderr, /of 3 logins 3 failed \(most often: qr-login-disabled\)/);

  // Nobody approves: each is given up after a second, and there is room for one.
  const args = ['--rate', '20', '--for', '1', '--open-at-most', '1', '--timeout', '1'];
  const crowded = await bench(addresses()[0], ...args);
  assert.equal(crowded.code, 1);
  assert.match(crowded.stdout, /^NOT STARTED +\d+$/m);
  assert.match(crowded.stdout, /too slow: no success/);

  const nobody = await measured('http://127.0.0.1:1/api/auth/max', '--logins', '2', '--hold', '0');
  assert.equal(nobody.code, 1);
  assert.deepEqual(nobody.report.reasons, { 'connection: connection refused': 2 });
});

test('arguments that make no sense: exit 2, in words', async () => {
  for (const [args, why] of [
    [['http://192.0.2.1/api/auth/max'], /is not on this machine/],
    [[addresses()[0], '--visitors', '2', '--logins', '5', '--for', '1'], /cannot be used with/],
    [[addresses()[0], '--rate', '5'], /--for/],
    [[addresses()[0], '--logins', '1000000'], /need 1000160 open files/],
    [[addresses()[0], '--pid', '4194304'], /no such process/],
  ]) {
    const { code, stderr } = await bench(...args);
    assert.equal(code, 2, stderr);
    assert.match(stderr, why);
  }
});
