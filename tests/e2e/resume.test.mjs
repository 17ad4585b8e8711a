// A login outlives its connections: cut anywhere, back over anything. And only in the browser that began it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { startRelay } from '../harness/relay.mjs';
import { Cleanup, everyLoginEnded, isProblem, signIn, startPair, untilCode } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';
import { Visitor, WAYS_BACK, loginOf, trackOf } from '../harness/visitor.mjs';

const cleanup = new Cleanup();
let emulator;
let server;
before(async () => {
  ({ emulator, server } = await startPair(cleanup));
});
after(() => cleanup.run());

const ids = (events) => events.map(({ id }) => id);

/** Offsets go up by one, in one epoch: nothing lost, nothing twice, in order. */
function isWhole(events) {
  const parsed = events
    .map(({ id }) => id.match(/^(.+)-(\d+)$/))
    .map(([, epoch, offset]) => ({ epoch, offset: Number(offset) }));
  assert.equal(new Set(parsed.map(({ epoch }) => epoch)).size, 1, ids(events).join());
  parsed.forEach(({ offset }, index) => assert.equal(offset, parsed[0].offset + index, ids(events).join()));
}

const START = {
  ws: (visitor) => visitor.startWs(),
  sse: (visitor) => visitor.startSse(),
  page: async (visitor) => {
    const first = await visitor.startPage();
    const stream = visitor.pages(first.login, first.next);
    for (const event of [...first.events].reverse()) stream.events.unshift({ ...event, at: performance.now() });
    return stream;
  },
};

/** One login with one expired code, cut after so many events and finished another way. */
async function cutOnce(start, way, cutAfter) {
  const visitor = new Visitor(server.base);
  const first = await start(visitor);
  const login = await loginOf(first);

  const seen = [];
  let current = first;
  let codes = 0;
  let expired = false;
  let read = 0;
  const drive = async (event) => {
    if (event.event !== 'qr') return;
    codes += 1;
    if (!expired) {
      expired = true;
      await emulator.expire(trackOf(event));
    } else {
      await emulator.approve(trackOf(event));
    }
  };
  // What the first connection delivered up to the cut; what is read twice would show as a repeated id.
  while (seen.length < cutAfter) {
    const event = await eventually(() => current.events[read], `event ${read + 1}`);
    read += 1;
    seen.push(event);
    await drive(event);
    if (event.event === 'success' || event.event === 'error') break;
  }
  assert.notEqual(seen.at(-1).event, 'success', 'there is nothing left to cut');
  await first.cut();

  current = await visitor.resume(way, login, seen.at(-1).id);
  for (let last = ''; last !== 'success';) {
    const event = await current.next();
    seen.push(event);
    await drive(event);
    last = event.event;
    assert.notEqual(last, 'error', JSON.stringify(event));
  }
  isWhole(seen);
  assert.equal(codes, 2, 'both codes were seen, each once');
  await current.ends();
  assert.equal((await visitor.callback(seen.at(-1).data.token)).status, 303);
}

describe('cut at every event, back over every transport', () => {
  for (const from of Object.keys(START)) {
    for (const way of WAYS_BACK) {
      test(`${from}, then ${way}`, async () => {
        await Promise.all([1, 2, 3, 4, 5, 6].map((cutAfter) => cutOnce(START[from], way, cutAfter)));
      });
    }
  }

  test('without a position everything comes from the beginning, over each transport alike', async () => {
    const visitor = new Visitor(server.base);
    const { stream, login } = await signIn({ emulator, base: server.base, visitor });
    for (const way of WAYS_BACK) {
      const again = await visitor.resume(way, login);
      await again.outcome();
      assert.deepEqual(ids(again.events), ids(stream.events), way);
      assert.deepEqual(
        again.events.map(({ event }) => event),
        stream.events.map(({ event }) => event),
        way,
      );
    }
  });

  test('two tabs of one browser see the same', async () => {
    const visitor = new Visitor(server.base);
    const first = await visitor.startWs();
    const login = await loginOf(first);
    const second = await visitor.resume('sse-after', login);
    const { track } = await untilCode(first);
    await second.until('qr');
    await emulator.approve(track);
    await Promise.all([first.outcome(), second.outcome()]);
    assert.deepEqual(ids(first.events), ids(second.events));
    isWhole(first.events);
  });

  test('a connection that died without a word is replaced, and the login goes on', async () => {
    const relay = cleanup.add(await startRelay(server.port));
    const visitor = new Visitor(`http://127.0.0.1:${relay.port}/api/auth/max`, { origin: server.address });
    const first = await visitor.startWs();
    const { login, qr, track } = await untilCode(first);
    relay.silent = true;
    await emulator.approve(track);
    visitor.base = server.base;
    const second = await visitor.resume('ws-url', login, qr.id);
    assert.equal((await second.outcome()).event, 'success');
  });

  test('once=1 ends the answer after one event', async () => {
    const visitor = new Visitor(server.base);
    const started = await visitor.startPage();
    let after;
    const seen = [];
    while (!seen.some(({ event }) => event === 'qr')) {
      const one = await visitor.sse(`/${started.login}/events`, { search: `?once=1${after ? `&after=${after}` : ''}` });
      seen.push(await one.next());
      await one.ends();
      assert.equal(one.events.length, 1);
      after = seen.at(-1).id;
    }
    isWhole(seen);
    await visitor.giveUp(started.login);
  });

  test('a page that has nothing to say comes back when its wait is over', async () => {
    const visitor = new Visitor(server.base);
    const stream = await visitor.startWs();
    const { login } = await untilCode(stream);
    await stream.until(({ data }) => data.stage === 'waiting');
    const began = performance.now();
    const { status, json } = await visitor.page(login, stream.events.at(-1).id, 1);
    const took = performance.now() - began;
    assert.equal(status, 200);
    assert.deepEqual(json.events, []);
    assert.equal(json.next, stream.events.at(-1).id);
    assert.ok(took > 900 && took < 3000, `${took} ms`);
    await visitor.giveUp(login);
  });
});

