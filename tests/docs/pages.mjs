// The pages of this repository, and what their links mean.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { ROOT } from '../harness/paths.mjs';

export const { BESIDE, eachLink, isOutside, meant } = createRequire(import.meta.url)('../../scripts/book');

/** Every file of the repository, added or not. */
export const FILES = new Set(
  execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean),
);

export const PAGES = [...FILES].filter((file) => file.endsWith('.md')).sort();

export const read = (file) => readFileSync(join(ROOT, file), 'utf8');

/** A text without what stands in fences; lines stay where they were. */
export function withoutFences(markdown) {
  return markdown.replace(/^ {0,3}(`{3,}|~{3,})[^\n]*\n[\s\S]*?^ {0,3}\1[`~]*[ \t]*$/gm, (fence) =>
    fence.replace(/[^\n]/g, ''),
  );
}

/** The anchors of a page: its headings, as forges and mdBook make them, and the ids that stand in it. */
export function anchorsOf(markdown) {
  const found = new Map();
  const text = withoutFences(markdown);
  const anchors = new Set([...text.matchAll(/\bid="([^"]+)"/g)].map(([, id]) => id));
  for (const [, title] of text.matchAll(/^#{1,6} +(.+?)(?: +#+)?$/gm)) {
    const plain = title.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1').replace(/[`*]/g, '');
    const slug = plain
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_\- ]/gu, '')
      .trim()
      .replace(/ /g, '-');
    const times = found.get(slug) ?? 0;
    found.set(slug, times + 1);
    anchors.add(times === 0 ? slug : `${slug}-${times}`);
  }
  return anchors;
}

/** Where a page leads to: links, pictures, and what its HTML names. */
export function targetsOf(markdown) {
  const targets = [];
  const rest = eachLink(markdown.replace(/<!--[\s\S]*?-->/g, ''), (whole, { target, text }) => {
    targets.push(target);
    // A picture that is a link.
    eachLink(text, (_, inner) => void targets.push(inner.target));
    return '';
  });
  const html = withoutFences(rest).replace(/(`+)[\s\S]*?\1/g, '');
  for (const [, target] of html.matchAll(/\s(?:src|srcset|href)="([^"]+)"/g)) targets.push(target);
  return targets;
}
