// The site's search, in a browser, from the files as they are: words of both languages, and both looks.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { extname, join, normalize } from 'node:path';
import { after, before, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { ROOT } from '../harness/paths.mjs';
import { Cleanup } from '../harness/story.mjs';

const BOOK = join(ROOT, 'target/book');
const TYPES = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

const cleanup = new Cleanup();
let home;
let browser;

before(async () => {
  const server = createServer(async (request, response) => {
    const path = join(BOOK, normalize(new URL(request.url, 'http://x').pathname));
    const text = await readFile(path).catch(() => null);
    if (text === null) return response.writeHead(404).end();
    return response.writeHead(200, { 'content-type': TYPES[extname(path)] ?? 'application/octet-stream' }).end(text);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanup.add({ stop: () => new Promise((resolve) => (server.closeAllConnections(), server.close(resolve))) });
  home = `http://127.0.0.1:${server.address().port}`;
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

async function found(words) {
  const page = await cleanup.add(await browser.profile({ home })).page();
  await page.goto(`${home}/index.html?search=${encodeURIComponent(words)}`);
  await page.locator('#mdbook-searchresults li').first().waitFor();
  return page
    .locator('#mdbook-searchresults li a')
    .evaluateAll((links) => links.map((link) => link.getAttribute('href')));
}

test('words are found, in English and in Russian, whatever their case', async () => {
  assert.match((await found('proxy_buffering')).join(' '), /troubleshooting\.html/);
  assert.match((await found('сертификат')).join(' '), /ru\//);
  assert.match((await found('потоков')).join(' '), /ru\//);
  assert.match((await found('кнопку')).join(' '), /ru\/how-to\/button\.html/);
});

for (const look of [{ colorScheme: 'light' }, { colorScheme: 'dark' }, { viewport: { width: 360, height: 740 } }]) {
  const name = look.colorScheme ?? 'phone';
  test(`pages are read without a complaint, and none is wider than the window: ${name}`, async () => {
    const profile = cleanup.add(await browser.profile({ home, ...look }));
    const page = await profile.page();
    for (const path of ['index', 'tutorial', 'http', 'reference/configuration', 'ru/tutorial', 'ru/troubleshooting']) {
      await page.goto(`${home}/${path}.html`);
      await screenshot(page, `book-${name}-${path.replace('/', '-')}`);
      const [inside, wide] = await page.evaluate(() => [window.innerWidth, document.documentElement.scrollWidth]);
      assert.ok(wide <= inside, `${path}: ${wide} px in a window of ${inside}`);
      assert.equal(
        await page.evaluate(() => document.documentElement.lang),
        path.startsWith('ru/') ? 'ru' : 'en',
        path,
      );
    }
    assert.deepEqual(profile.complaints, []);
  });
}
