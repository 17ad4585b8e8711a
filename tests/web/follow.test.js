// @ts-check
// The ready page's client against every way a line can fail, on a clock that moves when told.

import assert from 'node:assert/strict';
import { afterEach, beforeEach, mock, test } from 'node:test';
import * as asking from '../../web/asking.js';
import { follow } from '../../web/follow.js';

const BASE = 'https://site.test/api/auth/max';
/** @type {Socket[]} */
let sockets = [];
/** @type {{ url: URL, keyed: boolean, aborted: boolean, answer: (body: any, status?: number) => Promise<void>, fail: () => Promise<void> }[]} */
let asked = [];
/** @type {[string, any][]} */
let told = [];
/** @type {ReturnType<typeof follow>} */
let client;

class Socket {
  /** @type {((message: { data: string }) => void) | null} */
  onmessage = null;
  /** @type {(() => void) | null} */
  onclose = null;
  /** @type {number | undefined} */
  closedWith;
  /** @param {string} url */
  constructor(url) {
    this.url = new URL(url);
    sockets.push(this);
  }
  /** @param {number} code */
  close(code) {
    this.closedWith = code;
  }
  /** @param {any} message */
  says(message) {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
    return settle();
  }
  beat(next = 25_000) {
    return this.says({ event: 'beat', sent: 0, next });
  }
  ends() {
    this.onclose?.();
    return settle();
  }
}

/** @param {{ login?: string, key?: string, after?: string }} login @param {object} [message] */
const begun = (login, message) =>
  follow(
    BASE,
    login,
    (event, data) => void told.push([event, data]),
    message,
    async () => asking,
  );

async function settle() {
  for (let i = 0; i < 6; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** @param {number} ms */
async function advance(ms) {
  for (let left = ms; left > 0; left -= 100) {
    mock.timers.tick(Math.min(100, left));
    await settle();
  }
}

/** @param {number} offset @param {string} event @param {any} [data] @param {string} [epoch] */
const wire = (offset, event, data = {}, epoch = '0a') => ({ id: `${epoch}-${offset}`, event, data });
const open = () => sockets.filter(({ closedWith }) => closedWith === undefined);
const events = () => told.map(([event]) => event);

const real = { fetch: globalThis.fetch, WebSocket: globalThis.WebSocket };

beforeEach(() => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_790_000_000_000 });
  [sockets, asked, told] = [[], [], []];
  globalThis.WebSocket = /** @type {any} */ (Socket);
  globalThis.fetch = /** @type {any} */ (
    (/** @type {string} */ url, /** @type {any} */ init) =>
      new Promise((resolve, reject) => {
        const entry = {
          url: new URL(url),
          keyed: 'X-Max-Auth-Key' in (init.headers ?? {}),
          aborted: false,
          answer: (/** @type {any} */ body, status = 200) => {
            resolve({ ok: status < 300, status, json: async () => body });
            return settle();
          },
          fail: () => {
            reject(new TypeError('failed'));
            return settle();
          },
        };
        assert.equal(init.credentials, entry.keyed ? 'omit' : 'include');
        init.signal?.addEventListener('abort', () => {
          entry.aborted = true;
          reject(new DOMException('aborted', 'AbortError'));
        });
        asked.push(entry);
      })
  );
  client = begun({ login: 'id', key: 'k', after: '0a-4' });
});

afterEach(() => {
  client.stop();
  mock.timers.reset();
  Object.assign(globalThis, real);
});

test('a WebSocket from the position that the page was made at; the end closes everything', async () => {
  const [socket] = sockets;
  assert.equal(socket.url.protocol, 'wss:');
  assert.match(socket.url.pathname, /^\/api\/auth\/max\/id\/events\/[a-z0-9]+$/);
  assert.deepEqual(Object.fromEntries(socket.url.searchParams), { drawing: 'png', after: '0a-4', heartbeat: '25' });
  await socket.beat();
  await socket.says(wire(4, 'status'));
  await socket.says(wire(5, 'qr', { png: 'x' }));
  await socket.says(wire(5, 'qr'));
  await socket.says('not ours');
  await socket.says(wire(6, 'success', { redirect: '/' }));
  assert.deepEqual(told, [
    ['qr', { png: 'x' }],
    ['success', { redirect: '/' }],
  ]);
  assert.deepEqual([open().length, asked.length], [0, 0]);
  await advance(120_000);
  assert.equal(sockets.length, 1);
});

