// @ts-check
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeBrowser } from '../../web/browser.js';
import { parsePosition } from '../../web/reader.js';
import { sseParser } from '../../web/sse.js';
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

test('polling goes on until the WebSocket has shown that it is in time, then it stops', async () => {
  const world = new World();
  world.start();
  await settle();
  assert.equal(world.kinds('poll').length, 1);
  assert.equal(world.kinds('poll')[0].query.get('wait'), '2');
  assert.equal(world.sockets.length, 1);
  assert.equal(world.sockets[0].url.protocol, 'wss:');
  assert.equal(world.sockets[0].url.searchParams.get('after'), 'ep-1-1');
  assert.equal(world.sockets[0].url.searchParams.get('beat'), '1');
  await world.clock.advance(200);
  assert.ok(!world.kinds('poll')[0].init.signal.aborted, 'two marks are not enough');
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
  assert.equal(world.kinds('sse')[0].query.get('trial'), '350', 'on trial');
  await world.clock.advance(400);
  assert.equal(world.kinds('sse')[1].query.get('padded'), '1', 'held to its end, so the padded stream');
  await world.clock.advance(400);
  assert.equal(world.streams.size, 0, 'and nothing of either is left');
  assert.equal(world.kinds('sse').length, 2);
  await world.clock.advance(5400);
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
  const told = world.asked
    .map(({ query }) => query.get('failed'))
    .filter(Boolean)
    .join(',')
    .split(',');
  assert.deepEqual(told, ['ws.hang', 'sse.late', 'sse.late']);
});

test('a WebSocket closed twice gives way to SSE', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.start();
  await world.clock.advance(1000);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(
    world.kinds('sse').map(({ query }) => query.has('trial')),
    [true, false],
    'a trial, and then in earnest',
  );
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
  await world.clock.advance(62_500);
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
  assert.equal(listening, 5);
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
  await world.clock.advance(700);
  assert.equal(world.sockets.length, 2);
  assert.equal(world.sockets[1].url.searchParams.get('after'), 'ep-1-2');
  world.sockets[1].cut(1006);
  await world.clock.advance(400);
  assert.equal(world.sockets.length, 2, 'the second pause is longer');
  await world.clock.advance(400);
  assert.equal(world.sockets.length, 3);
});

test('a socket whose beat does not come is dead, whatever its readyState says', async () => {
  const world = new World();
  world.ws = 'mute';
  world.start();
  await world.clock.advance(10_500);
  assert.equal(world.kinds('poll').length, 1);
  world.ws = 'ok';
  await world.clock.advance(700);
  assert.equal(world.kinds('poll').length, 2);
  assert.equal(world.sockets.length, 2);
  assert.deepEqual(world.sockets[0].closedBy, [4000, 'Resuming elsewhere']);
  assert.deepEqual(world.events, ['status1'], 'and the visitor saw nothing of it');
});

test('a line that froze: from then on each packet counts, and a WebSocket is left before its end', async () => {
  const world = new World();
  world.ws = 'mute';
  world.start();
  await world.clock.advance(10_500);
  world.ws = 'ok';
  await world.clock.advance(700);
  const [, second] = world.sockets;
  assert.equal(second.url.searchParams.get('beat'), '25');
  const told = [...world.kinds('poll').map(({ query }) => query), second.url.searchParams];
  assert.ok(
    told.some((query) => query.get('failed')?.includes('ws.frozen')),
    'the server is told what it was',
  );
  assert.match(world.storage.getItem('max-auth:transport') ?? '', /"frugal"/);
  const polls = world.kinds('poll').length;
  await world.clock.advance(39_000);
  assert.deepEqual([world.sockets.length, world.kinds('poll').length], [2, polls]);
  await world.clock.advance(2000);
  assert.equal(world.sockets.length, 3);
  assert.deepEqual(second.closedBy, [4000, 'Resuming']);

  // The end of a login is not waited for as long as a heartbeat.
  const third = world.sockets[2];
  world.emit('status', { stage: 'approved' });
  await settle();
  third.onmessage = null;
  await world.clock.advance(4500);
  assert.equal(third.closedBy?.[0], 4000);
  assert.equal(world.sockets.length, 4);
});

