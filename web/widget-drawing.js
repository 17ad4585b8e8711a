// @ts-check
/** The drawing of a code: the server's, taken in as harmless shapes, and a pale one until it comes. */

import { SVG, s } from './widget-elements.js';

/** A pale code in the place of the one that is coming. */
export function ghost() {
  const corner = (/** @type {number} */ x, /** @type {number} */ y) =>
    `M${x + 2} ${y}h3a2 2 0 0 1 2 2v3a2 2 0 0 1-2 2h-3a2 2 0 0 1-2-2v-3a2 2 0 0 1 2-2zm0 1a1 1 0 0 0-1 1v3a1 1 0 0 0 1 1h3a1 1 0 0 0 1-1v-3a1 1 0 0 0-1-1zm.5 1.5h2v2h-2z`;
  let dots = '';
  for (let y = 3; y < 26; y += 1) {
    for (let x = 3; x < 26; x += 1) {
      const inCorner = (x < 11 && y < 11) || (x > 17 && y < 11) || (x < 11 && y > 17);
      if (!inCorner && (x * 7 + y * 13 + x * y * 5) % 7 < 3) dots += `M${x} ${y}h1v1h-1z`;
    }
  }
  const d = `${corner(3, 3)}${corner(19, 3)}${corner(3, 19)}${dots}`;
  return s(
    'svg',
    { class: 'ghost', viewBox: '0 0 29 29', 'aria-hidden': 'true' },
    s('path', { d, fill: 'currentColor', 'fill-rule': 'evenodd' }),
  );
}

const DRAWING_ELEMENTS = new Set(['svg', 'g', 'path', 'rect']);
const DRAWING_ATTRIBUTES = new Set([
  'viewBox',
  'width',
  'height',
  'x',
  'y',
  'rx',
  'd',
  'fill',
  'fill-rule',
  'stroke',
  'stroke-width',
  'stroke-linejoin',
  'shape-rendering',
  'transform',
]);

/**
 * Rebuilds a server's drawing from shapes alone. Nothing that could load, link, style or run survives.
 * @param {unknown} text
 * @returns {SVGElement | null}
 */
export function adoptDrawing(text) {
  if (typeof text !== 'string' || text.length > 200_000) return null;
  const source = new DOMParser().parseFromString(text, 'image/svg+xml').documentElement;
  if (source.localName !== 'svg') return null;
  /** @param {Element} from @param {number} depth @returns {SVGElement} */
  const copy = (from, depth) => {
    const to = document.createElementNS(SVG, from.localName);
    for (const { name, value } of from.attributes) {
      if (DRAWING_ATTRIBUTES.has(name) && /^[\w\s.,#%+()-]*$/.test(value) && !/url/i.test(value))
        to.setAttribute(name, value);
    }
    for (const child of from.children) {
      if (depth < 4 && child.namespaceURI === SVG && DRAWING_ELEMENTS.has(child.localName))
        to.append(copy(child, depth + 1));
    }
    return to;
  };
  const drawing = copy(source, 0);
  if (!drawing.querySelector('path, rect')) return null;
  if (!drawing.getAttribute('viewBox')) {
    const side = parseFloat(source.getAttribute('width') ?? '');
    if (side > 0) drawing.setAttribute('viewBox', `0 0 ${side} ${side}`);
  }
  drawing.removeAttribute('width');
  drawing.removeAttribute('height');
  return drawing;
}
