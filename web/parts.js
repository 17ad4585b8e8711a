// @ts-check
/**
 * How the button gets the rest: dialog.js, or light.js where that does not come, as the server sends them. The package has its
 * own parts.js (web/npm), which a bundler follows.
 */
import { HERE } from './here.js';
import { DIALOG, ELSEWHERE, LIGHT } from './labels.js';

/** @typedef {import('./widget.js').Parts} Parts */

const PATIENCE_MS = 1000; // for the rest; a code is promised within three seconds
const LINE = 'max-auth:line'; // what is known of it on the next page

/** What a widget's class extends, and where it is known by its name: not there where a server renders pages. */
export const [Base, elements] = [HTMLElement, customElements];

/** @type {Promise<Parts> | undefined} */
let parts;

/**
 * A module by its text first, which can be given up where it does not come: an import could not, and would be asked for again
 * on the next connection. It is then imported from the browser's cache.
 * @param {string} name @param {RequestInit} how
 */
const fetched = async (name, how) => {
  const url = new URL(name, HERE);
  const text = await fetch(url, how).then((response) => response.text());
  return { url, text };
};

const whole = async () => {
  const { url } = await fetched(DIALOG, { signal: AbortSignal.timeout(PATIENCE_MS) });
  return import(url.href);
};

/** Over a connection that has carried nothing yet: browsers keep those without cookies apart. */
const light = async () => {
  const { url, text } = await fetched(LIGHT, { credentials: 'omit' });
  const kept = fetch(url, { cache: 'only-if-cached', mode: 'same-origin' }).then(({ ok }) => ok);
  // Behind a certificate that somebody clicked away a browser keeps nothing.
  const isKept = url.origin !== location.origin || (await kept.catch(() => false));
  return import(isKept ? url.href : URL.createObjectURL(new Blob([text], { type: 'text/javascript' })));
};

/** On another site than the server's. @param {Element} element */
export const isElsewhere = (element) => element.hasAttribute('client-id');

/** @type {(element: Element) => Promise<Parts>} */
export const wanted = (element) =>
  isElsewhere(element)
    ? import(new URL(ELSEWHERE, HERE).href)
    : (parts ??= (
        stored()
          ? light()
          : whole().catch(() => {
              stored('frozen');
              return light();
            })
      ).catch((error) => {
        parts = undefined;
        throw error;
      }));

/** @param {string} [value] */
const stored = (value) => {
  try {
    if (value) sessionStorage.setItem(LINE, value);
    return sessionStorage.getItem(LINE);
  } catch {
    return null;
  }
};
