// @ts-check
/** What is known of the page around a login: its clock and storage, its browser as MAX will show it, its language. */

import { HERE } from './here.js';
import { TEXTS } from './texts.js';

/** @typedef {{ now(): number, setTimeout(f: () => void, ms: number): any, clearTimeout(id: any): void }} Clock */

/** @type {Clock} */
const systemClock = {
  now: () => Date.now(),
  setTimeout: (f, ms) => setTimeout(f, ms),
  clearTimeout: (id) => clearTimeout(id),
};

/**
 * The page's own means, or those that a test brings.
 * @param {import('./client.js').Options} options
 */
export function environment(options) {
  const scope = /** @type {any} */ (globalThis);
  return {
    base: resolveBase(options.base),
    fetch: options.fetch ?? ((/** @type {any} */ url, /** @type {any} */ init) => scope.fetch(url, init)),
    WebSocket: options.WebSocket ?? scope.WebSocket,
    clock: options.clock ?? systemClock,
    random: options.random ?? Math.random,
    document: options.document ?? scope.document,
    listen: options.addEventListener ?? scope.addEventListener?.bind(scope),
    unlisten: options.removeEventListener ?? scope.removeEventListener?.bind(scope),
    storage: options.storage !== undefined ? options.storage : sessionStore(),
  };
}

/** Without a base: the directory that this file came from. @param {string | undefined} base */
function resolveBase(base) {
  const here = globalThis.document?.baseURI ?? HERE;
  const url = base === undefined ? new URL('.', HERE) : new URL(base, here);
  return (url.origin + url.pathname).replace(/\/+$/, '');
}

// ---- which transport won on the page before this one -----------------------------------------------------------------

/** @typedef {'ws' | 'frugal' | 'sse' | 'poll'} Winner frugal: a WebSocket where each packet counts */
/** @typedef {Pick<Storage, 'getItem' | 'setItem'> | null} Store */

const WINNER_KEY = 'max-auth:transport';
const WINNER_LIFE_MS = 10 * 60_000;

function sessionStore() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/** @param {Store} store @param {Winner} kind @param {number} now */
export function rememberWinner(store, kind, now) {
  try {
    store?.setItem(WINNER_KEY, JSON.stringify({ kind, at: now }));
  } catch {
    // storage may be forbidden or full: the next page just tries again
  }
}

/** @param {Store} store @param {number} now @returns {Winner | null} */
export function recallWinner(store, now) {
  try {
    const { kind, at } = JSON.parse(store?.getItem(WINNER_KEY) ?? '{}');
    return now - at < WINNER_LIFE_MS ? kind : null;
  } catch {
    return null;
  }
}

// ---- the browser, as MAX will show it --------------------------------------------------------------------------------

/**
 * What MAX shows under "devices": the browser's brand and the system, as the visitor would name them.
 * @param {any} [nav]
 * @param {any} [view] the window
 */
export function describeBrowser(nav = globalThis.navigator, view = globalThis) {
  const agent = String(nav?.userAgent ?? '').slice(0, 512);
  const touchMac = /Macintosh/.test(agent) && nav?.maxTouchPoints > 1; // an iPad says it is a Mac
  const language = String(nav?.language ?? 'ru')
    .slice(0, 2)
    .toLowerCase();
  const match = (/** @type {[RegExp, string][]} */ table) => table.find(([pattern]) => pattern.test(agent))?.[1];
  return {
    deviceName:
      match([
        [/YaBrowser|YaApp|YaSearchBrowser/, 'Yandex'],
        [/Edg(A|iOS|e)?\//, 'Edge'],
        [/OPR\/|Opera|OPT\//, 'Opera'],
        [/SamsungBrowser/, 'Samsung Internet'],
        [/Vivaldi/, 'Vivaldi'],
        [/Firefox|FxiOS/, 'Firefox'],
        [/Chrome|CriOS|Chromium/, 'Chrome'],
        [/Safari/, 'Safari'],
      ]) ?? 'Browser',
    osVersion: touchMac
      ? 'iOS'
      : (match([
          [/Windows/, 'Windows'],
          [/Android/, 'Android'],
          [/iPhone|iPad|iPod/, 'iOS'],
          [/Mac OS X|Macintosh/, 'macOS'],
          [/Linux|CrOS|X11/, 'Linux'],
        ]) ?? 'Unknown'),
    headerUserAgent: agent,
    screen: `${view.screen?.height ?? 1080}x${view.screen?.width ?? 1920} ${Number(view.devicePixelRatio ?? 1).toFixed(1)}x`,
    timezone: timezone(),
    locale: language,
    deviceLocale: language,
    isPwa: Boolean(view.matchMedia?.('(display-mode: standalone)')?.matches || nav?.standalone),
  };
}

function timezone() {
  try {
    return Intl.DateTimeFormat().resolvedOptions().timeZone || 'Europe/Moscow';
  } catch {
    return 'Europe/Moscow';
  }
}

/**
 * The one language of a login, here and at the server, which is told.
 * @param {string | undefined | null} locale a language tag; none: the browser's
 * @returns {'ru' | 'en'}
 */
export function languageOf(locale) {
  const wanted = locale || globalThis.navigator?.language || 'ru';
  return /^(ru|be|uk|kk)\b/i.test(wanted) ? 'ru' : 'en';
}

/**
 * Only what the server cannot say, because it is not there or did not let us in.
 * @param {'ru' | 'en'} locale
 * @returns {Record<string, string> & { refused: string }}
 */
export function messagesFor(locale) {
  return TEXTS[locale].client;
}