test('a WebSocket is replaced before it is used up, and the old one closed only when the new one carries', async () => {
  await sockets[0].beat();
  await advance(25_000);
  await sockets[0].beat();
  await advance(15_000);
  assert.deepEqual([sockets.length, open().length], [2, 2]);
  await sockets[0].says(wire(5, 'qr'));
  await sockets[1].beat();
  assert.deepEqual([sockets[0].closedWith, open().length], [1000, 1]);
  await sockets[1].says(wire(5, 'qr'));
  assert.deepEqual(events(), ['qr'], 'what both carried is told once');
});

test('a heartbeat that is overdue: the line is frozen, a new WebSocket goes on and says so', async () => {
  await sockets[0].beat(25_000);
  await advance(27_900);
  assert.equal(sockets.length, 1);
  await advance(800);
  assert.equal(sockets[0].closedWith, 4000);
  assert.equal(sockets.length, 2);
  assert.match(sockets[1].url.search + asked[0].url.search, /failed=ws\.frozen/);
  await sockets[1].beat();
  assert.ok(asked[0].aborted, 'pages are not asked for where a stream lives');
});

test('behind an approval what follows is awaited for three seconds, not for half a minute', async () => {
  await sockets[0].beat();
  await sockets[0].says(wire(5, 'status', { stage: 'approved' }));
  await advance(3700);
  assert.equal(sockets.length, 2);
  assert.equal(sockets[1].url.searchParams.get('after'), '0a-5');
});

test('where no WebSocket says a word, pages carry it, and it is tried again later, less and less often', async () => {
  await advance(2600);
  assert.equal(sockets[0].closedWith, 4000);
  assert.equal(asked.length, 1);
  assert.equal(asked[0].url.searchParams.get('wait'), '10');
  await asked[0].answer({ events: [wire(6, 'status'), wire(5, 'qr')], next: '0a-6' });
  assert.deepEqual(events(), ['qr', 'status'], 'in their order');
  await advance(100);
  assert.equal(asked[1].url.searchParams.get('after'), '0a-6');
  assert.equal(sockets.length, 1);
  await advance(30_000);
  assert.equal(sockets.length, 2);
  await sockets[1].ends();
  await advance(59_000);
  assert.equal(sockets.length, 2);
  await advance(2000);
  assert.equal(sockets.length, 3);
});

test('a page that gets no answer: a short one over the other kind of connections, and so on by turns', async () => {
  await sockets[0].ends();
  assert.deepEqual([asked.length, asked[0].keyed], [1, false]);
  await advance(14_200);
  assert.ok(asked[0].aborted);
  assert.deepEqual([asked.length, asked[1].keyed, asked[1].url.searchParams.get('wait')], [2, true, '1']);
  await advance(2700);
  assert.deepEqual([asked.length, asked[2].keyed], [3, false]);
  await advance(2700);
  assert.deepEqual(told, [['line', { reached: false }]]);
  await asked[3].answer({ events: [] });
  assert.deepEqual(told.at(-1), ['line', { reached: true }]);
  assert.equal(asked.filter(({ aborted }) => !aborted).length, 1);
});

test('what answers at once without news is not asked all the time', async () => {
  await sockets[0].ends();
  for (let i = 0; i < 5; i++) {
    await asked.at(-1)?.answer({ events: [] });
    await advance(1000);
  }
  assert.ok(asked.length <= 6, `${asked.length} in 5 s`);
});

test('what cuts a page shortens the next ones', async () => {
  await sockets[0].ends();
  await advance(3000);
  await asked[0].fail();
  await advance(100);
  await asked[1].answer({ events: [wire(5, 'qr')] });
  await advance(100);
  assert.equal(asked[2].url.searchParams.get('wait'), '5');
});

test('a WebSocket that is closed again and again leaves it to the pages for a while', async () => {
  for (let i = 0; i < 3; i++) {
    await sockets.at(-1)?.beat();
    await advance(1000);
    await sockets.at(-1)?.ends();
    await advance(2000);
  }
  assert.equal(sockets.length, 3);
  await advance(26_000);
  assert.equal(sockets.length, 3);
  await advance(5000);
  assert.equal(sockets.length, 4);
});

test('one that lived for long is made again at once', async () => {
  for (let i = 0; i < 4; i++) {
    await sockets.at(-1)?.beat();
    await advance(12_000);
    await sockets.at(-1)?.ends();
    await advance(600);
  }
  assert.equal(sockets.length, 5);
});

