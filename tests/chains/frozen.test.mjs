// Sign-ins in networks that freeze connections (docs/networks.md): the code within 3 s, a quiet minute, and the visitor is
// signed in within 10 s of the approval.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startBrowser } from '../harness/browser.mjs';
import { eventually, pause } from '../harness/time.mjs';
import { trackOf } from '../harness/visitor.mjs';
import { NETWORKS, chain, freeze, prepare } from './frozen-networks.mjs';
import { Login } from './login.mjs';
import { publish, table } from './report.mjs';
import { startChain, startMax } from './setup.mjs';

const CODE_MS = 3000;
const QUIET_MS = 60_000;
const SIGNED_IN_MS = 10_000;
const INSIDE = 'MAX_AUTH_TESTS_IN_NAMESPACE';

/** One after the other: on a machine that is too busy packets are sent twice, and each counts. */
let queue = Promise.resolve();
const inTurn = (work) => {
  const turn = queue.then(work);
  queue = turn.catch(() => {});
  return turn;
};

/** A visitor of the ready page in Chromium; gives {page, link, codeMs}. */
async function readyPage(running, profile) {
  const page = await profile.page();
  const began = performance.now();
  await page.goto(`${running.base}/login?return_to=/site?in`, { waitUntil: 'commit' });
  const link = page.locator('.link').first();
  await page.locator('.code img').waitFor();
  return { page, link, codeMs: performance.now() - began };
}

/** A visitor who presses the button on a page of a site; the code is awaited from there on. */
async function button(running, profile) {
  const page = await profile.page();
  await page.goto(`${running.origin}/site`);
  // Somebody looks for the button first.
  await pause(1500);
  await page.locator('max-auth-button').click();
  const began = performance.now();
  const link = page.locator('max-auth-panel a[href*="max.ru"]').first();
  await link.waitFor({ state: 'attached' });
  return { page, link, codeMs: performance.now() - began };
}

/** From a profile of its own to the site's page; gives {codeMs, signedInMs}. */
const inChromium = (visitor) => async (running, max, browser) => {
  const profile = await browser.profile({ home: running.origin });
  const { page, link, codeMs } = await inTurn(() => visitor(running, profile));
  await pause(QUIET_MS);
  await max.approve((await link.getAttribute('href')).split('/').pop());
  const approved = performance.now();
  await page.waitForURL((url) => url.pathname === '/site' && url.search === '?in', {
    waitUntil: 'commit',
    timeout: 30_000,
  });
  const signedInMs = performance.now() - approved;
  // Cookies of the profile, asked for around the network.
  const jar = await profile.context.cookies(running.origin);
  const cookie = jar.map(({ name, value }) => `${name}=${value}`).join('; ');
  const session = await fetch(`${running.direct}/session`, { headers: { cookie } });
  assert.equal(session.status, 200, 'signed in');
  await profile.stop();
  return { codeMs, signedInMs };
};

/** client.js in Node; gives {codeMs, signedInMs}. */
async function inNode(running, max) {
  const login = new Login(running, max);
  try {
    await inTurn(async () => {
      await login.start();
      await login.until('qr');
    });
    const codeMs = performance.now() - login.startedAt;
    await pause(QUIET_MS);
    await max.approve(trackOf(login.told.findLast(({ event }) => event === 'qr')));
    const approved = performance.now();
    await login.outcome(30_000);
    login.assertWhole();
    return { codeMs, signedInMs: performance.now() - approved };
  } finally {
    await login.stop();
  }
}

const VISITORS = {
  'the ready page in Chromium': inChromium(readyPage),
  'the button in Chromium': inChromium(button),
  'client.js in Node': inNode,
};

function inside() {
  let max;
  let browser;
  const results = new Map();
  describe('networks that freeze connections', () => {
    before(
      async () => {
        prepare();
        [max, browser] = await Promise.all([startMax(), startBrowser()]);
        const cells = Object.keys(NETWORKS).flatMap((network) =>
          Object.keys(VISITORS).map((who) => ({ network, who })),
        );
        const chains = await Promise.all(cells.map(({ network }) => startChain(chain(network), max)));
        const measured = cells.map(async ({ network, who }, index) => {
          const running = chains[index];
          freeze(network, new URL(running.origin).port);
          const result = await VISITORS[who](running, max, browser).catch((error) => ({ error }));
          results.set(`${network}, ${who}`, result);
          await running.stop();
        });
        await Promise.all(measured);
      },
      { timeout: 240_000 },
    );
    after(async () => {
      await browser?.stop();
      await max?.stop();
      const seconds = (ms) => (ms === undefined ? '-' : (ms / 1000).toFixed(1));
      const rows = Object.entries(NETWORKS).flatMap(([network, { what }]) =>
        Object.keys(VISITORS).map((visitor) => {
          const { codeMs, signedInMs } = results.get(`${network}, ${visitor}`) ?? {};
          return [network, visitor, seconds(codeMs), seconds(signedInMs), what];
        }),
      );
      publish('frozen', table(['network', 'who', 'code, s', 'approved to signed in, s', 'what it does'], rows));
    });
    for (const network of Object.keys(NETWORKS)) {
      for (const visitor of Object.keys(VISITORS)) {
        test(`${network}, ${visitor}`, () => {
          const { error, codeMs, signedInMs } = results.get(`${network}, ${visitor}`);
          if (error) throw error;
          assert.ok(codeMs <= CODE_MS, `the code came after ${codeMs.toFixed(0)} ms`);
          assert.ok(signedInMs <= SIGNED_IN_MS, `signed in ${signedInMs.toFixed(0)} ms after the approval`);
        });
      }
    }
    test('the networks do freeze what is not made for them', async () => {
      const running = await startChain(chain('ru-l4-25'), max);
      try {
        freeze('ru-l4-25', new URL(running.origin).port);
        const load = () =>
          Promise.all([1, 2, 3].map(() => fetch(`${running.base}/dialog.js`, { signal: AbortSignal.timeout(4000) })));
        process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
        await assert.rejects(async () => {
          for (let i = 0; i < 3; i++) for (const response of await load()) await response.text();
        });
      } finally {
        await running.stop();
      }
    });
  });
}

/** Another network of this process's own, as root or as one who may be root in a namespace. */
function outside() {
  const able = [['--net'], ['--map-root-user', '--net']].find(
    (flags) => spawnSync('unshare', [...flags, 'true']).status === 0,
  );
  const skip = !able && 'no network namespace can be made here';
  test('in a network namespace', { skip, timeout: 300_000 }, async () => {
    const env = { ...process.env, [INSIDE]: '1' };
    delete env.NODE_TEST_CONTEXT;
    const command = [process.execPath, '--test', '--test-reporter=spec', fileURLToPath(import.meta.url)];
    const child = spawn('unshare', [...able, ...command], { env, stdio: ['ignore', 'inherit', 'inherit'] });
    const code = await new Promise((resolve) => child.on('exit', resolve));
    assert.equal(code, 0, 'see above');
  });
}

if (process.env[INSIDE]) inside();
else outside();
