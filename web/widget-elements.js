// @ts-check
/** How the widget makes its elements, and in which language. */

import { ICONS } from './widget-look.js';

export const SVG = 'http://www.w3.org/2000/svg';

/**
 * The element's language: its own attribute, that of the page around it, the browser's; Russian and English are spoken.
 * @param {Element} element
 * @returns {'ru' | 'en'}
 */
export function localeOf(element) {
  const around = element.closest('[lang]')?.getAttribute('lang') || document.documentElement.lang;
  const tag = element.getAttribute('locale') || around || navigator.language || 'ru';
  return /^(ru|be|uk|kk)\b/i.test(tag) ? 'ru' : 'en';
}

/**
 * What the page says in place of our texts: the property, or the attribute as JSON.
 * @param {import('./widget.js').MaxAuthButton | import('./widget.js').MaxAuthPanel} element
 * @returns {import('./widget-look.js').Texts}
 */
export function textsOf(element) {
  if (element.texts) return element.texts;
  try {
    return JSON.parse(element.getAttribute('texts') || '{}');
  } catch (error) {
    console.error(`max-auth: the attribute texts of <${element.localName}> is not JSON, so it is left out: ${error}`);
    return {};
  }
}

/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map();

/** Constructed sheets need no `style-src 'unsafe-inline'`. @param {ShadowRoot} shadow @param {string} css */
export function applyStyles(shadow, css) {
  let sheet = sheets.get(css);
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    sheets.set(css, sheet);
  }
  if (!shadow.adoptedStyleSheets.includes(sheet)) shadow.adoptedStyleSheets = [...shadow.adoptedStyleSheets, sheet];
  return shadow;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function h(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} name
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function s(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** @param {keyof typeof ICONS} name */
export function icon(name) {
  return s('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' }, s('path', { d: ICONS[name] }));
}

/** @param {SVGSVGElement} svg @param {string} name */
export function draw(svg, name) {
  svg.replaceChildren(s('path', { d: ICONS[/** @type {keyof typeof ICONS} */ (name)] }));
}
