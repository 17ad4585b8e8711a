// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBrowser } from '../../web/browser.js';
import { parsePosition, sseParser } from '../../web/transports.js';
import { World, json, problem, settle } from './world.js';

const STORY = ['status2', 'qr3', 'status4', 'qr5', 'status6', 'status7', 'success8'];
const ALL = ['status1', ...STORY];
/** @param {World} world @param {string} step */
const tell = (world, step) => world.emit(step.replace(/\d/, ''), { n: Number(step.at(-1)) });

/** Every transport, alone. @type {[string, (world: World) => void][]} */
const ALONE = [
  ['ws', () => {}],
  ['sse', (world) => (world.ws = 'hang')],
  ['poll', (world) => ((world.ws = 'hang'), (world.sse = 'hang'))],
];

test('the first event comes with the POST, before any other request', async () => {
  const world = new World();
  world.start({ returnTo: '/cart' });
  await settle();
  assert.deepEqual(world.events, ['status1']);
  const [post] = world.asked;
  assert.equal(post.method, 'POST');
  assert.equal(post.accept, 'application/json');
  assert.equal(post.init.credentials, 'include');
  assert.equal(post.body.returnTo, '/cart');
  assert.equal(post.body.locale, 'en');
  assert.equal(typeof post.body.userAgent.deviceName, 'string');
});

