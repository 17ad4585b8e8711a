// The npm package as people get it: packed, installed into a project, type-checked there, built by three bundlers, and in a browser a
// code is shown. The pages are on an origin of their own, so the server is named by `base`.

import assert from 'node:assert/strict';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, extname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import esbuild from 'esbuild';
import { build as vite } from 'vite';
import webpack from 'webpack';
import { screenshot, startBrowser } from '../harness/browser.mjs';
import { ROOT } from '../harness/paths.mjs';
import { run } from '../harness/process.mjs';
import { startServer } from '../harness/server.mjs';
import { Cleanup } from '../harness/story.mjs';
import { eventually } from '../harness/time.mjs';

const HERE = dirname(fileURLToPath(import.meta.url));
const PAGES = { plain: 'plain.ts', react: 'react.tsx', vue: 'vue.ts' };
const { version } = JSON.parse(readFileSync(join(ROOT, 'web/package.json'), 'utf8'));

const cleanup = new Cleanup();
/** Below this folder, whose node_modules have the frameworks and the bundlers. */
let project;
let site;
let server;
let browser;

async function ran(command, args, cwd, ms = 60_000) {
  const { code, output } = await run(command, args, { cwd, ms });
  assert.equal(code, 0, `${command} ${args.join(' ')}\n${output}`);
  return output;
}

before(async () => {
  project = mkdtempSync(join(HERE, 'project-'));
  cleanup.add({ stop: () => rmSync(project, { recursive: true, force: true }) });
  cpSync(join(HERE, 'site'), project, { recursive: true });
  writeFileSync(join(project, 'package.json'), '{ "name": "a-shop", "private": true, "type": "module" }\n');
  await ran(join(ROOT, 'scripts/package'), [join(project, 'package')], project);
  await ran('npm', ['pack', './package', '--silent'], project);
  rmSync(join(project, 'package'), { recursive: true });
  const tarball = `./max-auth-${version}.tgz`;
  await ran('npm', ['install', '--offline', '--no-audit', '--no-fund', '--loglevel=error', tarball], project);

  site = cleanup.add(await startSite());
  server = cleanup.add(
    await startServer({ args: ['--demo'], settings: { SERVER_ALLOWED_ORIGINS: JSON.stringify([site.address]) } }),
  );
  browser = cleanup.add(await startBrowser());
});
after(() => cleanup.run());

