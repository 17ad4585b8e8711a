// What the documents tell people to type is there: every command of ours with its options, every target of make.

import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from '../harness/paths.mjs';
import { PAGES, read } from './pages.mjs';

/** What is typed: lines of code, and code inside of a sentence. */
function typed(markdown) {
  const inSentences = [...markdown.matchAll(/`([^`\n]+)`/g)].map(([, code]) => code);
  const joined = markdown.replace(/\\\n\s*/g, ' ');
  return [
    ...joined.split('\n').filter((line) => /^( {4}|\t)|^[A-Z_]*=?\S* ?max-auth |^make /.test(line)),
    ...inSentences,
  ];
}

const help = (words) => join(ROOT, 'tests/snapshots/help', `${words.join('-')}.txt`);

/** A command of ours in a line: the words that name it, and the options. */
function* commandsOf(line) {
  for (const [, rest] of line.matchAll(/(?:^|[\s;&|(])(?:\S*\/)?max-auth ([a-z][^;&|>]*)/g)) {
    const words = rest.split(/\s+/).filter(Boolean);
    const names = [words[0]];
    if (/^[a-z-]+$/.test(words[1] ?? '') && existsSync(help([words[0], words[1]]))) names.push(words[1]);
    yield {
      names,
      options: words.filter((word) => /^--[a-z]/.test(word)).map((word) => word.replace(/[=,.)`:].*$/, '')),
    };
  }
}

/** Else it is a sentence ("max-auth is …"), or a command that is planned. */
const known = (name) => existsSync(help([name]));

test('every command of ours that a document names has its options', () => {
  const wrong = [];
  let seen = 0;
  for (const page of PAGES.filter((file) => file !== 'CHANGELOG.md' && !file.startsWith('tests/'))) {
    for (const line of typed(read(page))) {
      for (const { names, options } of commandsOf(line)) {
        if (!known(names[0])) {
          if (options.length > 0) wrong.push(`${page}: max-auth ${names[0]}: no such command`);
          continue;
        }
        seen++;
        const text = read(`tests/snapshots/help/${names.join('-')}.txt`);
        for (const option of options)
          if (!new RegExp(`^ +(-., )?${option}\\b`, 'm').test(text))
            wrong.push(`${page}: max-auth ${names.join(' ')} ${option}`);
      }
    }
  }
  assert.deepEqual([...new Set(wrong)], []);
  assert.ok(seen > 100, `${seen} commands`);
});

test('every target of make that a document names is there', () => {
  const targets = new Set([...read('Makefile').matchAll(/^([a-z][a-z0-9-]*):/gm)].map(([, name]) => name));
  const wrong = [];
  for (const page of PAGES.filter((file) => file !== 'CHANGELOG.md'))
    for (const line of typed(read(page)))
      for (const [, name] of line.matchAll(/(?:^|[;&|]) *make ([a-z][a-z0-9-]*)/g))
        if (!targets.has(name)) wrong.push(`${page}: make ${name}`);
  assert.deepEqual(wrong, []);
});

test('every setting that a document names is there', () => {
  const file = read('max-auth.toml');
  const keys = new Set();
  let section = '';
  for (const line of file.split('\n')) {
    section = line.match(/^\[(\w+)\]$/)?.[1] ?? section;
    const key = line.match(/^(\w+) = /)?.[1];
    if (key) keys.add(`${section}.${key}`);
  }
  const sections = [...new Set([...keys].map((key) => key.split('.')[0]))].filter((name) => name !== 'texts');
  const named = new RegExp(`^(${sections.join('|')})\\.([a-z_]+)( = .*)?$`);
  // A name that is reserved; files; a name of OpenTelemetry; and the words of MAX are not ours.
  for (const other of ['login.drivers', 'store.redb', 'session.key', 'server.address', ...audited()]) keys.add(other);
  const others = ['CHANGELOG.md', 'docs/max-protocol.md'];
  const wrong = [];
  for (const page of PAGES.filter((file) => !others.includes(file) && !file.startsWith('tests/')))
    for (const [, code] of read(page).matchAll(/`([^`\n]+)`/g)) {
      const found = code.match(named);
      if (found && !keys.has(`${found[1]}.${found[2]}`)) wrong.push(`${page}: ${found[1]}.${found[2]}`);
    }
  assert.deepEqual([...new Set(wrong)], []);
});

/** The events of the audit log, as the program tells them. */
function audited() {
  const files = readdirSync(join(ROOT, 'src'), { recursive: true }).filter((name) => name.endsWith('.rs'));
  const told = files.flatMap((name) => [...read(`src/${name}`).matchAll(/target: AUDIT,\s*event = "([a-z.]+)"/g)]);
  return [...new Set(told.map(([, event]) => event))].sort();
}

test('every event of the audit log is in docs/http.md, and no other', () => {
  const rows = read('docs/http.md')
    .split('## The audit log')[1]
    .split('\n## ')[0]
    .matchAll(/^\| (`[^|]*`) \|/gm);
  const documented = [...rows].flatMap(([, cell]) =>
    [...cell.matchAll(/`([a-z]+\.[a-z]+)`/g)].map(([, event]) => event),
  );
  assert.ok(documented.length > 5);
  assert.deepEqual(documented.sort(), audited());
});

test('every address of the server is in docs/http.md, and every one of the operator in docs/contract.md', () => {
  const http = read('docs/http.md');
  const contract = read('docs/contract.md');
  const missing = [];
  let file = '';
  for (const line of read('tests/snapshots/routes.txt').split('\n').filter(Boolean)) {
    if (!line.startsWith(' ')) file = line;
    // The probes are named in the source by constants; docs/http.md has a table of them, src/probe the words.
    if (!line.startsWith(' ') || /_PATH/.test(line)) continue;
    const address = line.trim().replace(/^[a-z,]+ /, '');
    const path = address
      .replace(/^at\("/, '/oauth2/')
      .replace(/^(\{base\}|base$)/, '')
      .replace('{path}', '')
      .replace('{unique}', '{anything}')
      .replace(/\/(\{\*path\})?$/, '');
    // The file table, and the base itself.
    if (path === '' || path.startsWith('{base_path}')) continue;
    const named = [path, path.replace('/oauth2/', '`')];
    const page = file.endsWith('ops.rs') ? contract : http;
    if (!named.some((name) => page.includes(name))) missing.push(`${file}: ${path}`);
  }
  assert.deepEqual(missing, []);
});