test('polling goes on until the WebSocket has delivered, then it stops', async () => {
  const world = new World();
  world.start();
  await settle();
  assert.equal(world.kinds('poll').length, 1);
  assert.equal(world.kinds('poll')[0].query.get('wait'), '2');
  assert.equal(world.sockets.length, 1);
  assert.equal(world.sockets[0].url.protocol, 'wss:');
  assert.equal(world.sockets[0].url.searchParams.get('after'), 'ep-1-1');
  assert.equal(world.sockets[0].url.searchParams.get('beat'), '1');
  await world.clock.advance(40);
  assert.ok(world.kinds('poll')[0].init.signal.aborted, 'the poll in flight is given up');
  await world.clock.advance(60_000);
  assert.equal(world.kinds('poll').length, 1);
  tell(world, 'qr2');
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

test('a WebSocket that opens but says nothing costs nothing: pages go on, SSE is tried after 4 s', async () => {
  const world = new World();
  world.ws = 'hang';
  world.sse = 'held';
  world.start();
  await world.clock.advance(1000);
  tell(world, 'qr2');
  await settle();
  assert.deepEqual(world.events, ['status1', 'qr2'], 'over a page, at once');
  await world.clock.advance(3100);
  assert.equal(world.kinds('sse').length, 1);
  assert.equal(world.liveSockets.length, 0);
  await world.clock.advance(3100);
  assert.ok(world.kinds('sse')[0].init.signal.aborted, 'and given up after 3 s');
  await world.clock.advance(3000);
  assert.equal(world.kinds('poll').at(-1)?.query.get('wait'), '10', 'alone now: long holds');
  world.ws = 'ok';
  await world.clock.advance(60_000);
  assert.equal(world.liveSockets.length, 1, 'the WebSocket is tried again later');
  const polls = world.kinds('poll').length;
  await world.clock.advance(30_000);
  assert.equal(world.kinds('poll').length, polls, 'and took over');
});

test('what failed is told to the server once, with the next request', async () => {
  const world = new World();
  world.ws = 'hang';
  world.sse = 'held';
  world.start();
  await world.clock.advance(20_000);
  const told = world.asked.map(({ query }) => query.get('failed')).filter(Boolean).join(',').split(',');
  assert.deepEqual(told.slice(0, 2), ['ws.hang', 'sse.hang']);
  assert.equal(told.length, 2);
});

test('a WebSocket closed twice before it delivered gives way to SSE', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.start();
  await world.clock.advance(1000);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.kinds('sse').length, 1);
  const polls = world.kinds('poll').length;
  await world.clock.advance(30_000);
  assert.equal(world.kinds('poll').length, polls, 'SSE delivered: no more pages');
  tell(world, 'qr2');
  await settle();
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

for (const [name, prepare] of ALONE) {
  test(`the whole story over ${name} alone`, async () => {
    const world = new World();
    prepare(world);
    world.start();
    await world.clock.advance(9000);
    for (const step of STORY) {
      tell(world, step);
      await world.clock.advance(700);
    }
    assert.deepEqual(world.events, ALL);
    if (name === 'poll') assert.equal(world.clock.pending, 0, 'nothing is left running');
  });

  for (const cutAt of STORY) {
    test(`${name}: cut just before ${cutAt}, nothing lost, doubled or out of order`, async () => {
      const world = new World();
      prepare(world);
      world.start();
      await world.clock.advance(9000);
      for (const step of STORY) {
        if (step === cutAt) {
          for (const socket of world.sockets) socket.cut(1006);
          for (const stream of [...world.streams]) stream.cut();
          world.onPoll = () => 'reset';
          tell(world, step);
          await world.clock.advance(100);
          world.onPoll = () => undefined;
          await world.clock.advance(2000);
        } else {
          tell(world, step);
          await world.clock.advance(100);
        }
      }
      await world.clock.advance(12_000);
      assert.deepEqual(world.events, ALL);
    });
  }
}

test('a WebSocket that comes to life later takes over from SSE, which is closed', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.start();
  await world.clock.advance(2000);
  assert.equal(world.streams.size, 1);
  world.ws = 'ok';
  await world.clock.advance(62_000);
  assert.equal(world.liveSockets.length, 1);
  assert.equal(world.streams.size, 0);
  tell(world, 'qr2');
  await settle();
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

test('a stream that failed is left alone for a minute, whoever comes back meanwhile', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.start();
  await world.clock.advance(10_000);
  const [sockets, sse] = [world.sockets.length, world.kinds('sse').length];
  for (let i = 0; i < 10; i++) {
    world.window.dispatchEvent(new Event('focus'));
    await world.clock.advance(3000);
  }
  assert.deepEqual([world.sockets.length, world.kinds('sse').length], [sockets, sse]);
});

test('nothing listens on the page once it is over', async () => {
  const world = new World();
  let listening = 0;
  const count = {
    addEventListener: () => void listening++,
    removeEventListener: () => void listening--,
  };
  const stop = world.start({ ...count, document: count });
  assert.equal(listening, 4);
  stop();
  assert.equal(listening, 0);
});

test('the same event over two transports is told once', async () => {
  const world = new World();
  world.start();
  await settle();
  const [socket] = world.sockets;
  socket.readyState = 1;
  tell(world, 'qr2');
  await settle();
  socket.say({ id: 'ep-1-1', event: 'status', data: { n: 1 } });
  socket.say({ id: 'ep-1-2', event: 'qr', data: { n: 2 } });
  socket.say({ id: 'ep-1-3', event: 'status', data: { n: 3 } });
  assert.deepEqual(world.events, ['status1', 'qr2', 'status3']);
});

test('a page in any order is told in order', async () => {
  const world = new World();
  const events = [2, 1, 3].map((n) => ({ id: `e-${n}`, event: 'status', data: { n } }));
  world.onPost = () => json({ login: 'x', events, next: 'e-3' });
  world.onPoll = () => 'never';
  world.start();
  await settle();
  assert.deepEqual(world.events, ['status1', 'status2', 'status3']);
});

test('a lost WebSocket is resumed by a page at once and by a new socket with growing pauses', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(1000);
  world.sockets[0].cut(1006);
  tell(world, 'qr2');
  await settle();
  assert.deepEqual(world.events, ['status1', 'qr2'], 'no pause before the page');
  await world.clock.advance(450);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.sockets[1].url.searchParams.get('after'), 'ep-1-2');
  world.sockets[1].cut(1006);
  await world.clock.advance(400);
  assert.equal(world.sockets.length, 2, 'the second pause is longer');
  await world.clock.advance(400);
  assert.equal(world.sockets.length, 3);
});

