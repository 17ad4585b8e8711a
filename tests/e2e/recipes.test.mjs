// docs/recipes: every preset has its page, every block of ours is one that max-auth takes, every test named is there.

import assert from 'node:assert/strict';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { BINARY, ROOT } from '../harness/paths.mjs';
import { run, tempFolder } from '../harness/process.mjs';
import { environment } from '../harness/server.mjs';

const FOLDER = join(ROOT, 'docs/recipes');
const read = (name) => readFileSync(join(FOLDER, name), 'utf8');
const PAGES = readdirSync(FOLDER).filter((name) => name !== 'README.md');
const HASH = `sha256:${'A'.repeat(43)}`;

/** The one block of a page that is for max-auth's own file. */
function ours(name) {
  const blocks = [...read(name).matchAll(/^```toml\n(.*?)^```$/gms)].map(([, block]) => block);
  const found = blocks.filter((block) => block.startsWith('[[oidc.clients]]'));
  assert.equal(found.length, 1, name);
  return found[0];
}

test('each preset has its page, each page is in the index', () => {
  const presets = [...readFileSync(join(ROOT, 'src/config/oidc.rs'), 'utf8').matchAll(/^ {4}preset\("([^"]+)"/gm)].map(
    ([, name]) => name,
  );
  assert.ok(presets.length > 0);
  assert.deepEqual(PAGES.sort(), presets.map((name) => `${name}.md`).sort());
  for (const name of PAGES) {
    assert.ok(read('README.md').includes(`(${name})`), name);
    assert.ok(ours(name).includes(`preset = "${name.replace(/\.md$/, '')}"`), name);
  }
});

test('the blocks of all pages, in one file, pass config check', async () => {
  const file = join(tempFolder('recipes'), 'max-auth.toml');
  const blocks = PAGES.map((name) => ours(name).replace('sha256:…', HASH));
  const groups = '[groups]\nadmins = ["max:1"]\n';
  writeFileSync(file, `[server]\npublic_url = "https://example.ru"\n${groups}${blocks.join('')}`);
  const { code, output } = await run(BINARY, ['config', 'check', '--config', file], { env: environment({}) });
  assert.equal(code, 0, output);
});

test('a page says whether tests run it, and names the test', () => {
  for (const name of PAGES) {
    const [, tests] = read(name).match(/^Run by tests: \[(\S+)\]|^Not run by us/m) ?? assert.fail(name);
    if (tests) assert.ok(existsSync(join(ROOT, tests)), `${name}: ${tests}`);
  }
});
