// Visitors of two networks, of which one freezes connections: the running server keeps count, and `max-auth doctor --networks`
// names it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fetchWhole } from '../harness/http.mjs';
import { BINARY } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { environment } from '../harness/server.mjs';
import { Cleanup, startPair } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor, loginOf, trackOf } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
let emulator;
let server;
before(async () => {
  // Whoever asks comes from this machine, which is a trusted proxy.
  ({ emulator, server } = await startPair(cleanup));
});
after(() => cleanup.run());

/** So many codes, 2 KB each, are more than 8 KB. MAX gives one a second. */
const CODES = 5;

/** The phone let this code expire, once MAX had been asked about it. */
async function expired(track) {
  const asked = async () => (await emulator.codes()).some((code) => code.track === track && code.polls > 0);
  await eventually(asked, 'a question about the code');
  await emulator.expire(track);
}

/** A visitor behind a proxy that says where they are. */
class Somebody extends Visitor {
  constructor(address) {
    super(server.base);
    this.address = address;
  }

  headers(extra = {}) {
    return super.headers({ 'x-forwarded-for': this.address, ...extra });
  }
}

/** Signs in over a WebSocket; `freezes`: it carries nothing any more behind the codes, and the page goes on without it. */
async function signInFrom(address, freezes) {
  const visitor = new Somebody(address);
  const stream = await visitor.startWs();
  const login = await loginOf(stream);
  let qr = await stream.until('qr');
  for (let codes = 1; codes < CODES; codes++) {
    await expired(trackOf(qr));
    qr = await stream.until('qr');
  }
  let carrier = stream;
  if (freezes) {
    stream.socket._socket.pause();
    for (const failed of ['ws.frozen', 'page.frozen,poll.failed'])
      assert.equal((await visitor.request(`/${login}/events?wait=0&after=${qr.id}&failed=${failed}`)).status, 200);
    carrier = visitor.pages(login, qr.id);
  }
  await emulator.approve(trackOf(qr));
  assert.equal((await carrier.outcome()).event, 'success');
  return stream;
}

const doctor = (args, settings = {}) =>
  run(BINARY, ['doctor', ...args], { env: { ...environment(settings), LANG: 'C', LC_ALL: '' }, ms: 60_000 });

const seen = async () => (await fetchWhole(`${server.ops}/networks`)).json;

test('before anybody came nothing is known', async () => {
  const told = await doctor(['--networks', '--ops', server.ops]);
  assert.equal(told.code, 0, told.output);
  assert.match(told.stdout, /nothing is known/);
});

test('the network that freezes connections is named, and the other is not', async () => {
  const frozen = await Promise.all([3, 4, 5].map((last) => signInFrom(`198.51.100.${last}`, true)));
  await Promise.all([3, 4, 5].map((last) => signInFrom(`203.0.113.${last}`, false)));
  const day = (network) => async () => (await seen()).networks.find((one) => one.network === network)?.day;
  await eventually(async () => (await day('203.0.0.0/16')())?.streams === 3, 'the streams of the network that is fine');
  const silent = await eventually(async () => {
    const counts = await day('198.51.0.0/16')();
    return counts.silent.between === 3 && counts;
  }, 'the goodbye that nobody answers');
  assert.deepEqual(
    { logins: silent.logins, frozen: silent.frozen, streams: silent.streams },
    { logins: 3, frozen: 3, streams: 3 },
  );
  assert.ok(silent.silent.meanBytes > 8 * 1024 && silent.silent.meanBytes < 40 * 1024, JSON.stringify(silent));
  assert.deepEqual((await day('203.0.0.0/16')()).silent, { below: 0, between: 0, above: 0, meanBytes: null });
  assert.doesNotMatch(JSON.stringify(await seen()), /198\.51\.100/, 'no address of a person');
  await Promise.all(frozen.map((stream) => stream.cut()));

  const told = await doctor(['--networks', '--ops', server.ops, '--json']);
  assert.equal(told.code, 1, told.output);
  const { networks, delivered } = JSON.parse(told.stdout);
  assert.equal(delivered, null, 'no path was asked');
  assert.deepEqual(
    networks.networks.map(({ network, verdict }) => [network, verdict]),
    [
      ['198.51.0.0/16', 'frozen'],
      ['203.0.0.0/16', 'fine'],
    ],
  );
  const [finding, ...more] = networks.findings;
  assert.equal(finding.code, 'frozen-by-network');
  assert.match(
    finding.evidence,
    /^1 of 2 networks in a day: 198\.51\.0\.0\/16: .* in 3 of 3 sign-ins, 3 of 3 streams .* of all others 0 of 3$/,
  );
  assert.match(finding.advice.join(), /a Russian address/);
  assert.deepEqual(more, []);
});

test('it is asked where the configuration says, in Russian, and beside the site', async () => {
  const settings = { SERVER_OPS_LISTEN: new URL(server.ops).host };
  const text = await doctor(['--networks', '--lang', 'ru'], settings);
  assert.equal(text.code, 1, text.output);
  assert.match(text.stdout, /теряют связь посреди входа[^]*198\.51\.0\.0\/16.*замораживает[^]*российский прокси/);
  const both = await doctor(['--networks', '--json', server.address], settings);
  assert.equal(both.code, 1, both.output);
  const { transport, networks } = JSON.parse(both.stdout);
  assert.deepEqual([transport, networks.findings.length], ['websocket', 1]);
});

test('an operator sees it in the metrics and in how streams ended', async () => {
  const metrics = await server.metrics();
  assert.match(metrics, /^max_auth_logins_frozen_total 3$/m);
  assert.match(metrics, /^max_auth_streams_frozen_total\{bytes="8k-40k"\} 3$/m);
  const streams = (await fetchWhole(`${server.ops}/streams`)).json;
  const { frozen, frozenBytes } = streams.find(({ transport }) => transport === 'websocket');
  assert.deepEqual([frozen, frozenBytes > 8 * 1024], [3, true]);
});

test('a listener that is not there, or is another one, is told', async () => {
  const gone = await doctor(['--networks', '--ops', '127.0.0.1:1']);
  assert.equal(gone.code, 3, gone.output);
  assert.match(gone.stderr, /127\.0\.0\.1:1\/networks: .*refused.*server\.ops_listen/);
  const other = await doctor(['--networks', '--ops', server.address]);
  assert.equal(other.code, 3, other.output);
  assert.match(other.stderr, /answered 404/);
});