test('what was learnt of the line is known on the next page', async () => {
  const world = new World();
  world.ws = 'mute';
  world.start()();
  const first = world.start();
  await world.clock.advance(10_500);
  world.ws = 'ok';
  await world.clock.advance(700);
  first();
  world.start();
  await world.clock.advance(200);
  assert.equal(world.sockets.at(-1)?.url.searchParams.get('beat'), '25');
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
  assert.deepEqual(holds.slice(0, 8), ['2', '2', '2', '2', '10', '5', '2', '2']);
  const cutAt = world.kinds('poll')[5].at;
  const next = world.kinds('poll')[6].at;
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
  world.ws = 'refuse';
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

// ---- in time or not ---------------------------------------------------------------------------------------------------

/** Each step is told the moment it is made. @param {World} world */
async function storyAtOnce(world) {
  for (const step of STORY) {
    tell(world, step);
    await world.clock.advance(20);
    assert.equal(world.events.at(-1), step, 'told at once');
    await world.clock.advance(700);
  }
}

test('a WebSocket that delivers late does not displace pages that are live', async () => {
  const world = new World();
  world.wsLate = 1500;
  world.sse = 'hang';
  world.start();
  await world.clock.advance(4000);
  assert.equal(world.liveSockets.length, 0, 'tried twice and given up');
  assert.equal(world.sockets.length, 2);
  await storyAtOnce(world);
});

test('where the WebSocket is late and SSE is not, SSE it is', async () => {
  const world = new World();
  world.wsLate = 1500;
  const stop = world.start();
  await world.clock.advance(8000);
  assert.equal(world.streams.size, 1);
  const polls = world.kinds('poll').length;
  await storyAtOnce(world);
  assert.equal(world.kinds('poll').length, polls);
  assert.ok(stop.report.some(({ transport, why }) => transport === 'ws' && why === 'late'));
});

test('an SSE stream that delivers late does not, either, and is remembered', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sseLate = 1500;
  const stop = world.start();
  await world.clock.advance(8000);
  assert.equal(world.streams.size, 0);
  assert.match(world.storage.getItem('max-auth:transport') ?? '', /"poll"/);
  await storyAtOnce(world);
  stop();
  world.asked.length = 0;
  world.start();
  await world.clock.advance(5000);
  assert.equal(world.kinds('sse').length, 0, 'the next login begins with what works');
});

test('a line that is slow for everything is no reason to leave a stream', async () => {
  const world = new World();
  world.away = world.wsLate = 900;
  world.start();
  await world.clock.advance(10_000);
  const polls = world.kinds('poll').length;
  assert.equal(world.liveSockets.length, 1);
  await world.clock.advance(60_000);
  assert.equal(world.kinds('poll').length, polls, 'the WebSocket carries it');
});

for (const [kind, prepare] of ALONE.slice(0, 2)) {
  test(`${kind}: a stream that falls behind gives its place back within a beat, and is left alone`, async () => {
    const world = new World();
    prepare(world);
    const stop = world.start();
    await world.clock.advance(9000);
    if (kind === 'ws') world.sse = 'hang'; // nor is there anything else
    if (kind === 'ws') world.wsLate = 2000;
    else world.sseLate = 2000;
    await world.clock.advance(10_500);
    assert.ok(world.kinds('poll').length > 0);
    await world.clock.advance(10_000);
    assert.equal(
      world.liveSockets.length + world.streams.size,
      0,
      `reopened, late again, closed: ${JSON.stringify(stop.report)}`,
    );
    await storyAtOnce(world);
  });
}

test('a page that was busy itself does not take its own delay for that of the stream', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(9000);
  world.clock.sleepThrough(5000); // the timer is due before the message is read
  await world.clock.advance(30_000);
  assert.ok(world.kinds('poll').length <= 2, 'one look at most');
  assert.equal(world.liveSockets.length, 1);
});

// ---- a POST that does not get through ---------------------------------------------------------------------------------

test('a firewall that lets nobody post: the login begins over the WebSocket', async () => {
  const world = new World();
  world.onPost = () => new Response('<h1>Forbidden</h1>', { status: 403 });
  world.start({ returnTo: '/cart' });
  await world.clock.advance(100);
  assert.deepEqual(world.events, ['status1']);
  assert.equal(world.sockets[0].url.pathname, '/api/auth/max');
  assert.equal(world.sockets[0].sent[0].returnTo, '/cart');
  await world.clock.advance(1000);
  assert.equal(world.sockets.length, 1, 'and goes on there');
  await storyAtOnce(world);
  assert.equal(world.kinds('post').length, 1);
});

test('nor a WebSocket: the refusal is told', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.onPost = () => new Response('<h1>Forbidden</h1>', { status: 403 });
  world.start();
  await world.clock.advance(100);
  assert.equal(world.told[0][1].code, 'refused');
});

test('a busy server says so over the WebSocket as well', async () => {
  const world = new World();
  world.onPost = () => new Response('', { status: 405 });
  world.ws = 'hang';
  world.start();
  await world.clock.advance(100);
  world.sockets[0].say({ event: 'error', data: { code: 'busy', message: 'x', retry: true, retryAfter: 5000 } });
  await settle();
  assert.deepEqual([world.told[0][0], world.told[0][1].code, world.told[0][1].retryAfter], ['error', 'busy', 5000]);
});

