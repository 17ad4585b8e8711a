// @ts-check
/** The visitor leaves and comes back: another tab, a lid that was closed, the browser's history, a network that is back. */

import { SECOND } from './waits.js';

const HIDDEN_SUSPECT_MS = 5 * SECOND; // a page hidden for longer does not trust its socket

/**
 * @param {ReturnType<typeof import('./browser.js').environment>} env
 * @param {() => void} onAside the page is kept aside by the browser, which wants no open connection of it; it may come back
 * @param {(suspicious: boolean) => void} onBack suspicious: sockets of before are not to be believed
 * @returns {() => void} stops listening
 */
export function watchPage({ document, listen, unlisten, clock }, onAside, onBack) {
  /** @type {(() => void)[]} */
  const listened = [];
  /** @param {any} target @param {string} type @param {(event: any) => void} listener */
  const on = (target, type, listener) => {
    target.add(type, listener);
    listened.push(() => target.remove?.(type, listener));
  };
  const stop = () => {
    for (const forget of listened.splice(0)) forget();
  };

  let hiddenAt = 0;
  if (document?.addEventListener) {
    const page = {
      add: document.addEventListener.bind(document),
      remove: document.removeEventListener?.bind(document),
    };
    on(page, 'visibilitychange', () => {
      if (document.visibilityState === 'hidden') {
        hiddenAt = clock.now();
      } else if (hiddenAt) {
        const away = clock.now() - hiddenAt;
        hiddenAt = 0;
        onBack(away > HIDDEN_SUSPECT_MS);
      }
    });
  }
  if (!listen) return stop;
  const window = { add: listen, remove: unlisten };
  on(window, 'pagehide', (event) => {
    if (event.persisted) onAside();
  });
  on(window, 'pageshow', (event) => {
    if (event.persisted) onBack(true);
  });
  on(window, 'online', () => onBack(true));
  on(window, 'focus', () => onBack(false));
  return stop;
}