test('a socket without a beat for 25 s is dead, whatever its readyState says', async () => {
  const world = new World();
  world.ws = 'mute';
  world.start();
  await world.clock.advance(24_000);
  assert.equal(world.kinds('poll').length, 1);
  world.ws = 'ok';
  await world.clock.advance(2000);
  assert.equal(world.kinds('poll').length, 2);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(world.sockets[0].closedBy, [4000, 'Resuming elsewhere']);
  assert.deepEqual(world.events, ['status1'], 'and the visitor saw nothing of it');
});

test('back after a moment: the open socket says wake', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(1000);
  world.show('hidden');
  await world.clock.advance(3000);
  world.show('visible');
  world.window.dispatchEvent(new Event('focus'));
  assert.deepEqual(world.sockets[0].sent, [{ wake: true }], 'once, though two events came');
  assert.equal(world.sockets.length, 1);
});

test('back after longer: the socket is not believed, a page with wake is asked at once', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(1000);
  world.show('hidden');
  world.clock.sleepThrough(40_000);
  world.sockets[0].onmessage = null; // killed without a word, readyState stays open
  tell(world, 'status2');
  tell(world, 'success3');
  world.show('visible');
  await settle();
  assert.equal(world.log.wakes, 1);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(world.events, ['status1', 'status2', 'success3']);
});

for (const name of ['online', 'pageshow']) {
  test(`${name} resumes at once`, async () => {
    const world = new World();
    world.start();
    await world.clock.advance(1000);
    world.window.dispatchEvent(Object.assign(new Event(name), { persisted: true }));
    await settle();
    assert.equal(world.log.wakes, 1);
    assert.equal(world.sockets.length, 2);
    await world.clock.advance(1000);
    assert.equal(world.liveSockets.length, 1);
  });
}

test('focus while only pages live: the held page is dropped for one with wake', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.start();
  await world.clock.advance(20_000);
  const held = world.kinds('poll').at(-1);
  world.window.dispatchEvent(new Event('focus'));
  await settle();
  assert.ok(held?.init.signal.aborted);
  assert.equal(world.log.wakes, 1);
});

test('the server restarted: a fresh login begins by itself and the visitor only sees its events', async () => {
  for (const [, prepare] of ALONE) {
    const world = new World();
    prepare(world);
    world.start();
    await world.clock.advance(9000);
    tell(world, 'qr2');
    await settle();
    world.forgetAll();
    await world.clock.advance(11_000);
    assert.equal(world.kinds('post').length, 2);
    tell(world, 'qr2');
    await world.clock.advance(100);
    assert.deepEqual(world.events, ['status1', 'qr2', 'status1', 'qr2']);
  }
});

test('position-gone begins anew as well, at most three times a minute', async () => {
  const world = new World();
  world.ws = 'hang';
  world.sse = 'hang';
  let polls = 0;
  // The first page of each login is fine, so the cookie works; every second one says that the position is gone.
  world.onPoll = () => (polls++ % 2 ? problem(410, 'position-gone') : json({ events: [], next: 'x-1' }));
  world.start();
  await world.clock.advance(50_000);
  assert.equal(world.kinds('post').length, 4);
  await world.clock.advance(20_000);
  assert.ok(world.kinds('post').length > 4);
  assert.ok(!world.events.includes('error'));
});

test('visitor-left is no end for a visitor who is still here', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(1000);
  world.emit('error', { code: 'visitor-left', retry: true });
  await world.clock.advance(1000);
  assert.equal(world.kinds('post').length, 2);
  assert.deepEqual(world.events, ['status1', 'status1']);
});

test('an event of another epoch is never told', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(1000);
  world.sockets[0].say({ id: 'other-9', event: 'success', data: { n: 9 } });
  await settle();
  assert.ok(!world.events.includes('success9'));
});

test('logins unknown from their first page on: the cookie does not stick, say so', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.onPoll = () => problem(404, 'login-not-found');
  world.start();
  await world.clock.advance(120_000);
  assert.equal(world.told.at(-1)?.[0], 'error');
  assert.equal(world.told.at(-1)?.[1].code, 'cookies-blocked');
  assert.equal(world.kinds('post').length, 3);
});

