// Tables: printed, and written between markers of docs/proxies.md when the command line says --write (or WRITE=1).

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../harness/paths.mjs';
import { CHAINS } from './chains.mjs';
import { PRODUCTS, installed, versionOf } from './proxies.mjs';

const FILE = join(ROOT, 'docs/proxies.md');
export const WRITING = process.argv.includes('--write') || process.env.WRITE === '1';

/** The chains that this run is about: ONLY=regex, FAST=1, and whatever `fits`. */
export function chosen(fits = () => true) {
  const only = new RegExp(process.env.ONLY || '.');
  return CHAINS.filter((chain) => only.test(chain.name) && (process.env.FAST !== '1' || chain.fast) && fits(chain));
}

/** `columns`: titles; `rows`: lists of cells. Text, aligned, for a terminal and for Markdown alike. */
export function table(columns, rows) {
  const all = [columns, ...rows].map((row) => row.map(String));
  const widths = columns.map((_, i) => Math.max(3, ...all.map((row) => row[i].length)));
  const line = (row) => `| ${row.map((cell, i) => cell.padEnd(widths[i])).join(' | ')} |`;
  return [line(all[0]), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...all.slice(1).map(line)].join(
    '\n',
  );
}

/** Prints, and writes into the part of the document with this name. A part of the chains would not replace a whole table. */
export function publish(part, text, { whole = true } = {}) {
  process.stdout.write(`\n${text}\n\n`);
  if (!WRITING) return;
  if (!whole) throw new Error('--write needs all chains: without ONLY and FAST');
  const document = readFileSync(FILE, 'utf8');
  const [from, to] = [`<!-- ${part} -->`, `<!-- /${part} -->`];
  const [start, end] = [document.indexOf(from), document.indexOf(to)];
  if (start < 0 || end < start) throw new Error(`docs/proxies.md has no part ${part}`);
  writeFileSync(FILE, `${document.slice(0, start)}${from}\n\n${text}\n\n${document.slice(end)}`);
}

export const versions = () =>
  Object.keys(PRODUCTS)
    .filter(installed)
    .map((name) => `${name.replace(/ (current|[\d.]+)$/, '')} ${versionOf(name)}`)
    .join(', ');

/** Runs `work` for each item, `width` at a time. */
export async function pool(items, width, work) {
  const queue = [...items];
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item);
    }),
  );
}
