// @ts-check
/** docs/widget.md says what the code has: each attribute, property, method, event, custom property, part, slot and text, and no more. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { EVENTS } from '../../web/npm/props.js';
import { TEXTS } from '../../web/texts.js';
import { DIALOG_CSS, PANEL_CSS, PANEL_PARTS } from '../../web/widget-look.js';

const ROOT = new URL('../../', import.meta.url);
const read = (/** @type {string} */ path) => readFileSync(new URL(path, ROOT), 'utf8');
const web = (/** @type {string} */ name) => read(`web/${name}`);
const DOC = read('docs/widget.md');
/** What the two elements are made of; light.js, the small dialog, may have less. */
const OURS = readdirSync(new URL('web/', ROOT)).filter((name) => /^widget.*\.js$/.test(name));

/** Rows of the tables below a heading, cells without their backquotes. @param {string} title @returns {string[][]} */
function rows(title) {
  const section = DOC.split(`\n## ${title}\n`)[1].split('\n## ')[0];
  const lines = section.split('\n').filter((line) => line.startsWith('| `') || /^\| (both|button|panel) \|/.test(line));
  return lines.map((line) =>
    line
      .slice(2, -2)
      .split(' | ')
      .map((cell) => (/^`[^`]+`$/.test(cell) ? cell.slice(1, -1) : cell)),
  );
}
/** @param {Iterable<string>} names */
const sorted = (names) => [...new Set(names)].sort();
/** @param {string} text @param {RegExp} pattern */
const found = (text, pattern) => sorted([...text.matchAll(pattern)].map((match) => match.slice(1).find(Boolean) ?? ''));
const first = (/** @type {string} */ title) => sorted(rows(title).map(([name]) => name));

/** The members of a class of widget.js that a page may use. @param {string} name */
function members(name) {
  const body = web('widget.js').split(`export class ${name} `)[1].split('\n}\n')[0];
  const browsers = ['connectedCallback', 'disconnectedCallback', 'attributeChangedCallback'];
  return found(body, /^ {2}((?:async |get )?\w+)\(.*\{$/gm).filter((member) => !browsers.includes(member));
}

test('attributes', () => {
  const [both, button, panel] = DOC.split('\n## Attributes\n')[1]
    .split('\n## ')[0]
    .split(/Of the (?:button|panel):/)
    .map((part) => found(part, /^\| `([\w-]+)`/gm));
  const observed = [...web('widget.js').matchAll(/observedAttributes = \[(.*)\]/g)].map((match) =>
    found(match[1], /'([\w-]+)'/g),
  );
  const passedOn = found(web('widget-dialog.js').match(/PASSED_ON = \[(.*?)\]/s)?.[1] ?? '', /'([\w-]+)'/g);
  const asked = (/** @type {string} */ text) =>
    found(text, /(?:get|has)Attribute\('([\w-]+)'\)/g).filter((name) => name !== 'lang');
  const dialogs = ['widget-dialog.js', 'widget-elements.js', 'parts.js', 'elsewhere.js'].map(web).join('');
  const themed = found(PANEL_CSS + DIALOG_CSS, /\[(theme)=/g);
  const moded = found(web('widget.js'), /\[(mode)=/g);
  assert.deepEqual(
    sorted([...both, ...button]),
    sorted([...observed[0], ...passedOn, ...asked(dialogs), ...themed, ...moded]),
  );
  const panels = ['widget-panel.js', 'widget-elements.js'].map(web).join('');
  const autostart = found(web('widget.js'), /hasAttribute\('(autostart)'\)/g);
  assert.deepEqual(sorted([...both, ...panel]), sorted([...observed[1], ...asked(panels), ...autostart, ...themed]));
  for (const name of found(web('light.js'), /(?:attribute|getAttribute)\('([\w-]+)'\)/g))
    assert.ok([...both, ...panel].includes(name), `light.js has ${name}`);
  const props = [...web('npm/props.d.ts').matchAll(/^ {2}(\w+)\?: (?!Told)/gm)].map(([, name]) =>
    name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
  );
  // An app's sign-in that waits is the ready page's.
  assert.deepEqual(
    sorted([...both, ...button, ...panel]).filter((name) => name !== 'request'),
    sorted(props),
  );
});

test('properties and methods', () => {
  const properties = rows('Properties').map(([element, name]) => `${element} ${name}`);
  const declared = found(web('elements.d.ts'), /^ {4}(\w+)\?: Texts;/gm);
  const getters = members('MaxAuthPanel').filter((name) => name.startsWith('get '));
  assert.deepEqual(
    sorted(properties),
    sorted([...declared.map((name) => `both ${name}`), ...getters.map((name) => name.replace('get', 'panel'))]),
  );
  const states = found(web('widget-panel.js').match(/@typedef \{(.*)\} State/)?.[1] ?? '', /'(\w+)'/g);
  assert.deepEqual(found(rows('Properties').at(-1)?.[2] ?? '', /`?(\w+)`?/g), states);
  const methods = rows('Methods').map(([element, name]) => `${element} ${name}`);
  const are = ['Button', 'Panel'].flatMap((name) =>
    members(`MaxAuth${name}`)
      .filter((member) => !member.startsWith('get '))
      .map((member) => `${name.toLowerCase()} ${member.replace('async ', '')}()`),
  );
  assert.deepEqual(sorted(methods), sorted(are));
});

/** `A & Partial<B>` @param {string} type */
const parts = (type) => type.split(' & ').map((part) => part.replace(/^Partial<(.*)>$/, '$1'));

test('events, with the types of their details', () => {
  const names = EVENTS.map((name) => `max-auth-${name}`);
  assert.deepEqual(first('Events'), sorted(names));
  assert.deepEqual(found(web('elements.d.ts'), /'(max-auth-\w+)': CustomEvent/g), sorted(names));
  const told = found(web('client.js').match(/@typedef \{\{ (status: .*) \}\} Events/)?.[1] ?? '', /(\w+): \w+Data/g);
  const sent = [
    ...told.map((name) => `max-auth-${name}`),
    ...OURS.flatMap((name) => found(web(name), /CustomEvent\('(max-auth-\w+)', \{/g)),
  ];
  assert.deepEqual(sorted(sent), sorted(names));
  for (const [name, detail] of rows('Events')) {
    const type = web('elements.d.ts').match(new RegExp(`'${name}': CustomEvent<(.*)>;`))?.[1] ?? '';
    // Of a code the picture is not told.
    const fields = type.startsWith('Pick')
      ? found(type.split(',')[1], /'(\w+)'/g)
      : sorted(parts(type).flatMap(fieldsOf));
    const said = found(detail.replaceAll(/\(.*?\)/g, ''), /`(\w+)`/g).filter((word) => !/^[A-Z]/.test(word));
    assert.deepEqual(said, fields, name);
    if (!type.startsWith('Pick') && type !== 'null')
      for (const one of parts(type)) assert.ok(detail.includes(`\`${one}\``), `${name} is a ${one}`);
  }
});