test('a captive page instead of the first answer costs one round trip and no pause', async () => {
  const world = new World();
  world.onPost = () => (world.kinds('post').length < 2 ? new Response('<h1>Welcome to our Wi-Fi</h1>') : undefined);
  world.start();
  await world.clock.advance(1);
  assert.deepEqual(world.events, ['status1']);
});

// ---- signed in without leaving the page -------------------------------------------------------------------------------

/** @param {World} world @param {object} [options] */
async function upToSuccess(world, options = {}) {
  const stop = world.start({ redeem: true, ...options });
  await world.clock.advance(1000);
  world.emit('success', { token: 'T', redirect: '/x' });
  await settle();
  return stop;
}

test('redeem: success is told with the session, when there is one', async () => {
  const world = new World();
  /** @type {(response: Response) => void} */
  let answer = () => {};
  const { fetch } = world;
  world.fetch = /** @type {any} */ (
    (/** @type {string} */ url, /** @type {any} */ init) =>
      url.endsWith('/callback')
        ? (world.asked.push(/** @type {any} */ ({ url, init })), new Promise((resolve) => (answer = resolve)))
        : fetch(url, init)
  );
  await upToSuccess(world);
  assert.ok(!world.events.includes('success'), 'not before');
  const { init } = world.asked.at(-1) ?? {};
  assert.deepEqual(
    [init.method, JSON.parse(init.body).token, init.credentials, init.headers.Accept],
    ['POST', 'T', 'include', 'application/json'],
  );
  answer(json({ sub: 'max:1', name: 'И' }));
  await settle();
  assert.deepEqual(world.told.at(-1), [
    'success',
    { token: 'T', redirect: '/x', session: { sub: 'max:1', name: 'И' } },
  ]);
});

test('redeem: who did not hear the answer asks again by the same attempt', async () => {
  const world = new World();
  /** @type {any[]} */
  const bodies = [];
  world.onRedeem = ({ init }) => {
    bodies.push(JSON.parse(init.body));
    return bodies.length === 1 ? new Response('', { status: 502 }) : json({ sub: 'max:1' });
  };
  await upToSuccess(world);
  await world.clock.advance(1000);
  assert.deepEqual(world.told.at(-1)?.[1].session, { sub: 'max:1' });
  assert.deepEqual(bodies[1], bodies[0]);
  assert.match(bodies[0].attempt, /^[\w-]{8,}$/);
});

test('redeem: a token that is worth nothing is an error, not a success', async () => {
  const world = new World();
  world.onRedeem = () => problem(400, 'grant-invalid');
  await upToSuccess(world);
  await world.clock.advance(1000);
  assert.deepEqual([world.told.at(-1)?.[0], world.told.at(-1)?.[1].code], ['error', 'grant-invalid']);
});

test('redeem: a server that cannot say now is asked again', async () => {
  const world = new World();
  let tries = 0;
  world.onRedeem = () => (++tries < 4 ? problem(503, 'busy') : json({ sub: 'max:1' }));
  await upToSuccess(world);
  await world.clock.advance(20_000);
  assert.deepEqual(world.told.at(-1)?.[1].session, { sub: 'max:1' });
});

test('redeem: a server out of reach is waited for, and not for ever', async () => {
  const world = new World();
  world.onRedeem = () => new Response('', { status: 502 });
  await upToSuccess(world);
  await world.clock.advance(40_000);
  assert.ok(!world.events.includes('error'));
  await world.clock.advance(30_000);
  assert.equal(world.told.at(-1)?.[1].code, 'network');
});

test('redeem: who has stopped is told nothing', async () => {
  const world = new World();
  world.onRedeem = () => new Response('', { status: 502 });
  const stop = await upToSuccess(world);
  stop();
  world.onRedeem = () => json({});
  await world.clock.advance(60_000);
  assert.deepEqual(world.events, ['status1']);
});

// ---- time and language ------------------------------------------------------------------------------------------------

test('the server says how long a login lives', async () => {
  const world = new World();
  world.ttl = 60_000;
  world.start();
  await world.clock.advance(79_000);
  assert.deepEqual(world.events, ['status1']);
  await world.clock.advance(2000);
  assert.equal(world.told.at(-1)?.[1].code, 'login-expired');
});

test('without a language the server is told the one that is used here', async () => {
  const world = new World();
  world.start({ locale: undefined });
  await settle();
  const said = world.kinds('post')[0].body.locale;
  assert.equal(said, /^ru/.test(globalThis.navigator?.language ?? 'ru') ? 'ru' : 'en');
});

// ---- two sets of connections ------------------------------------------------------------------------------------------

/** With cookies or with the key. @param {any} asked */
const isKeyed = ({ init }) => init.credentials === 'omit' && init.headers['X-Max-Auth-Key'] === 'key-login1';

