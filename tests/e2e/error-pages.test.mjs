// What goes wrong on the way to an app, in Chromium: a page with one thing to do, which does it.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { SECRET, request, startApp } from '../harness/app.mjs';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let app, browser, found;
before(async () => {
  const emulator = cleanup.add(await startEmulator());
  app = cleanup.add(await startApp());
  const clients = `[{ id = "grafana", secret = "${SECRET}", redirect_uris = ["${app.address}/cb"] }]`;
  const settings = { OIDC_CLIENTS: clients, LOGIN_STARTS_PER_MINUTE: '2' };
  const server = cleanup.add(await startServer({ upstream: [[emulator.url, 'binary']], settings }));
  browser = cleanup.add(await startBrowser());
  found = (await fetchWhole(`${server.address}/.well-known/openid-configuration`)).json;
});

describe('too many sign-ins from an address', () => {
  for (const [locale, colorScheme, title, link] of [
    ['ru-RU', 'light', 'Слишком много попыток', 'Попробовать ещё раз'],
    ['en-GB', 'dark', 'Too many attempts', 'Try again'],
  ])
    test(`${locale}, ${colorScheme}: a page that leads on`, async () => {
      const asked = request(found, app, 'grafana');
      const visitor = cleanup.add(
        await browser.profile({ viewport: { width: 390, height: 844 }, locale, colorScheme }),
      );
      const page = await visitor.page();
      // A program is told by a problem body, over and over.
      await eventually(async () => {
        const answer = await fetchWhole(asked.url, { redirect: 'manual' });
        return answer.status === 429 && answer.json.code === 'rate-limited';
      }, '429');
      const answer = await page.goto(asked.url);
      assert.equal(answer.status(), 429);
      assert.ok(Number(answer.headers()['retry-after']) >= 1);
      await page.getByRole('heading', { name: title }).waitFor();
      await screenshot(page, `too-many-${locale}-${colorScheme}`);
      const { width } = await page.locator('body').boundingBox();
      assert.ok(width <= 390 && (await page.evaluate(() => document.documentElement.scrollWidth)) <= 390);
      // The link asks for the same address, until its time has come.
      await eventually(async () => {
        const again = page.getByRole('link', { name: link });
        if (await again.isVisible()) await again.click();
        await page.waitForLoadState();
        return new URL(page.url()).pathname.endsWith('/login');
      }, 'the sign-in');
      await page.locator('.code img').waitFor();
      assert.deepEqual(
        visitor.complaints.filter((text) => !/status of 429/.test(text)),
        [],
      );
    });
});
