// @ts-check
/**
 * docs/widget.md as a page: as much Markdown as it uses, and beside each example the thing itself. Nothing is evaluated: an example is
 * an element, rules for one, or a call of one method.
 */

/** @param {string} name @param {Record<string, string>} [attributes] @param {...(Node | string)} inside */
const h = (name, attributes = {}, ...inside) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...inside);
  return element;
};

/** Words with `code` and [links](to). @param {string} text @returns {(Node | string)[]} */
function inline(text) {
  return text
    .split(/(`[^`]+`|\[[^\]]+\]\([^)]+\))/)
    .filter(Boolean)
    .map((part) => {
      if (part.startsWith('`')) return h('code', {}, part.slice(1, -1));
      const link = part.match(/^\[(.+)\]\((.+)\)$/);
      if (!link) return part;
      // Other pages of the docs are not served.
      return link[2].startsWith('#') ? h('a', { href: link[2] }, link[1]) : link[1];
    });
}

// ---- examples ---------------------------------------------------------------------------------------------------------

let examples = 0;

/** What an example says when it is used. */
const shown = (/** @type {unknown} */ value) => JSON.stringify(value) ?? String(value);

/** @param {...Node} inside */
function example(...inside) {
  const output = h('output');
  const box = h('div', { class: 'example', id: `example-${++examples}` }, ...inside, output);
  for (const name of ['status', 'qr', 'password', 'success', 'error', 'close']) {
    box.addEventListener(`max-auth-${name}`, (event) => {
      const { detail } = /** @type {CustomEvent} */ (event);
      output.textContent = `max-auth-${name} ${detail === null ? '' : shown(name === 'success' ? { ...detail, token: '…' } : detail)}`;
    });
  }
  return { box, output };
}

/** A panel is as large as a dialog, so it comes when it is wanted. @param {DocumentFragment} content */
function elementsOf(content) {
  if (!content.querySelector('max-auth-panel')) return [content];
  const show = h('button', { class: 'quiet', type: 'button' }, 'Show');
  show.addEventListener('click', () => show.replaceWith(content));
  return [show];
}

/** @param {string} html of this page's own source @returns {DocumentFragment} */
function parsed(html) {
  const template = document.createElement('template');
  template.innerHTML = html;
  return template.content;
}

/** Rules for the elements of one example; a constructed sheet is what the page's policy allows. @param {Element} box @param {string} css */
function styled(box, css) {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css.replaceAll(/^max-auth-button/gm, `#${box.id} max-auth-button`));
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet];
}

/** @param {string} text of an example's cell @returns {Node} */
function alive(text) {
  if (text.startsWith('<')) return example(...elementsOf(parsed(text))).box;
  const button = '<max-auth-button redirect="false"></max-auth-button>';
  if (text.startsWith('max-auth-button')) {
    const { box } = example(parsed(button));
    styled(box, text);
    return box;
  }
  const [, kind, member, call, value] = text.match(/^(button|panel)\.(\w+)(\(.*\))?(?: = (.+))?$/) ?? [];
  const element = h(`max-auth-${kind}`, { redirect: 'false' });
  if (member === 'addEventListener') return example(element).box;
  const run = h('button', { class: 'quiet', type: 'button' }, 'Run');
  const { box, output } = example(element, run);
  run.addEventListener('click', () => {
    const target = /** @type {any} */ (element);
    if (value) target[member] = JSON.parse(value);
    output.textContent = call ? '' : shown(target[member]);
    if (call) target[member]();
  });
  if (kind !== 'panel') return box;
  element.remove();
  const show = h('button', { class: 'quiet', type: 'button' }, 'Show');
  show.addEventListener('click', () => show.replaceWith(element));
  box.prepend(show);
  return box;
}

// ---- the page ---------------------------------------------------------------------------------------------------------

/** @param {string[]} lines */
function table(lines) {
  const cells = (/** @type {string} */ line) => line.slice(2, -2).split(' | ');
  const [head, , ...rows] = lines;
  const names = cells(head);
  const row = (/** @type {string} */ line) =>
    h(
      'tr',
      {},
      ...cells(line).map((text, at) => {
        const cell = h('td', {}, ...inline(text));
        if (names[at] === 'example') cell.append(alive(text.slice(1, -1)));
        return cell;
      }),
    );
  const heads = names.map((name) => h('th', {}, ...inline(name)));
  return h('table', {}, h('thead', {}, h('tr', {}, ...heads)), h('tbody', {}, ...rows.map(row)));
}

/** @param {string} text */
function page(text) {
  /** @type {Node[]} */
  const made = [];
  let css = '';
  for (const block of text.split(/\n\n(?!  )/)) {
    const lines = block.trim().split('\n');
    const heading = lines[0].match(/^(#+) (.+)$/);
    const fence = lines[0].match(/^```(\w+)$/);
    if (heading) {
      const id = heading[2].toLowerCase().replaceAll(/[^\w]+/g, '-');
      made.push(h(`h${heading[1].length}`, { id }, ...inline(heading[2])));
    } else if (fence) {
      const source = lines.slice(1, -1).join('\n');
      made.push(h('pre', {}, h('code', {}, source)));
      if (fence[1] === 'css') css = source;
      if (fence[1] !== 'html' || source.includes('<script')) continue;
      const { box } = example(...elementsOf(parsed(source)));
      if (css) styled(box, css);
      css = '';
      made.push(box);
    } else if (lines[0].startsWith('| ')) made.push(table(lines));
    else if (/^ {4}/.test(block)) made.push(h('pre', {}, h('code', {}, block.replaceAll(/^ {4}/gm, ''))));
    else if (lines[0]) made.push(h('p', {}, ...inline(lines.join(' '))));
  }
  return made;
}

const target = /** @type {HTMLElement} */ (document.getElementById('page'));
const response = await fetch('/widget.md');
target.replaceChildren(...(response.ok ? page(await response.text()) : [`/widget.md: ${response.status}`]));
target.removeAttribute('aria-busy');
document.getElementById(location.hash.slice(1))?.scrollIntoView();
export {};