test('back from sleep: the page is asked for on connections that are not those of before', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.start();
  await world.clock.advance(20_000);
  assert.ok(!world.kinds('poll').some(isKeyed), 'not without need');
  // Over HTTP/2 all questions share one connection, and it died in silence.
  world.onPoll = (asked) => (isKeyed(asked) ? undefined : 'never');
  world.show('hidden');
  world.clock.sleepThrough(60_000);
  world.show('visible');
  await settle();
  tell(world, 'qr2');
  await world.clock.advance(100);
  assert.deepEqual(world.events, ['status1', 'qr2']);
  await world.clock.advance(30_000);
  tell(world, 'status3');
  await world.clock.advance(100);
  assert.equal(world.events.at(-1), 'status3', 'and it stays with them');
});

test('a page that is stuck is followed by one on the other connections', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.start();
  await world.clock.advance(20_000);
  world.onPoll = (asked) => (isKeyed(asked) ? undefined : 'never');
  tell(world, 'qr2');
  await world.clock.advance(16_000);
  assert.deepEqual(world.events.slice(0, 2), ['status1', 'qr2']);
});

test('where something on the way wants cookies, pages go on with them', async () => {
  const world = new World();
  world.ws = 'refuse';
  world.sse = 'hang';
  world.start();
  await world.clock.advance(20_000);
  world.onPoll = (asked) =>
    isKeyed(asked) ? new Response('<h1>Sign in to the intranet</h1>', { status: 401 }) : undefined;
  world.window.dispatchEvent(new Event('online'));
  await world.clock.advance(1000);
  tell(world, 'qr2');
  await world.clock.advance(100);
  assert.deepEqual(world.events, ['status1', 'qr2']);
});

// ---- back and forward -------------------------------------------------------------------------------------------------

test('a page that is kept for the Back button lets go of its connections and resumes with them', async () => {
  const world = new World();
  world.start();
  await world.clock.advance(1000);
  world.window.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }));
  assert.deepEqual(world.sockets[0].closedBy, [4001, 'May come back']);
  assert.equal(world.kinds('delete').length, 0);
  tell(world, 'qr2');
  world.clock.sleepThrough(20_000);
  world.window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
  await settle();
  assert.deepEqual(world.events, ['status1', 'qr2']);
  await world.clock.advance(1000);
  assert.equal(world.liveSockets.length, 1);
});

test('positions', () => {
  assert.deepEqual(parsePosition('a-b-12'), { epoch: 'a-b', offset: 12 });
  for (const bad of ['', '12', '-1', 'a-', 'a-x', 'a-1e3', null, 7]) assert.equal(parsePosition(bad), null);
});

test('the SSE parser: any cut, any line end, marks among comments', () => {
  for (const eol of ['\n', '\r\n', '\r']) {
    const text =
      [
        ': 1790000000123 10000',
        '',
        'retry: 50',
        ': 12',
        ': 1 2 3',
        'id: e-1',
        'event: qr',
        'data: {"a":',
        'data:1}',
        '',
        '',
      ].join(eol)
      + ':'
      + eol;
    for (let cut = 0; cut <= text.length; cut++) {
      /** @type {any[]} */
      const seen = [];
      /** @type {any[]} */
      const marks = [];
      const parse = sseParser(
        (mark) => marks.push(mark),
        (wire) => seen.push(wire),
      );
      parse(text.slice(0, cut));
      parse(text.slice(cut));
      assert.deepEqual(seen, [{ id: 'e-1', event: 'qr', data: { a: 1 } }], `${JSON.stringify(eol)} ${cut}`);
      assert.deepEqual(marks, [{ sent: 1_790_000_000_123, next: 10_000 }]);
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
    [
      'Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605 Version/18.0 Safari/604.1',
      'Safari',
      'iOS',
    ],
    ['Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605 Version/18.0 Safari/605.1', 'Safari', 'iOS', 5],
    ['curl/8', 'Browser', 'Unknown'],
  ]);
  for (const [userAgent, deviceName, osVersion, maxTouchPoints] of cases) {
    const nav = { userAgent, language: 'en-US', maxTouchPoints: maxTouchPoints ?? 0 };
    const facts = describeBrowser(
      nav,
      /** @type {any} */ ({ screen: { width: 1920, height: 1080 }, devicePixelRatio: 2 }),
    );
    assert.deepEqual([facts.deviceName, facts.osVersion], [deviceName, osVersion], userAgent);
    assert.equal(facts.screen, '1080x1920 2.0x');
    assert.equal(facts.locale, 'en');
    assert.equal(facts.isPwa, false);
  }
  assert.equal(describeBrowser({ userAgent: 'x'.repeat(900) }, /** @type {any} */ ({})).headerUserAgent.length, 512);
});
