// The network breaks in the middle of a login: a proxy is restarted, a path dies without a word, a page sleeps, our own
// server is restarted. Chains that carry by WebSocket, by SSE and by polling; whatever carries, nothing may be lost or
// come twice, and the visitor is not bothered.

import test, { after, before, describe } from 'node:test';
import assert from 'node:assert/strict';
import { pause } from '../harness/time.mjs';
import { trackOf } from '../harness/visitor.mjs';
import { CHAINS } from './chains.mjs';
import { BrowserLike } from '../harness/client.mjs';
import { startChromium } from './chromium.mjs';
import { Login, story } from './login.mjs';
import { publish, table } from './report.mjs';
import { missing, startChain, startMax } from './setup.mjs';

const NAMES = [
  'nginx-right',
  'nginx-min',
  'two-nginx-none',
  'two-nginx-both',
  'haproxy-right-h2',
  'caddy26-min',
  'envoy-min',
  'traefik-min',
  'holds-everything',
];
const IN_CHROMIUM = ['nginx-right', 'nginx-h2-brotli', 'two-nginx-none', 'haproxy-right-h2'];
const byName = (name) => CHAINS.find((chain) => chain.name === name);
const skip = (name) =>
  missing(byName(name)).length > 0 && `not installed: ${missing(byName(name))} (scripts/setup chains)`;

// How long a client may need to notice: a beat comes every 10 s, after 25 s of silence a path is dead; a page is held 10 s
// and given up 5 s later. Then one try, and on a busy machine some more.
const NOTICED_MS = 35_000;

// After sleep the first question may go to a dead connection that the browser kept: 2.5 s, then another one. Over HTTP/2 all
// questions share one, which Chromium believes for up to 20 s; those without cookies have another.
const AWAKE_MS = 8000;

const rows = [];
let max;
let chromium;

before(async () => {
  max = await startMax();
  chromium = await startChromium();
});
after(async () => {
  await chromium?.stop();
  await max?.stop();
  publish('cuts', table(['what happened', 'chain', 'carried by', 'next event after, ms'], rows));
});

/** A login that has come to its code and made up its mind, and what to do with it; everything is ended behind it. */
async function during(name, work, { inChromium = false, ...options } = {}) {
  const running = await startChain(byName(name), max, { relayed: true, ...options });
  let login;
  try {
    // Without HTTP/2 in Node, whose client never asks a silent connection whether it lives. Chromium does.
    const browser = inChromium ? await chromium.page(running) : new BrowserLike(running.origin);
    login = new Login(running, max, browser);
    await login.start();
    const qr = await login.until('qr');
    const transport = await login.settled();
    return await work({ running, login, qr, transport });
  } catch (error) {
    error.message += `\ntold: ${login && story(login.told)}\nclient: ${JSON.stringify(await login?.browser.report())}`;
    throw error;
  } finally {
    await login?.stop();
    await running.stop();
  }
}

/** Milliseconds; 0 where the client had noticed by itself before it was told. */
const since = (from, { at }) => Math.max(0, Math.round(at - from));

/** Something is made while the path is bad; then it is to arrive, and the login to go on to its end. */
async function goesOn({ login, qr, from, what, name, transport, ms }) {
  const fresh = await login.until('qr', 'the code that was made meanwhile', ms, login.told.indexOf(qr) + 1);
  rows.push([what, name, transport, since(from, fresh)]);
  await login.approve(fresh);
  const last = await login.outcome(ms);
  assert.equal(last.event, 'success');
  login.assertWhole();
}

describe('a proxy is restarted', { concurrency: 3 }, () => {
  for (const name of NAMES) {
    test(name, { skip: skip(name), timeout: 90_000 }, () =>
      during(name, async ({ running, login, qr, transport }) => {
        await running.stopTier(0);
        await max.expire(trackOf(qr)); // made while nobody is connected
        await pause(1500);
        const from = performance.now();
        await running.startTier(0);
        await goesOn({ login, qr, from, what: 'proxy restarted', name, transport, ms: 20_000 });
      }),
    );
  }
});

describe('the path is cut', { concurrency: 3 }, () => {
  for (const name of NAMES) {
    test(name, { skip: skip(name), timeout: 90_000 }, () =>
      during(name, async ({ running, login, qr, transport }) => {
        running.relay.cut();
        const from = performance.now();
        await max.expire(trackOf(qr));
        await goesOn({ login, qr, from, what: 'path cut', name, transport, ms: 10_000 });
      }),
    );
  }
});

describe('the path dies without a FIN', { concurrency: 9 }, () => {
  for (const name of NAMES) {
    test(`${name}: noticed by silence`, { skip: skip(name), timeout: 120_000 }, () =>
      during(name, async ({ running, login, qr, transport }) => {
        running.relay.stall();
        const from = performance.now();
        await max.expire(trackOf(qr));
        await goesOn({ login, qr, from, what: 'black hole', name, transport, ms: NOTICED_MS });
      }),
    );
  }
});

describe('the path dies without a FIN and the browser says that it is back online', { concurrency: 3 }, () => {
  for (const name of NAMES) {
    test(name, { skip: skip(name), timeout: 90_000 }, () =>
      during(name, async ({ running, login, qr, transport }) => {
        running.relay.stall();
        await max.expire(trackOf(qr));
        await pause(500);
        const from = performance.now();
        login.browser.window('online');
        await goesOn({ login, qr, from, what: 'black hole, then online', name, transport, ms: AWAKE_MS });
      }),
    );
  }
});

describe('the page is frozen and woken, its connections dead', { concurrency: 2 }, () => {
  for (const name of IN_CHROMIUM) {
    test(name, { skip: skip(name), timeout: 120_000 }, () =>
      during(
        name,
        async ({ running, login, qr, transport }) => {
          await login.browser.freeze();
          running.relay.stall();
          await pause(500);
          await max.expire(trackOf(qr));
          await pause(6500);
          const from = performance.now();
          await login.browser.wake();
          await goesOn({ login, qr, from, what: 'page frozen and woken', name, transport, ms: AWAKE_MS });
        },
        { inChromium: true },
      ),
    );
  }
});

describe('the page is frozen while the phone approves', { concurrency: 2 }, () => {
  for (const name of IN_CHROMIUM) {
    test(name, { skip: skip(name), timeout: 120_000 }, () =>
      during(
        name,
        async ({ running, login, qr, transport }) => {
          await login.browser.freeze();
          running.relay.stall();
          await max.approve(trackOf(qr));
          await pause(6500);
          const from = performance.now();
          await login.browser.wake();
          const last = await login.outcome(AWAKE_MS);
          assert.equal(last.event, 'success');
          rows.push(['approved while frozen', name, transport, since(from, last)]);
          login.assertWhole();
        },
        { inChromium: true },
      ),
    );
  }
});

describe('our own server is restarted: a fresh code by itself', { concurrency: 3 }, () => {
  for (const name of NAMES) {
    test(name, { skip: skip(name), timeout: 90_000 }, () =>
      during(name, async ({ running, login, qr, transport }) => {
        const told = login.told.length;
        await running.restartServer();
        const from = performance.now();
        const fresh = await login.until('qr', 'a fresh code', 25_000, told);
        assert.notEqual(fresh.data.qrLink, qr.data.qrLink);
        rows.push(['our server restarted', name, transport, since(from, fresh)]);
        await login.approve(fresh);
        assert.equal((await login.outcome()).event, 'success');
        // Nothing but the new login, once and in order.
        assert.match(story(login.told.slice(told)), /^connecting code qr waiting approved finishing success$/);
      }),
    );
  }
});