describe('the wrong browser', () => {
  test('finds no login: stream, page, password, DELETE', async () => {
    const visitor = new Visitor(server.base);
    const stream = await visitor.startWs();
    const { login, track } = await untilCode(stream);

    const nobody = visitor.stranger();
    const other = visitor.stranger();
    await other.startPage(); // has a flow cookie, but of another login
    for (const [who, wrong] of Object.entries({ nobody, other })) {
      for (const way of ['ws-url', 'sse-after', 'sse-last-event-id']) {
        const refused = await wrong.resume(way, login, stream.events[0].id).then(
          () => assert.fail(`${who} got in by ${way}`),
          (error) => error,
        );
        isProblem(refused, 404, 'login-not-found');
      }
      const viaMessage = await wrong.resume('ws-message', login, stream.events[0].id);
      await viaMessage.ends();
      assert.ok(
        viaMessage.events.every(({ event, data }) => event === 'error' && data.code === 'login-not-found'),
        `${who}: ${JSON.stringify(viaMessage.events)}`,
      );
      isProblem(await wrong.page(login, undefined, 0), 404, 'login-not-found');
      isProblem(await wrong.password(login, 'x'), 404, 'login-not-found');
      isProblem(await wrong.giveUp(login), 404, 'login-not-found');
    }
    // An ID that never was gets the very same words.
    const unknown = await nobody.page('AAAAAAAAAAAAAAAAAAAAAA', undefined, 0);
    const foreign = await nobody.page(login, undefined, 0);
    assert.equal(unknown.text.replaceAll('AAAAAAAAAAAAAAAAAAAAAA', ''), foreign.text.replaceAll(login, ''));

    await emulator.approve(track);
    const success = await stream.outcome();
    assert.equal(success.event, 'success', 'the owner was not disturbed');

    for (const wrong of [nobody, other]) {
      const answer = await wrong.callback(success.data.token);
      assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
      assert.equal((await wrong.session()).status, 401);
    }
    assert.equal((await visitor.callback(success.data.token)).status, 303, 'the grant was spent by a stranger');
    assert.equal((await visitor.session()).status, 200);
  });

  test('a grant works once', async () => {
    const { visitor, success } = await signIn({ emulator, base: server.base });
    const again = visitor.stranger();
    again.jar = visitor.jar.copy();
    for (const name of again.jar.names().filter((each) => !each.includes('flow'))) again.jar.delete(name);
    const answer = await again.callback(success.data.token);
    assert.ok(answer.status >= 400 && answer.status < 500, `${answer.status}`);
    assert.equal((await again.session()).status, 401);
    assert.equal((await visitor.session()).status, 200, 'the first session stays');
  });

  test('twelve at once: exactly one gets the session', async () => {
    const visitor = new Visitor(server.base);
    const stream = await visitor.startWs();
    const { track } = await untilCode(stream);
    await emulator.approve(track);
    const { data } = await stream.outcome();
    const copies = Array.from({ length: 12 }, () => {
      const copy = visitor.stranger();
      copy.jar = visitor.jar.copy();
      return copy;
    });
    const statuses = (await Promise.all(copies.map((copy) => copy.callback(data.token)))).map(({ status }) => status);
    assert.equal(statuses.filter((status) => status === 303).length, 1, statuses.join());
  });
});

describe('positions', () => {
  test('bad, foreign and future positions have answers of their own', async () => {
    const visitor = new Visitor(server.base);
    const stream = await visitor.startWs();
    const { login, qr } = await untilCode(stream);
    for (const bad of [
      'x',
      '1',
      '-',
      'zz-1',
      `${qr.id}x`,
      '%00',
      '0-0-0-0',
      '-1',
      '9'.repeat(100),
      `${qr.id.split('-')[0]}--1`,
    ]) {
      isProblem(
        await visitor.request(`/${login}/events?wait=0&after=${encodeURIComponent(bad)}`, {
          headers: { accept: 'application/json' },
        }),
        400,
        'position-invalid',
      );
    }
    const epoch = qr.id.slice(0, qr.id.lastIndexOf('-'));
    const foreign = epoch.replace(/./g, (digit) => (digit === '0' ? '1' : '0')) + '-1';
    isProblem(await visitor.page(login, foreign, 0), 410, 'position-gone');
    const refused = await visitor.resume('sse-after', login, foreign).then(
      () => assert.fail(),
      (error) => error,
    );
    isProblem(refused, 410, 'position-gone');
    await visitor.giveUp(login);
  });
});

test('every sign-in at MAX was ended there', async () => {
  await everyLoginEnded(emulator, 20);
});
