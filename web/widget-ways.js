// @ts-check
/** How to get to the phone: what will happen there, the text for a bot that knows its visitor, and the other ways. */

import { h } from './widget-elements.js';

/** @typedef {import('./client.js').Driver} Driver */

const COPIED_MS = 2000;

/** The part of the panel that depends on who asks MAX. @param {import('./widget-look.js').Words} text */
export function buildWays(text) {
  const steps = h(
    'ol',
    { class: 'steps', part: 'steps', 'aria-label': text.howto },
    h('li', {}, text.step1),
    h('li', {}, text.step2),
    h('li', {}, text.step3),
  );
  const happens = h('span', {});
  const way = h('p', { class: 'way', part: 'way', hidden: '' }, h('span', { class: 'scan' }, `${text.scan} `), happens);
  const letters = h('b', {});
  const copy = h('button', { class: 'quiet', type: 'button', 'aria-live': 'polite' }, text.copy);
  const textCode = h(
    'details',
    { part: 'textcode', hidden: '' },
    h('summary', {}, text.textCode),
    h('p', {}, `${text.sendIt} `, letters, ' ', copy),
  );
  const ways = h('div', { class: 'ways' });
  const other = h('details', { part: 'other', hidden: '' }, h('summary', {}, text.otherWay), ways);
  return { steps, way, happens, textCode, letters, copy, other, ways };
}

export class Ways {
  /** Who asks MAX, as far as it is known. @type {Driver | undefined} */
  driver;
  /** @type {Driver[]} of this server, as far as it has said */
  all = [];
  #text;
  #view;
  #take;

  /**
   * @param {import('./widget-look.js').Words} text
   * @param {ReturnType<typeof buildWays>} view
   * @param {(driver: Driver) => void} take somebody wants that one
   */
  constructor(text, view, take) {
    this.#text = text;
    this.#view = view;
    this.#take = take;
    view.copy.hidden = !navigator.clipboard;
    view.copy.addEventListener('click', () => void this.#copy());
  }

  /** @param {{ driver?: Driver | null, drivers?: Driver[] }} said by the server, or by the page before it */
  know({ driver, drivers }) {
    const { steps, way, happens, other, ways } = this.#view;
    this.driver = driver ?? this.driver;
    this.all = drivers ?? this.all;
    const [, line] = (this.driver && this.#text.ways[this.driver]) ?? [];
    // What an account's own code does on the phone is the last of the steps.
    const isStepped = !line || this.driver === 'account_qr';
    steps.hidden = !isStepped;
    way.hidden = isStepped;
    happens.textContent = line ?? '';
    const others = this.others();
    ways.replaceChildren(...others);
    other.hidden = others.length === 0;
  }

  /** A button for each of the other ways. @param {string} [before] what it says before the name */
  others(before = '') {
    const others = this.all.filter((driver) => driver !== this.driver && this.#text.ways[driver]);
    return others.map((driver) => {
      const [name] = this.#text.ways[driver];
      const button = h('button', { class: 'quiet', type: 'button', part: 'choice' }, `${before}${name}`);
      button.addEventListener('click', () => this.#take(driver));
      return button;
    });
  }

  /** In two groups that are one word to who copies them. @param {unknown} code */
  showText(code) {
    const { textCode, letters } = this.#view;
    const text = typeof code === 'string' ? code : '';
    textCode.hidden = !text;
    letters.replaceChildren(h('span', {}, text.slice(0, 4)), h('span', {}, text.slice(4)));
  }

  async #copy() {
    const { copy, letters } = this.#view;
    await navigator.clipboard.writeText(letters.textContent ?? '').catch(() => {});
    copy.textContent = this.#text.copied;
    setTimeout(() => (copy.textContent = this.#text.copy), COPIED_MS);
  }
}