test('a 404 that is not ours (a proxy in front of a server that restarts) is waited out', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = () => new Response('<h1>404</h1>', { status: 404 });
  world.onPoll = () => new Response('<h1>Not Found</h1>', { status: 404 });
  world.start();
  await world.clock.advance(30_000);
  world.onPoll = () => undefined;
  tell(world, 'qr2');
  await world.clock.advance(11_000);
  assert.equal(world.kinds('post').length, 1);
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

test('a hold that is cut at T shrinks, at once asks again, and creeps back', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  const cut = () => new Response('', { status: 504 });
  world.onPoll = (asked) => (Number(asked.query.get('wait')) > 3 ? { after: 3000, response: cut } : undefined);
  world.start();
  await world.clock.advance(30_000);
  const holds = world.kinds('poll').map((asked) => asked.query.get('wait'));
  assert.deepEqual(holds.slice(0, 6), ['2', '2', '10', '5', '2', '2']);
  const cutAt = world.kinds('poll')[3].at;
  const next = world.kinds('poll')[4].at;
  assert.ok(next - cutAt < 3300, 'a cut hold is no outage');
  world.onPoll = () => undefined;
  await world.clock.advance(120_000);
  assert.ok(Number(world.kinds('poll').at(-1)?.query.get('wait')) >= 5);
});

for (const [what, fault] of /** @type {[string, () => any][]} */ ([
  ['502', () => new Response('', { status: 502 })],
  ['503', () => new Response('', { status: 503 })],
  ['reset', () => 'reset'],
])) {
  test(`pages that fail at once (${what}) are asked with growing pauses, not in a storm`, async () => {
    const world = new World();
    world.ws = 'refuse';
    world.sse = 'hang';
    world.start();
    await world.clock.advance(10_000);
    world.onPoll = fault;
    const before = world.kinds('poll').length;
    await world.clock.advance(60_000);
    const asked = world.kinds('poll').length - before;
    assert.ok(asked >= 6 && asked <= 16, `${asked} in a minute`);
    world.onPoll = () => undefined;
    tell(world, 'qr2');
    await world.clock.advance(11_000);
    assert.deepEqual(world.events, ['status1', 'qr2']);
  });
}

test('a page that says Retry-After is obeyed in silence', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.start();
  await world.clock.advance(10_000);
  world.onPoll = () => problem(429, 'rate-limited', { 'retry-after': '7' });
  await world.clock.advance(4000);
  const before = world.kinds('poll').length;
  await world.clock.advance(20_000);
  assert.ok(world.kinds('poll').length - before <= 3);
  assert.deepEqual(world.events, ['status1']);
});

test('a poll that never answers is given up after its hold', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.start();
  await world.clock.advance(20_000);
  world.onPoll = () => 'never';
  await world.clock.advance(26_000);
  world.onPoll = () => undefined;
  tell(world, 'qr2');
  await world.clock.advance(16_000);
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

test('an empty page at once, again and again, does not spin', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.onPoll = () => json({ events: [], next: 'x-1' });
  world.start();
  await world.clock.advance(20_000);
  assert.ok(world.kinds('poll').length <= 22);
});

test('stop: the socket closes with 1000 "Client closed" and the login is deleted', async () => {
  const world = new World();
  const stop = world.start();
  await world.clock.advance(1000);
  stop();
  stop();
  assert.deepEqual(world.sockets[0].closedBy, [1000, 'Client closed']);
  assert.equal(world.kinds('delete').length, 1);
  assert.equal(world.kinds('delete')[0].path, '/login1');
  assert.equal(world.kinds('delete')[0].init.keepalive, true);
  tell(world, 'qr2');
  await world.clock.advance(60_000);
  assert.deepEqual(world.events, ['status1']);
  assert.equal(world.kinds('poll').length, 1);
});

test('stop while pages are asked: the page in flight is aborted', async () => {
  const world = new World();
  world.ws = 'hang';
  const stop = world.start();
  await settle();
  stop();
  assert.ok(world.kinds('poll')[0].init.signal.aborted);
  assert.equal(world.liveSockets.length, 0);
});

