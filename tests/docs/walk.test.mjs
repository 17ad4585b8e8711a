// docs/tutorial.md, typed into a shell as it stands there, and Chromium for the person. Only the ports are other ones. Then the pages
// on the button and on nginx: what they say stands in a page and in an nginx.conf, and people sign in. (The how-to
// docs/how-to/five-minutes.md is walked by tests/e2e/five-minutes.test.mjs.)

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { fetchWhole } from '../harness/http.mjs';
import { nginxArgs, nginxConfig, PATH } from '../harness/nginx.mjs';
import { BINARY, ROOT } from '../harness/paths.mjs';
import { freePort, launch, run, tempFolder } from '../harness/process.mjs';
import { startEmulator, startServer } from '../harness/server.mjs';
import { shellBlocks, startShell } from '../harness/shell.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const read = (page) => readFileSync(join(ROOT, page), 'utf8');
const PAGE = read('docs/tutorial.md');

/** The fences of a language in a page. */
const fences = (page, language) =>
  [...read(page).matchAll(new RegExp(`^ *\`\`\`${language}\\n(.*?)^ *\`\`\`$`, 'gms'))].map(([, block]) => block);
const cleanup = new Cleanup();
after(() => cleanup.run());

test('the Russian page has the same commands', () => {
  const russian = read('docs/ru/tutorial.md');
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

test('what the pages say of nginx and of the button is enough', { timeout: 100_000 }, async () => {
  const [lines] = fences('docs/how-to/behind-nginx.md', 'nginx');
  assert.deepEqual(fences('docs/ru/how-to/behind-nginx.md', 'nginx'), [lines], 'the same lines in Russian');
  assert.deepEqual(fences('README.md', 'nginx'), [lines], 'the same lines in the README');
  const [, html] = fences('docs/how-to/button.md', 'html');
  for (const language of ['html', 'js', 'python'])
    assert.equal(
      fences('docs/ru/how-to/button.md', language).length,
      fences('docs/how-to/button.md', language).length,
      `the same examples in Russian: ${language}`,
    );
  const [sessionOf, signOut] = fences('docs/how-to/button.md', 'js');

  const emulator = cleanup.add(await startEmulator());
  const front = await freePort();
  const home = `http://localhost:${front}`;
  const server = cleanup.add(await startServer({ upstream: [[emulator.url, 'json']], publicUrl: home }));
  const folder = tempFolder('how-to');
  mkdirSync(join(folder, 'site'));
  const page = `<!doctype html><link rel="icon" href="data:,"><title>A site</title>
    <script type="module" src="/api/auth/max/widget.js"></script>
    <script>const greet = (name) => { document.title = name; }</script>${html}`;
  writeFileSync(join(folder, 'site/index.html'), page);
  const [map, ...location] = lines.replace('3001', String(server.port)).split('\n\n');
  const http = `types { text/html html; } ${map}
    server { listen 127.0.0.1:${front}; root ${folder}/site; ${location.join('\n')} }`;
  const file = join(folder, 'nginx.conf');
  writeFileSync(file, nginxConfig({ folder, http }));
  const up = () => eventually(async () => (await fetchWhole(home)).status === 200, 'nginx');
  cleanup.add(await launch('nginx', 'nginx', nginxArgs({ folder, file }), { env: { PATH }, ready: up }));

  const { code, output } = await run(BINARY, ['doctor', home], { ms: 30_000 });
  assert.equal(code, 0, output);

  const browser = cleanup.add(await startBrowser());
  const tab = await cleanup.add(await browser.profile()).page();
  await tab.goto(home);
  await tab.locator('max-auth-button').getByRole('button').first().click();
  await tab.locator('max-auth-button .card svg[role=img]').waitFor();
  const shown = await eventually(async () => (await emulator.codes())[0], 'a code');
  await emulator.approve(shown.track);
  await tab.waitForFunction(() => document.title === 'Иван Петров');
  const who = () => tab.evaluate(`(async () => { ${sessionOf} return who; })()`);
  assert.equal((await who()).sub, '401041669');
  await tab.evaluate(`(async () => { ${signOut} })()`);
  assert.equal(await who(), null);
});
