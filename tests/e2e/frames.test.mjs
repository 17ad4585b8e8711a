// A page of somebody else's puts ours into a frame, to have a visitor press what is not seen (RFC 9700 §4.16). Chromium decides.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';
import { startBrowser } from '../harness/browser.mjs';
import { startProvider } from '../harness/provider.mjs';
import { freePort } from '../harness/process.mjs';
import { Cleanup } from '../harness/story.mjs';

const cleanup = new Cleanup();
after(() => cleanup.run());

let browser, provider, foreign;
before(async () => {
  browser = cleanup.add(await startBrowser());
  provider = await startProvider(cleanup);
  foreign = cleanup.add(await startForeignSite());
});

/** A site whose every page frames the address in its query. */
async function startForeignSite() {
  const port = await freePort();
  const http = createServer((request, response) => {
    const target = new URL(request.url, 'http://x').searchParams.get('frame')?.replaceAll('"', '&quot;');
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><h1>a game</h1><iframe name="victim" src="${target ?? 'about:blank'}"></iframe>`);
  });
  await new Promise((resolve) => http.listen(port, '127.0.0.1', resolve));
  return { address: `http://localhost:${port}`, stop: () => new Promise((resolve) => http.close(resolve)) };
}

/** What a visitor sees in the frame: Chromium puts a page of its own where the framed one refuses. */
async function seenInFrame(url) {
  const page = await cleanup.add(await browser.profile()).page();
  await page.goto(`${foreign.address}/?frame=${encodeURIComponent(url)}`, { waitUntil: 'load' });
  const frame = await (await page.locator('iframe').elementHandle()).contentFrame();
  return { url: frame.url(), text: await frame.locator('body').innerText() };
}

test('a page that lets itself be framed is seen', async () => {
  const other = await startForeignSite();
  cleanup.add(other);
  const seen = await seenInFrame(`${other.address}/?frame=about:blank`);
  assert.match(seen.text, /a game/);
});

for (const [name, path] of [
  ['the sign-in', () => `${provider.server.base}/login`],
  ['the account', () => `${provider.server.base}/account`],
  ['what an app asks', () => `${provider.found.authorization_endpoint}?${new URLSearchParams(provider.asked())}`],
  ['what goes wrong there', () => `${provider.found.authorization_endpoint}?client_id=nobody`],
  ['the question whether to leave', () => provider.found.end_session_endpoint],
  ["a device's code", () => `${provider.server.address}/oauth2/device`],
])
  test(`${name} is not seen in a frame of another site`, async () => {
    const seen = await seenInFrame(path());
    assert.match(seen.url, /^chrome-error:/, seen.text);
  });
