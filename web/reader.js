// @ts-check
/** Which login is read, and how far. A position is all that a connection needs to go on where another one ended. */

import { isGoneCode } from './answers.js';

/** @typedef {import('./wire.js').Wire} Wire */

/**
 * "EPOCH-OFFSET"; the epoch may itself hold dashes.
 * @param {unknown} id
 * @returns {{ epoch: string, offset: number } | null}
 */
export function parsePosition(id) {
  if (typeof id !== 'string') return null;
  const cut = id.lastIndexOf('-');
  const tail = id.slice(cut + 1);
  if (cut < 1 || !/^\d{1,15}$/.test(tail)) return null;
  return { epoch: id.slice(0, cut), offset: Number(tail) };
}

/** Makes an address unique, against caches that do not ask whether they may. @param {() => number} random */
export function nonce(random) {
  return Math.floor(random() * 2 ** 40).toString(36);
}

/** The events of a page, in their order. @param {{ events?: Wire[] }} page @returns {Wire[]} */
export function eventsOf(page) {
  const events = Array.isArray(page.events) ? page.events.filter((wire) => typeof wire?.event === 'string') : [];
  const offset = (/** @type {Wire} */ wire) => parsePosition(wire.id)?.offset ?? 0;
  return events.sort((a, b) => offset(a) - offset(b));
}

export class Reader {
  login = ''; // '' while there is none
  key = ''; // for pages without a cookie
  proven = false; // this login has answered at least once after its POST
  #epoch = '';
  #offset = -1;
  #after = ''; // the position to resume from

  /** @param {string} login @param {string} [key] */
  begin(login, key = '') {
    this.login = login;
    this.key = key;
    this.proven = false;
    this.#epoch = '';
    this.#offset = -1;
    this.#after = '';
  }

  /** Nothing is read any more. */
  end() {
    this.login = '';
  }

  /**
   * What an event is to this reader. Only a new one moves it: another transport may have been first.
   * @param {Wire} wire
   * @returns {'new' | 'seen' | 'gone' | 'no position'}
   */
  read(wire) {
    const at = parsePosition(wire.id);
    if (!at) return wire.event === 'error' && isGoneCode(wire.data?.code) ? 'gone' : 'no position';
    if (this.#epoch && at.epoch !== this.#epoch) return 'gone';
    this.#epoch = at.epoch;
    if (at.offset <= this.#offset) return 'seen';
    this.#offset = at.offset;
    this.#after = /** @type {string} */ (wire.id);
    return 'new';
  }

  /** Where a page without events says to go on. @param {unknown} next */
  resumeFrom(next) {
    if (this.#offset < 0 && parsePosition(next)) this.#after = /** @type {string} */ (next);
  }

  /** @param {string} base @param {Record<string, string>} query @param {string} [unique] */
  eventsUrl(base, query, unique = '') {
    const params = new URLSearchParams();
    if (this.#after) params.set('after', this.#after);
    for (const [key, value] of Object.entries(query)) if (value) params.set(key, value);
    return `${base}/${encodeURIComponent(this.login)}/events${unique && `/${unique}`}?${params}`;
  }
}
