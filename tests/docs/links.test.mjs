// No link of the documents is broken: not in the files as a forge shows them, not in the site that mdBook makes of them.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../harness/paths.mjs';
import { anchorsOf, BESIDE, FILES, isOutside, meant, PAGES, read, targetsOf } from './pages.mjs';

const BOOK = join(ROOT, 'target/book');

const isThere = (file) =>
  FILES.has(file) || [...FILES].some((other) => other.startsWith(`${file.replace(/\/$/, '')}/`));

test('the checker sees what is broken', () => {
  const page =
    '# One `two`\n[a](x.md#b) ![c](d.png) `[no](code)`\n```\n[no](fence)\n```\n    [no](indented)\n\n<img src="e.svg">\n';
  assert.deepEqual(targetsOf(page), ['x.md#b', 'd.png', 'e.svg']);
  assert.deepEqual(
    [...anchorsOf('# One `two`, 3\n## Ещё раз: раз\n## A\n## A\n')],
    ['one-two-3', 'ещё-раз-раз', 'a', 'a-1'],
  );
});

test('every link of a Markdown file leads to a file and a heading that are there', () => {
  const broken = [];
  for (const page of PAGES) {
    for (const target of targetsOf(read(page))) {
      if (isOutside(target)) continue;
      const { file, anchor } = meant(page, target);
      if (!isThere(file)) broken.push(`${page}: ${target}: no such file`);
      else if (anchor && file.endsWith('.md') && !anchorsOf(read(file)).has(anchor))
        broken.push(`${page}: ${target}: no such heading`);
    }
  }
  assert.deepEqual(broken, []);
});

test('every page is in the table of contents', () => {
  const contents = read('docs/SUMMARY.md');
  const listed = new Set(targetsOf(contents).map((target) => `docs/${target}`));
  const missing = PAGES.filter((page) => page.startsWith('docs/') && page !== 'docs/SUMMARY.md' && !listed.has(page));
  // What is put in by hand when it is merged stands there as a comment.
  assert.deepEqual(
    missing.filter((page) => !contents.includes(`(${page.slice('docs/'.length)}) -->`)),
    [],
  );
  for (const file of Object.keys(BESIDE)) assert.ok(FILES.has(file), file);
});

function htmlFiles(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return htmlFiles(path);
    return name.endsWith('.html') ? [path] : [];
  });
}

test('every link of the site leads to a page and a place that are there', () => {
  assert.ok(existsSync(join(BOOK, 'index.html')), 'target/book is not built: make docs');
  const idsOf = new Map();
  const ids = (path) => {
    if (!idsOf.has(path))
      idsOf.set(path, new Set([...readFileSync(path, 'utf8').matchAll(/\sid="([^"]+)"/g)].map(([, id]) => id)));
    return idsOf.get(path);
  };
  const broken = [];
  const pages = htmlFiles(BOOK).filter((path) => !/(^|\/)(404|toc)\.html$/.test(path));
  assert.ok(pages.length > 50, `${pages.length} pages`);
  for (const path of pages) {
    const main = readFileSync(path, 'utf8').match(/<main>([\s\S]*?)<\/main>/)?.[1] ?? '';
    for (const [, raw] of main.matchAll(/<(?:a|img|source)\s[^>]*?(?:href|src|srcset)="([^"]+)"/g)) {
      const target = raw.replaceAll('&amp;', '&');
      if (isOutside(target)) continue;
      const [file, anchor] = target.split('#');
      const to = file === '' ? path : resolve(dirname(path), decodeURI(file));
      const where = `${relative(BOOK, path)}: ${target}`;
      if (!to.startsWith(BOOK) || !existsSync(to)) broken.push(`${where}: no such page (is it in docs/SUMMARY.md?)`);
      else if (anchor && !ids(to).has(decodeURIComponent(anchor))) broken.push(`${where}: no such place`);
    }
  }
  assert.deepEqual(broken, []);
});