test('stop before the POST has answered still deletes the login', async () => {
  const world = new World();
  world.onPost = () => ({ after: 500, response: () => json({ login: 'late', events: [], next: 'e-0' }) });
  const stop = world.start();
  await settle();
  stop();
  await world.clock.advance(1000);
  assert.equal(world.kinds('delete')[0].path, '/late');
  assert.deepEqual(world.told, []);
});

for (const last of ['success', 'error']) {
  test(`${last} ends everything`, async () => {
    const world = new World();
    const stop = world.start();
    await world.clock.advance(1000);
    world.emit(last, { n: 2 });
    world.emit('status', { n: 3 });
    assert.deepEqual(world.events, ['status1', `${last}2`]);
    assert.equal(world.sockets[0].closedBy?.[0], 1000);
    stop();
    assert.equal(world.kinds('delete').length, 0, 'there is nothing left to give up');
    world.window.dispatchEvent(new Event('online'));
    await world.clock.advance(60_000);
    assert.equal(world.sockets.length, 1);
  });
}

test('a first POST that cannot get through is tried for 20 s, then it is an error with retry', async () => {
  const world = new World();
  world.onPost = () => 'reset';
  world.start();
  await world.clock.advance(15_000);
  assert.deepEqual(world.told, []);
  assert.ok(world.kinds('post').length >= 4);
  await world.clock.advance(20_000);
  assert.equal(world.told.length, 1);
  const [event, data] = /** @type {[string, any]} */ (world.told[0]);
  assert.equal(event, 'error');
  assert.equal(data.code, 'network');
  assert.equal(data.retry, true);
  assert.match(data.message, /cannot be reached/);
});

test('a first POST that gets through at the third try is no error', async () => {
  const world = new World();
  world.onPost = () => (world.kinds('post').length < 3 ? new Response('', { status: 502 }) : undefined);
  world.start();
  await world.clock.advance(5000);
  assert.deepEqual(world.events, ['status1']);
});

for (const [status, code] of /** @type {[number, string][]} */ ([
  [429, 'rate-limited'],
  [503, 'busy'],
])) {
  test(`${code} on the first POST is told with its pause`, async () => {
    const world = new World();
    world.onPost = () => problem(status, code, { 'retry-after': '12' });
    world.start();
    await settle();
    const [event, { message, ...data }] = world.told[0];
    assert.deepEqual([event, data], ['error', { code, retry: true, retryAfter: 12_000 }]);
    assert.match(message, /^Too many/, 'in the words of the visitor, not of the problem body');
    await world.clock.advance(60_000);
    assert.equal(world.kinds('post').length, 1);
  });
}

test('busy when a login is begun anew by ourselves is waited out in silence', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(1000);
  world.onPost = () => problem(503, 'busy', { 'retry-after': '5' });
  world.forgetAll();
  await world.clock.advance(8000);
  world.onPost = () => undefined;
  await world.clock.advance(6000);
  assert.deepEqual(world.events, ['status1', 'status1']);
});

test('a refused origin is told without retry', async () => {
  const world = new World();
  world.onPost = () => problem(403, 'origin-refused');
  world.start();
  await settle();
  assert.equal(world.told[0][1].code, 'origin-refused');
  assert.equal(world.told[0][1].retry, false);
});

test('ten minutes without an end are one, and not before', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(600_000);
  assert.deepEqual(world.events, ['status1']);
  await world.clock.advance(30_000);
  assert.equal(world.told.at(-1)?.[1].code, 'login-expired');
});

test('the winner is remembered for ten minutes', async () => {
  const world = new World();
  world.ws = 'hang';
  world.start()();
  const first = world.start();
  await world.clock.advance(6000);
  assert.match(world.storage.getItem('max-auth:transport') ?? '', /"sse"/);
  first();
  const sockets = world.sockets.length;
  world.asked.length = 0;
  const second = world.start();
  await settle();
  assert.equal(world.sockets.length, sockets, 'no WebSocket first');
  assert.equal(world.kinds('sse').length, 1, 'SSE at once');
  second();
  world.clock.sleepThrough(601_000);
  world.start();
  await settle();
  assert.equal(world.sockets.length, sockets + 1);
});