test('a login that the server does not know, another life of it, and a visitor who was thought to be gone', async () => {
  await sockets[0].ends();
  await asked[0].answer({ code: 'login-not-found' }, 404);
  assert.deepEqual(events(), ['gone']);
  for (const message of [wire(5, 'status', {}, '0b'), wire(5, 'error', { code: 'visitor-left' })]) {
    told = [];
    sockets = [];
    client = begun({ login: 'id', after: '0a-4' });
    await sockets[0].says(message);
    assert.deepEqual(events(), ['gone']);
    assert.equal(open().length, 0);
  }
  await advance(60_000);
  assert.equal(asked.length, 1, 'and nothing is asked any more');
});

test('back on the page: nothing of before is trusted, and MAX is asked at once', async () => {
  await sockets[0].beat();
  client.wake();
  await settle();
  assert.deepEqual([sockets[0].closedWith, sockets.length, asked.length], [4000, 2, 1]);
  assert.equal(asked[0].url.searchParams.get('wake'), '1');
  await sockets[1].beat();
  assert.ok(asked[0].aborted);
  client.rest();
  assert.equal(sockets[1].closedWith, 4001, 'a page that may come back says so');
});

test('a login that is to begin: by the first message of a WebSocket, or by a POST where none opens', async () => {
  client.stop();
  const message = { userAgent: {} };
  client = begun({}, message);
  const socket = /** @type {any} */ (sockets.at(-1));
  assert.equal(socket.url.pathname, '/api/auth/max');
  assert.deepEqual(Object.fromEntries(socket.url.searchParams), { drawing: 'png', heartbeat: '25' });
  /** @type {string[]} */
  const sent = [];
  socket.send = (/** @type {string} */ text) => sent.push(text);
  socket.onopen();
  assert.deepEqual(sent, [JSON.stringify(message)]);
  await socket.says(wire(1, 'status', { login: 'new' }));
  await socket.ends();
  await advance(600);
  assert.match(/** @type {any} */ (sockets.at(-1)).url.pathname, /\/new\/events\//);
  client.stop();

  asked = [];
  client = begun({}, message);
  await sockets.at(-1)?.ends();
  assert.equal(asked[0].url.pathname, '/api/auth/max');
  await asked[0].answer({ login: 'posted', key: 'k' });
  assert.match(asked[1].url.pathname, /\/posted\/events\//);
  client.stop();

  for (const refused of [true, false]) {
    told = [];
    client = begun({}, message);
    const data = { code: 'busy' };
    if (refused) await sockets.at(-1)?.says({ event: 'error', data });
    else {
      asked = [];
      await sockets.at(-1)?.ends();
      await asked[0].answer(data, 503);
    }
    assert.deepEqual(told, [[refused ? 'error' : 'refused', data]]);
  }
});

test('where not even what asks for pages can be had, that is said, and a WebSocket tried again', async () => {
  client.stop();
  const none = async () => {
    throw new TypeError('failed');
  };
  const tell = (/** @type {string} */ event, /** @type {any} */ data) => void told.push([event, data]);
  client = follow(BASE, { login: 'id' }, tell, undefined, none);
  await sockets.at(-1)?.ends();
  assert.deepEqual(told, [['line', { reached: false }]]);
  const before = sockets.length;
  await advance(31_000);
  assert.equal(sockets.length, before + 1);
  await sockets.at(-1)?.beat();
  assert.deepEqual(told.at(-1), ['line', { reached: true }]);
  client.stop();
  told = [];
  client = follow(BASE, {}, tell, { userAgent: {} }, none);
  await sockets.at(-1)?.ends();
  assert.deepEqual(told, [['refused', null]]);
});

test('without a key only the connections with cookies are asked', async () => {
  client.stop();
  client = begun({ login: 'id' });
  await sockets.at(-1)?.ends();
  for (let i = 0; i < 3; i++) await advance(15_000);
  assert.ok(asked.length >= 3 && asked.every(({ keyed }) => !keyed));
});

test('a page that slept itself does not take its own sleep for a frozen line', async () => {
  await sockets[0].beat(25_000);
  mock.timers.setTime(Date.now() + 60_000);
  await settle();
  await advance(2000);
  assert.equal(sockets[0].closedWith, undefined, 'what waits in its queue gets a chance');
  await sockets[0].beat(25_000);
  await advance(5000);
  assert.equal(open()[0], sockets[0]);
});