/** What the bundlers wrote, and a page for each entry. */
async function startSite() {
  const http = createServer((request, response) => {
    const { pathname } = new URL(request.url, 'http://site');
    const [, bundler, file] = pathname.split('/');
    const isPage = extname(file ?? '') === '';
    response.setHeader('content-type', isPage ? 'text/html; charset=utf-8' : 'text/javascript; charset=utf-8');
    if (isPage) {
      const script = `<script type="module" src="/${bundler}/${file}.js"></script>`;
      return response.end(
        `<!doctype html><html lang="en"><link rel="icon" href="data:,"><title>A shop</title><body>${script}`,
      );
    }
    try {
      response.end(readFileSync(join(project, 'built', pathname)));
    } catch {
      response.writeHead(404).end();
    }
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  return {
    address: `http://127.0.0.1:${http.address().port}`,
    stop: () => {
      http.closeAllConnections();
      http.close();
    },
  };
}

const entries = () => Object.fromEntries(Object.entries(PAGES).map(([page, file]) => [page, join(project, file)]));

const BUNDLERS = {
  esbuild: (outdir) =>
    esbuild.build({
      entryPoints: entries(),
      bundle: true,
      splitting: true,
      format: 'esm',
      minify: true,
      jsx: 'automatic',
      outdir,
      logLevel: 'silent',
      define: { 'process.env.NODE_ENV': '"production"' },
    }),
  vite: (outDir) =>
    vite({
      root: project,
      base: './',
      configFile: false,
      logLevel: 'error',
      build: {
        outDir,
        rollupOptions: {
          input: entries(),
          output: { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
        },
      },
    }),
  webpack: (path) =>
    new Promise((resolve, reject) => {
      const options = {
        mode: 'production',
        context: project,
        entry: entries(),
        output: { path, filename: '[name].js', publicPath: 'auto' },
        module: { rules: [{ test: /\.tsx?$/, use: join(HERE, 'typescript-loader.cjs') }] },
        performance: { hints: false },
      };
      webpack(options, (error, stats) => {
        if (error || stats.hasErrors() || stats.hasWarnings()) reject(error ?? new Error(stats.toString()));
        else resolve(stats);
      });
    }),
};

test('what is in the package: modules with their types, and what exports name', () => {
  const folder = join(project, 'node_modules/max-auth');
  const files = readdirSync(folder);
  const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const named = Object.values(exports).flatMap((target) =>
    typeof target === 'string' ? [target] : Object.values(target),
  );
  for (const file of named) assert.ok(files.includes(file.slice(2)), `${file} is not in the package`);
  for (const file of files.filter((name) => name.endsWith('.js')))
    assert.ok(files.includes(file.replace(/js$/, 'd.ts')), `${file} has no types`);
  assert.ok(files.includes('README.md') && files.includes('LICENSE'));
  // A bundler takes `new URL(…, import.meta.url)` for a file of the package.
  for (const file of files.filter((name) => name.endsWith('.js')))
    assert.doesNotMatch(readFileSync(join(folder, file), 'utf8'), /import\.meta/, file);
});

test('its types hold in TypeScript and TSX', async () => {
  await ran(process.execPath, [join(ROOT, 'tests/node_modules/typescript/bin/tsc'), '-p', '.'], project, 120_000);
});

test('a server that renders pages may import it, and renders what stands before the script', async () => {
  const script = `
    import { createElement as h } from 'react';
    import { renderToString } from 'react-dom/server';
    import { createSSRApp, h as v } from 'vue';
    import { renderToString as rendered } from 'vue/server-renderer';
    import { MaxAuthButton } from 'max-auth/react';
    import { MaxAuthButton as Button } from 'max-auth/vue';
    import { startMaxAuth } from 'max-auth';
    const props = { returnTo: '/cart', redirect: false, texts: {}, onQr: () => {} };
    console.log(renderToString(h(MaxAuthButton, { ...props, className: 'big' }, h('a', { href: '/login' }, 'in'))));
    console.log(await rendered(createSSRApp({ render: () => v(Button, props, () => v('a', { href: '/login' }, 'in')) })));
    console.log(typeof startMaxAuth);`;
  writeFileSync(join(project, 'render.mjs'), script);
  const [react, vue, client] = (await ran(process.execPath, ['render.mjs'], project)).trim().split('\n');
  assert.match(
    react,
    /^<max-auth-button (?=.*return-to="\/cart")(?=.*redirect="false")(?=.*class="big").*><a href="\/login">in<\/a><\/max-auth-button>$/,
  );
  assert.match(
    vue,
    /^<max-auth-button (?=.*return-to="\/cart")(?=.*redirect="false").*>(<!--\[-->)?<a href="\/login">in<\/a>/,
  );
  assert.doesNotMatch(react + vue, /object Object|onQr/);
  assert.equal(client, 'function');
});

for (const [name, build] of Object.entries(BUNDLERS)) {
  test(`${name}: built, and each page's dialog shows a code`, async () => {
    const folder = join(project, 'built', name);
    mkdirSync(folder, { recursive: true });
    await build(folder);
    const chunks = readdirSync(folder).filter((file) => file.endsWith('.js'));
    assert.ok(chunks.length > 3, `the dialog is a chunk of its own: ${chunks}`);
    const plain = readFileSync(join(folder, 'plain.js'), 'utf8');
    assert.doesNotMatch(plain, /never send QR codes/, 'and the button has not got its texts');

    for (const page of Object.keys(PAGES)) {
      const profile = await browser.profile();
      const tab = await profile.page();
      await tab.goto(`${site.address}/${name}/${page}?base=${encodeURIComponent(server.base)}`);
      const opens = page === 'plain' ? tab.locator('max-auth-button').getByRole('button') : tab.locator('#open');
      await opens.click();
      await tab.getByRole('img', { name: 'QR code to sign in with MAX' }).waitFor();
      await tab.getByRole('heading', { name: 'Sign in to the shop', exact: true }).waitFor();
      await eventually(async () => /^code (true true|[1-9]\d+)$/.test(await tab.title()), 'the event qr');
      if (page !== 'plain') {
        const attributes = await tab
          .locator('max-auth-button')
          .evaluate((button) =>
            ['class', 'theme', 'redirect', 'texts', 'return-to'].map((attribute) => button.getAttribute(attribute)),
          );
        assert.deepEqual(attributes, ['big', 'dark', 'false', null, null], page);
        assert.equal(await tab.getByText('A link before the script').isVisible(), false);
      }
      await screenshot(tab, `package-${name}-${page}`);
      assert.deepEqual(profile.complaints, [], `${name} ${page}`);
      await profile.stop();
    }
  });
}

test("where the dialog's chunk does not come, the server's small dialog does", async () => {
  const profile = await browser.profile();
  const page = await profile.page();
  const devtools = await profile.context.newCDPSession(page);
  await devtools.send('Network.enable');
  await devtools.send('Network.setBlockedURLs', { urls: ['*/dialog-*.js'] });
  await page.goto(`${site.address}/vite/plain?base=${encodeURIComponent(server.base)}`);
  await page.locator('max-auth-button').getByRole('button').click();
  await page.locator('max-auth-panel .code img').waitFor();
  await page.getByText('Sign in to the shop', { exact: true }).waitFor();
  await profile.stop();
});

test('it has the version of the server', () => {
  const manifest = readFileSync(join(ROOT, 'Cargo.toml'), 'utf8');
  assert.equal(version, manifest.match(/^version = "(.+)"$/m)?.[1]);
});