test('storage that throws is no storage', async () => {
  const world = new World();
  const getItem = () => {
    throw new Error('denied');
  };
  world.start({ storage: { getItem, setItem: getItem } });
  await world.clock.advance(1000);
  tell(world, 'qr2');
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

test('a listener that throws does not break the stream', async (t) => {
  t.mock.method(console, 'error', () => {});
  const world = new World();
  const { start } = world;
  void start;
  world.told.push = (/** @type {any[]} */ ...items) => {
    Array.prototype.push.apply(world.told, items);
    throw new Error('page bug');
  };
  world.start();
  await world.clock.advance(1000);
  tell(world, 'qr2');
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

test('the password goes out once and its refusal is told to the caller', async () => {
  const world = new World();
  const stop = world.start();
  await settle();
  assert.deepEqual(await stop.password('secret'), { ok: true });
  assert.deepEqual(world.kinds('password')[0].body, { password: 'secret' });
  assert.equal(world.kinds('password')[0].path, '/login1/password');
  stop();
  assert.equal((await stop.password('secret')).ok, false);
});

test('await startMaxAuth(cb) works as it did', async () => {
  const world = new World();
  const stop = await world.start();
  assert.equal(typeof stop, 'function');
  stop();
});

test('the report is bounded', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.onPoll = () => 'reset';
  const stop = world.start();
  await world.clock.advance(500_000);
  assert.equal(stop.report.length, 20);
});

test('positions', () => {
  assert.deepEqual(parsePosition('a-b-12'), { epoch: 'a-b', offset: 12 });
  for (const bad of ['', '12', '-1', 'a-', 'a-x', 'a-1e3', null, 7]) assert.equal(parsePosition(bad), null);
});

test('the SSE parser: any cut, any line end, comments are proof of life', () => {
  for (const eol of ['\n', '\r\n', '\r']) {
    const text = [':', '', 'retry: 50', 'id: e-1', 'event: qr', 'data: {"a":', 'data:1}', '', ''].join(eol) + ':' + eol;
    for (let cut = 0; cut <= text.length; cut++) {
      /** @type {any[]} */
      const seen = [];
      let heard = 0;
      const parse = sseParser(
        () => heard++,
        (wire) => seen.push(wire),
      );
      parse(text.slice(0, cut));
      parse(text.slice(cut));
      assert.deepEqual(seen, [{ id: 'e-1', event: 'qr', data: { a: 1 } }], `${JSON.stringify(eol)} ${cut}`);
      assert.ok(heard >= 6);
    }
  }
});

test('the browser as MAX will show it', () => {
  const chrome = 'AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0';
  const cases = /** @type {[string, string, string, number?][]} */ ([
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${chrome} YaBrowser/25.10 Safari/537.36`, 'Yandex', 'Windows'],
    [`Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${chrome} Safari/537.36 Edg/142.0`, 'Edge', 'Windows'],
    [`Mozilla/5.0 (X11; Linux x86_64) ${chrome} Safari/537.36`, 'Chrome', 'Linux'],
    [`Mozilla/5.0 (Linux; Android 15; Pixel 9) ${chrome} Mobile Safari/537.36`, 'Chrome', 'Android'],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0', 'Firefox', 'macOS'],
    ['Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604.1', 'Safari', 'iOS'],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18.0 Safari/605.1', 'Safari', 'iOS', 5],
    ['curl/8', 'Browser', 'Unknown'],
  ]);
  for (const [userAgent, deviceName, osVersion, maxTouchPoints] of cases) {
    const nav = { userAgent, language: 'en-US', maxTouchPoints: maxTouchPoints ?? 0 };
    const facts = describeBrowser(nav, /** @type {any} */ ({ screen: { width: 1920, height: 1080 }, devicePixelRatio: 2 }));
    assert.deepEqual([facts.deviceName, facts.osVersion], [deviceName, osVersion], userAgent);
    assert.equal(facts.screen, '1080x1920 2.0x');
    assert.equal(facts.locale, 'en');
    assert.equal(facts.isPwa, false);
  }
  assert.equal(describeBrowser({ userAgent: 'x'.repeat(900) }, /** @type {any} */ ({})).headerUserAgent.length, 512);
});