/** @param {string} type */
function fieldsOf(type) {
  const shape =
    (web('client.js') + web('elsewhere.js')).match(new RegExp(`@typedef \\{\\{(.*)\\}\\} ${type} `))?.[1] ?? '';
  return found(shape, /(\w+)\??: /g);
}

test('custom properties, with what they are by default', () => {
  const text = [DIALOG_CSS, PANEL_CSS, ...OURS.map(web)].join('\n');
  const used = (/** @type {string} */ css) => found(css, /(--max-auth-[\w-]*\w)/g);
  assert.deepEqual(first('Custom properties'), used(text.replaceAll(/--max-auth-\$\{name\}/g, '')));
  for (const name of used(web('light.js')))
    assert.ok(first('Custom properties').includes(name), `light.js has ${name}`);
  for (const [name, , initial] of rows('Custom properties')) {
    if (!initial.includes('#')) continue;
    const colors = [...PANEL_CSS.matchAll(new RegExp(`var\\(${name}, (#\\w+)\\)`, 'g'))].map((match) => match[1]);
    assert.deepEqual(sorted(found(initial, /(#\w+)/g)), sorted(colors), name);
  }
});

test('parts and slots', () => {
  const parts = found(OURS.map(web).join('\n'), /\bpart: '([\w]+)'/g);
  assert.deepEqual(first('Parts'), parts);
  const own = ['button', 'dialog', 'close'];
  assert.deepEqual(
    sorted(PANEL_PARTS.split(', ')),
    parts.filter((part) => !own.includes(part)),
  );
  assert.deepEqual(first('Slots'), found(OURS.map(web).join('\n'), /'slot', \{ name: '(\w+)'/g));
});

test('texts, as they are', () => {
  const { en, ru } = TEXTS;
  const said = Object.fromEntries(rows('Texts').map(([key, ...texts]) => [key, texts]));
  const ours = { ...en.shared, ...en.widget };
  const theirs = /** @type {Record<string, any>} */ ({ ...ru.shared, ...ru.widget });
  /** @type {Record<string, string[]>} */
  const are = {};
  for (const [key, text] of Object.entries(ours)) {
    if (key !== 'button' && typeof text === 'string') are[key] = [text, theirs[key]];
  }
  const joined = (/** @type {string[]} */ pair) => pair.filter(Boolean).join('. ');
  for (const [driver, way] of Object.entries(en.shared.ways))
    are[driver] = [way.join('. '), theirs.ways[driver].join('. ')];
  for (const [code, pair] of Object.entries(en.widget.errors)) are[code] = [joined(pair), joined(theirs.errors[code])];
  assert.deepEqual(said, are);
});

test('an example for each, of what it stands beside', () => {
  for (const title of ['Attributes', 'Properties', 'Methods', 'Events', 'Custom properties', 'Parts', 'Slots']) {
    for (const row of rows(title)) {
      const name = ['Properties', 'Methods'].includes(title) ? row[1].replace('()', '') : row[0];
      assert.ok(row.at(-1)?.includes(name) && row.length >= 3, `${title}: ${row.join(' | ')}`);
    }
  }
});
