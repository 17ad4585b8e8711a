// @ts-check
/**
 * In the package: the rest is a chunk of its own, which a bundler makes. Where that does not come, the server's light.js does,
 * over another connection.
 */
import { HERE } from './here.js';

/** @typedef {import('./widget.js').Parts} Parts */

const PATIENCE_MS = 5000; // a bundler's own server may still be at work

/** A server that renders pages has neither: there a widget is a class that nobody makes one of. @type {typeof HTMLElement} */
export const Base = globalThis.HTMLElement ?? /** @type {any} */ (class {});
export const elements = globalThis.customElements ?? { get: () => Base, define() {} };

/** @type {Promise<Parts> | undefined} */
let parts;

/** @returns {Promise<never>} */
const late = () =>
  new Promise((_, reject) => setTimeout(() => reject(new Error('max-auth: dialog.js did not come')), PATIENCE_MS));

/** @param {Element} element @returns {Promise<Parts>} */
const light = (element) => {
  const base = element.getAttribute('base');
  const url = new URL('light.js', base ? new URL(`${base.replace(/\/+$/, '')}/`, document.baseURI) : HERE).href;
  return import(/* @vite-ignore */ /* webpackIgnore: true */ url);
};

/** On another site than the server's. @param {Element} element */
export const isElsewhere = (element) => element.hasAttribute('client-id');

/** @param {Element} element who wants them @returns {Promise<Parts>} */
export const wanted = (element) =>
  isElsewhere(element)
    ? /** @type {Promise<any>} */ (import('./elsewhere.js'))
    : (parts ??= Promise.race([import('./dialog.js'), late()])
        .catch(() => light(element))
        .catch((error) => {
          parts = undefined;
          throw error;
        }));
