// docs/tutorial.md, typed into a shell as it stands there, and Chromium for the person. Only the ports are other ones. (The how-to
// docs/how-to/five-minutes.md is walked by tests/e2e/five-minutes.test.mjs.)

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { PATH } from '../harness/nginx.mjs';
import { ROOT } from '../harness/paths.mjs';
import { freePort, tempFolder } from '../harness/process.mjs';
import { shellBlocks, startShell } from '../harness/shell.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const PAGE = readFileSync(join(ROOT, 'docs/tutorial.md'), 'utf8');
const cleanup = new Cleanup();
after(() => cleanup.run());

test('the Russian page has the same commands', () => {
  const russian = readFileSync(join(ROOT, 'docs/ru/tutorial.md'), 'utf8');
  // What the page of the site says is in the reader's language.
  const asEnglish = (block) =>
    block
      .replaceAll('lang="ru"', 'lang="en"')
      .replaceAll('Мой сайт', 'My site')
      .replaceAll('Здравствуйте', 'Hello')
      .replaceAll('Ваш номер:', 'I know you as')
      .replaceAll('Выйти', 'Sign out')
      .replaceAll('# для этой программы', '# for this program')
      .replaceAll('Кто вошёл, или None.', 'Who is signed in, or None.');
  assert.deepEqual(shellBlocks(russian).map(asEnglish), shellBlocks(PAGE));
});

test(
  'who follows the tutorial is greeted by a page of their own, through nginx, too',
  { timeout: 200_000 },
  async () => {
    const ports = {};
    for (const port of [3001, 5000, 8080]) ports[port] = await freePort();
    const moved = (text) =>
      text
        .replace(/(?<=[:"] ?|", )(3001|5000|8080)\b/g, (port) => ports[port])
        .replaceAll('max-auth serve', `max-auth serve --listen 127.0.0.1:${ports[3001]}`)
        .replaceAll('max-auth setup nginx', `max-auth setup nginx --upstream 127.0.0.1:${ports[3001]}`);
    const [version, demo, stop, site, serve, nginx, broken, mended, end] = shellBlocks(PAGE).map(moved);
    assert.ok(end?.includes('-s stop'), 'the page has its nine blocks');
    const shell = cleanup.add(startShell(tempFolder('tutorial'), { path: PATH }));
    const browser = cleanup.add(await startBrowser());

    const answers = (url, status) => async () => (await fetchWhole(url).catch(() => null))?.status === status;
    const max = `http://127.0.0.1:${ports[3001]}`;
    const session = `${max}/api/auth/max/session`;
    const approve = async () => {
      const codes = async () => (await fetchWhole(`${max}/phone/codes`)).json.codes[0];
      const { track } = await eventually(codes, 'a code');
      await fetchWhole(`${max}/phone/approve/${track}`, { method: 'POST' });
    };
    const signIn = async (home, greeting, name) => {
      const page = await cleanup.add(await browser.profile()).page();
      await page.goto(home);
      await page.locator('max-auth-button').getByRole('button').first().click();
      await page.locator('max-auth-button .card svg[role=img]').waitFor();
      await screenshot(page, `walk-${name}-code`);
      await approve();
      await page.getByText(greeting).waitFor();
      await screenshot(page, `walk-${name}-in`);
      return page;
    };

    assert.match(await shell.type(version), /^max-auth \d/);
    await shell.type(demo);
    await eventually(answers(session, 401), 'the demo', 20_000);
    await signIn(`${max}/`, 'Иван Петров', 'demo');
    await shell.type(stop);

    await shell.type(site);
    assert.match(await shell.type(serve), /the configuration is fine/);
    await eventually(answers(session, 401), 'max-auth', 20_000);
    const own = `http://localhost:${ports[5000]}/`;
    await eventually(answers(own, 200), 'the site');
    const page = await signIn(own, 'Hello, Иван Петров', 'site');
    assert.match(await page.locator('body').innerText(), /I know you as 401041669/);
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('heading', { name: 'My site' }).waitFor();

    await shell.type(nginx);
    const front = `http://localhost:${ports[8080]}/`;
    await eventually(answers(session, 401), 'max-auth again', 20_000);
    await eventually(answers(front, 200), 'the site behind nginx');
    await signIn(front, 'Hello, Иван Петров', 'nginx');

    assert.match(await shell.type(broken, 40_000), /ws-upgrade-not-passed/);
    await signIn(front, 'Hello, Иван Петров', 'broken');
    assert.doesNotMatch(await shell.type(mended, 40_000), /ws-upgrade-not-passed|buffered/);
    await shell.type(end);
    await eventually(async () => !(await fetchWhole(front).catch(() => null)), 'nginx to be gone');
  },
);
