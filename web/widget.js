// @ts-check
/**
 * `<max-auth-button>`: a button that opens a dialog with a QR code and signs the visitor in.
 * `<max-auth-panel>`: what is inside that dialog, for pages of its own.
 *
 *     <script type="module" src="/api/auth/max/widget.js"></script>
 *     <max-auth-button return-to="/cart"></max-auth-button>
 *
 * Needs nothing of a page's Content-Security-Policy but `script-src` and `connect-src` for the address of this file:
 * styles are constructed, and what the server draws is rebuilt here from a short list of harmless elements.
 */
import { startMaxAuth } from './client.js';
import { BUTTON_CSS, ICONS, PANEL_CSS, words } from './widget-look.js';

const SVG = 'http://www.w3.org/2000/svg';
const PASSED_ON = ['return-to', 'locale', 'base', 'theme', 'redirect', 'client'];

// ---- the panel ------------------------------------------------------------------------------------------------------

/** @typedef {'idle' | 'connecting' | 'code' | 'waiting' | 'approved' | 'finishing' | 'success' | 'password' | 'error'} State */

export class MaxAuthPanel extends HTMLElement {
  static observedAttributes = ['locale', 'client'];

  /** @type {State} */
  #state = 'idle';
  /** @type {import('./client.js').Stop | null} */
  #stop = null;
  /** @type {ReturnType<typeof build> | null} */
  #view = null;
  #ticker = 0;
  #ttl = 1;
  #expiresAt = 0;
  #retryAt = 0;
  /** The visitor stays on this page when signed in. */
  #stays = false;

  get state() {
    return this.#state;
  }

  connectedCallback() {
    this.#render();
    window.addEventListener('pageshow', this.#shown);
    if (this.hasAttribute('autostart') && this.#state === 'idle') this.start();
  }

  disconnectedCallback() {
    window.removeEventListener('pageshow', this.#shown);
    this.stop();
  }

  attributeChangedCallback() {
    if (this.#view && this.#state === 'idle') this.#render();
  }

  /** Begins a login, or begins anew after one has ended. */
  start() {
    if (this.#stop) this.stop();
    this.#render();
    this.#show('connecting');
    const returnTo = this.getAttribute('return-to');
    const base = this.getAttribute('base');
    this.#stays = this.getAttribute('redirect') === 'false';
    this.#stop = startMaxAuth((event, data) => this.#on(event, data), {
      locale: localeOf(this),
      redeem: this.#stays,
      ...(returnTo !== null && { returnTo }),
      ...(base !== null && { base }),
    });
  }

  /** Gives up: the server ends what it began. */
  stop() {
    window.clearInterval(this.#ticker);
    this.#stop?.();
    this.#stop = null;
    this.#state = 'idle';
  }

  /** Back through the browser's history, perhaps to a page that had already sent its visitor on. @param {PageTransitionEvent} event */
  #shown = (event) => {
    if (!event.persisted) return;
    if (this.#state === 'waiting') this.#tick(true);
    if (this.#state !== 'success' || this.#stays) return;
    this.stop();
    if (this.hasAttribute('autostart')) this.start();
    else this.dispatchEvent(new CustomEvent('max-auth-stale'));
  };

  /** @param {import('./client.js').EventName} event @param {any} data */
  #on(event, data) {
    if (event === 'success') return this.#succeed(data);
    this.#emit(
      `max-auth-${event}`,
      event === 'qr' ? { expiresAt: data.expiresAt, ttl: data.ttl, qrLink: data.qrLink } : data,
    );
    if (event === 'status') this.#show(stageOf(data.stage) ?? this.#state, data);
    else if (event === 'qr') this.#showCode(data);
    else if (event === 'password') this.#show('password', data);
    else if (event === 'error') this.#show('error', data);
  }

  /** @param {{ token: string, redirect: string, session?: object }} data `session` where the visitor stays: there is one now */
  #succeed(data) {
    this.#show('success', { stays: this.#stays });
    const { token, redirect, session } = data;
    const goOn = this.#emit('max-auth-success', { token, redirect, ...(session && { session }) }, true);
    if (!goOn || this.#stays) return void this.dispatchEvent(new CustomEvent('max-auth-stays'));
    const base = this.getAttribute('base');
    const target = new URL(data.redirect, base ? new URL(base, document.baseURI) : import.meta.url);
    if (target.protocol === 'https:' || target.protocol === 'http:') location.assign(target);
  }

  /** @param {string} name @param {any} detail @param {boolean} [cancelable] */
  #emit(name, detail, cancelable = false) {
    return this.dispatchEvent(new CustomEvent(name, { detail, cancelable, bubbles: true, composed: true }));
  }

  #render() {
    this.#view = build(words(localeOf(this)), this.getAttribute('client'));
    const { root, again, form } = this.#view;
    again.addEventListener('click', () => this.start());
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#sendPassword();
    });
    const shadow = this.shadowRoot ?? this.attachShadow({ mode: 'open' });
    applyStyles(shadow, PANEL_CSS);
    shadow.replaceChildren(root);
  }

  /** @param {State} state @param {any} [data] */
  #show(state, data = {}) {
    const view = this.#view;
    if (!view) return;
    const text = view.text;
    const before = this.#state;
    this.#state = state;
    const staged = !['idle', 'connecting', 'code', 'waiting'].includes(state);
    view.code.classList.toggle('off', staged);
    view.stage.classList.toggle('off', !staged);
    window.clearInterval(this.#ticker);

    if (!staged) {
      if (state !== 'waiting') this.#clearCode();
      setText(view.status, state === 'idle' ? '' : text[/** @type {'code'} */ (state)]);
      if (state === 'waiting' && this.#expiresAt) this.#startTicking();
      return;
    }
    const [title, body] = this.#stageWords(state, data);
    view.badge.className = `badge ${{ approved: 'good busy', finishing: 'busy', success: 'good', error: 'bad' }[/** @type {string} */ (state)] ?? ''}`;
    draw(
      view.badgeIcon,
      { error: 'alert', password: 'lock', finishing: 'check' }[/** @type {string} */ (state)] ?? 'check',
    );
    view.title.textContent = title;
    view.body.textContent = body;
    view.body.hidden = !body;
    view.fine.hidden = state !== 'success';
    view.fine.textContent = text.successNote;
    view.form.hidden = state !== 'password';
    view.again.hidden = state !== 'error' || data.retry === false;
    if (state === 'password') this.#showPassword(data, before === 'password');
    if (state === 'error') this.#showError(data);
    setText(view.srStatus, [title, body].filter(Boolean).join('. '));
  }

  /** @param {State} state @param {any} data @returns {[string, string]} */
  #stageWords(state, data) {
    const text = /** @type {any} */ (this.#view?.text);
    if (state === 'error') {
      const [title, advice] = text.errors[data.code] ?? [text.errorTitle, ''];
      return [title, advice || String(data.message ?? '')];
    }
    if (state === 'password') return [text.passwordTitle, text.passwordText];
    if (state === 'success') return [text.success, data.stays ? text.successStay : text.successText];
    return [text[state], text[`${state}Text`]];
  }

  /** @param {any} data @param {boolean} again */
  #showPassword(data, again) {
    const view = this.#view;
    if (!view) return;
    view.hint.textContent = data.hint ? `${view.text.passwordHint}: ${data.hint}` : '';
    view.hint.hidden = !data.hint;
    this.#passwordWrong(again || data.wrong ? view.text.passwordWrong : '');
    view.input.value = '';
    view.send.disabled = false;
    view.input.focus();
  }

  /** @param {string} message */
  #passwordWrong(message) {
    const view = this.#view;
    if (!view) return;
    view.wrong.textContent = message;
    view.input.setAttribute('aria-invalid', String(Boolean(message)));
  }

  async #sendPassword() {
    const view = this.#view;
    const stop = this.#stop;
    const secret = view?.input.value;
    if (!view || !stop || !secret) return view?.input.focus();
    view.input.value = '';
    view.send.disabled = true;
    const answer = await stop.password(secret);
    if (stop !== this.#stop || this.#state !== 'password' || answer.ok) return;
    view.send.disabled = false;
    this.#passwordWrong(answer.message);
    view.input.focus();
  }

  /** @param {any} data */
  #showError(data) {
    const view = this.#view;
    if (!view) return;
    this.#retryAt = Date.now() + (Number(data.retryAfter) || 0);
    this.#ticker = window.setInterval(() => this.#tickRetry(), 500);
    this.#tickRetry();
    if (view.again.hidden || view.again.disabled) view.title.focus();
    else view.again.focus({ preventScroll: true });
  }

  #tickRetry() {
    const view = this.#view;
    if (!view) return;
    const seconds = Math.ceil((this.#retryAt - Date.now()) / 1000);
    view.again.disabled = seconds > 0;
    view.again.textContent = seconds > 0 ? `${view.text.retryIn} ${seconds} ${view.text.second}` : view.text.retry;
    if (seconds <= 0) window.clearInterval(this.#ticker);
  }

  /** @param {any} data */
  #showCode(data) {
    const view = this.#view;
    if (!view) return;
    const drawing = adoptDrawing(data.svg);
    if (!drawing) return this.#show('error', { code: 'internal', retry: true });
    drawing.setAttribute('role', 'img');
    drawing.setAttribute('aria-label', view.text.qrLabel);
    this.#ttl = Math.max(1000, Number(data.ttl) || 60_000);
    // The visitor's clock may be wrong; a code replayed after a reconnect may be older than it says. Take the sooner.
    const byClock = Number(data.expiresAt) - Date.now();
    this.#expiresAt = Date.now() + (byClock > 0 && byClock < this.#ttl ? byClock : this.#ttl);
    view.card.replaceChildren(drawing);
    const link = linkOf(data.qrLink);
    for (const anchor of view.links) {
      if (link) anchor.href = link;
      else anchor.removeAttribute('href');
    }
    this.#showLinks(Boolean(link));
    this.#show('waiting');
  }

  /** Their place stays, so that nothing moves when they come. @param {boolean} on */
  #showLinks(on) {
    for (const part of [this.#view?.app, this.#view?.here]) part?.classList.toggle('off', !on);
  }

  #clearCode() {
    const view = this.#view;
    if (!view) return;
    this.#expiresAt = 0;
    view.card.replaceChildren(ghost());
    view.frame.classList.remove('stale', 'low');
    view.rest.style.strokeDashoffset = '100';
    view.left.textContent = '';
    this.#showLinks(false);
  }

  #startTicking() {
    this.#tick(true);
    this.#ticker = window.setInterval(() => this.#tick(), 1000);
  }

  /** @param {boolean} [jump] the ring is where it belongs at once, and does not run there */
  #tick(jump = false) {
    const view = this.#view;
    if (!view) return;
    const left = Math.max(0, this.#expiresAt - Date.now());
    const seconds = Math.ceil(left / 1000);
    if (jump) view.rest.style.transition = 'none';
    view.rest.style.strokeDashoffset = String(100 - Math.min(100, (left / this.#ttl) * 100));
    if (jump) {
      view.rest.getBoundingClientRect(); // takes effect before the transition is back
      view.rest.style.transition = '';
    }
    view.frame.classList.toggle('low', seconds <= 10);
    view.frame.classList.toggle('stale', seconds === 0);
    view.left.textContent =
      seconds > 0 ? `${view.text.left} ${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}` : '';
    setText(view.status, seconds > 0 ? view.text.waiting : view.text.refreshing);
  }
}

/**
 * The panel's elements, once, in one place; the methods above only fill them.
 * @param {import('./widget-look.js').Words} text
 * @param {string | null} client the app that asks, where it is not this site itself
 */
function build(text, client) {
  const status = h('p', { class: 'status', role: 'status' });
  const left = h('p', { class: 'left', role: 'timer', 'aria-live': 'off' });
  const card = h('div', { class: 'card' }, ghost());
  const rest = s('rect', { class: 'rest', x: 2, y: 2, width: 244, height: 244, rx: 25, pathLength: 100 });
  rest.style.strokeDasharray = '100';
  rest.style.strokeDashoffset = '100';
  const outline = s(
    'svg',
    { class: 'outline', viewBox: '0 0 248 248', 'aria-hidden': 'true' },
    s('rect', { class: 'track', x: 2, y: 2, width: 244, height: 244, rx: 25 }),
    rest,
  );
  const frame = h('div', { class: 'frame' }, outline, card);

  const away = { target: '_blank', rel: 'noopener noreferrer' };
  const big = h('a', { class: 'primary', ...away }, text.open);
  const small = h('a', { class: 'text', ...away }, text.open);
  const app = h('div', { class: 'app off' }, big, h('p', {}, text.orScan));
  const here = h('p', { class: 'here off' }, `${text.openHere} `, small);
  const steps = h(
    'ol',
    { class: 'steps', 'aria-label': text.howto },
    h('li', {}, text.step1),
    h('li', {}, text.step2),
    h('li', {}, text.step3),
  );
  const warning = h('p', { class: 'note' }, icon('shield'), h('span', {}, text.warning));
  const code = h('div', { class: 'code' }, app, frame, h('div', { class: 'line' }, status, left), steps, warning, here);

  const badgeIcon = icon('check');
  const badge = h('div', { class: 'badge' }, badgeIcon);
  const title = h('h3', { tabindex: '-1' });
  const body = h('p', {});
  const fine = h('p', { class: 'small', hidden: '' });
  const again = h('button', { class: 'primary again', type: 'button', hidden: '' }, text.retry);
  const input = h('input', {
    id: 'secret',
    type: 'password',
    autocomplete: 'off',
    required: '',
    maxlength: '256',
    'aria-describedby': 'hint wrong',
  });
  const hint = h('p', { id: 'hint', class: 'small', hidden: '' });
  const wrong = h('p', { id: 'wrong', class: 'wrong', role: 'alert' });
  const send = h('button', { class: 'primary', type: 'submit' }, text.passwordSend);
  const form = h('form', { hidden: '' }, h('label', { for: 'secret' }, text.passwordLabel), input, hint, wrong, send);
  const stage = h('div', { class: 'stage off' }, badge, title, body, form, again, fine);
  const srStatus = h('p', { class: 'sr-status', role: 'status' });

  const site = client
    ? h('p', { class: 'site' }, `${text.forClient} `, h('b', {}, client), ` · ${location.host}`)
    : h('p', { class: 'site' }, `${text.forSite} `, h('b', {}, location.host));
  const root = h(
    'section',
    { class: 'panel' },
    h('header', {}, h('h2', {}, text.title), site),
    h('div', { class: 'views' }, code, stage),
    srStatus,
  );
  return {
    root,
    text,
    status,
    left,
    card,
    rest,
    frame,
    app,
    here,
    links: [big, small],
    code,
    badge,
    badgeIcon,
    title,
    body,
    fine,
    again,
    form,
    input,
    hint,
    wrong,
    send,
    stage,
    srStatus,
  };
}

/** @param {unknown} stage @returns {State | null} */
function stageOf(stage) {
  const known = /** @type {State[]} */ (['connecting', 'code', 'waiting', 'approved', 'finishing']);
  return known.find((state) => state === stage) ?? null;
}

/** Tells a screen reader once, not at every tick. @param {HTMLElement} element @param {string} text */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** @param {unknown} address @returns {string} "" unless it is a web address or MAX's own scheme */
function linkOf(address) {
  try {
    const url = new URL(String(address));
    // Said as it came: the code's text is not to be rewritten.
    return ['https:', 'max:'].includes(url.protocol) ? String(address) : '';
  } catch {
    return '';
  }
}

// ---- the button -----------------------------------------------------------------------------------------------------

export class MaxAuthButton extends HTMLElement {
  static observedAttributes = [...PASSED_ON, 'label'];

  #dialog = h('dialog', {});
  #panel = /** @type {MaxAuthPanel} */ (document.createElement('max-auth-panel'));
  #button = h('button', { class: 'primary open', type: 'button', part: 'button', 'aria-haspopup': 'dialog' });
  #close = h('button', { class: 'close', type: 'button', part: 'close' }, icon('close'));
  #closing = 0;

  connectedCallback() {
    if (!this.shadowRoot) {
      applyStyles(this.attachShadow({ mode: 'open' }), BUTTON_CSS).append(this.#button, this.#dialog);
      this.#dialog.append(this.#panel, this.#close);
      this.#button.addEventListener('click', () => this.open());
      this.#close.addEventListener('click', () => this.#dialog.close());
      this.#dialog.addEventListener('close', () => this.#closed());
      // Only what begins AND ends on the backdrop closes it: not a text selection that slipped out.
      let pressed = false;
      this.#dialog.addEventListener('pointerdown', (event) => (pressed = event.target === this.#dialog));
      this.#dialog.addEventListener('click', (event) => {
        if (pressed && event.target === this.#dialog) this.#dialog.close();
      });
      this.#panel.addEventListener('max-auth-stale', () => this.#dialog.close());
      this.#panel.addEventListener('max-auth-stays', () => {
        this.#closing = window.setTimeout(() => this.#dialog.close(), 1600);
      });
    }
    this.#label();
  }

  disconnectedCallback() {
    if (this.#dialog.open) this.#dialog.close();
  }

  attributeChangedCallback() {
    this.#label();
  }

  /** Opens the dialog and begins a login. */
  open() {
    if (this.#dialog.open || !this.isConnected) return;
    for (const name of PASSED_ON) {
      const value = this.getAttribute(name);
      if (value === null) this.#panel.removeAttribute(name);
      else this.#panel.setAttribute(name, value);
    }
    this.#panel.setAttribute('locale', localeOf(this));
    if (!this.hasAttribute('return-to')) this.#panel.setAttribute('return-to', this.#here());
    this.#label();
    this.#dialog.showModal();
    this.#panel.start();
  }

  /** Closes the dialog and gives the login up. */
  close() {
    this.#dialog.close();
  }

  /** @param {FocusOptions} [options] */
  focus(options) {
    this.#button.focus(options);
  }

  /** Back to this very page, unless told otherwise. */
  #here() {
    const base = new URL(this.getAttribute('base') ?? import.meta.url, document.baseURI);
    return base.origin === location.origin ? location.pathname + location.search : location.href.split('#')[0];
  }

  #label() {
    const text = words(localeOf(this));
    this.#button.replaceChildren(icon('scan'), h('span', {}, this.getAttribute('label') ?? text.button));
    this.#close.setAttribute('aria-label', text.close);
    this.#dialog.setAttribute('aria-label', text.title);
  }

  #closed() {
    window.clearTimeout(this.#closing);
    this.#panel.stop();
    this.dispatchEvent(new CustomEvent('max-auth-close', { bubbles: true, composed: true }));
  }
}

// ---- small things ---------------------------------------------------------------------------------------------------

/**
 * The element's language: its own attribute, that of the page around it, the browser's; Russian and English are spoken.
 * @param {Element} element
 * @returns {'ru' | 'en'}
 */
function localeOf(element) {
  const around = element.closest('[lang]')?.getAttribute('lang') || document.documentElement.lang;
  const tag = element.getAttribute('locale') || around || navigator.language || 'ru';
  return /^(ru|be|uk|kk)\b/i.test(tag) ? 'ru' : 'en';
}

/** @type {Map<string, CSSStyleSheet>} */
const sheets = new Map();

/** Constructed sheets need no `style-src 'unsafe-inline'`. @param {ShadowRoot} shadow @param {string} css */
function applyStyles(shadow, css) {
  let sheet = sheets.get(css);
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(css);
    sheets.set(css, sheet);
  }
  shadow.adoptedStyleSheets = [sheet];
  return shadow;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {Record<string, string>} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
function h(name, attributes, ...children) {
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
function s(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/** @param {keyof typeof ICONS} name */
function icon(name) {
  return s('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' }, s('path', { d: ICONS[name] }));
}

/** @param {SVGSVGElement} svg @param {string} name */
function draw(svg, name) {
  svg.replaceChildren(s('path', { d: ICONS[/** @type {keyof typeof ICONS} */ (name)] }));
}

/** A pale code in the place of the one that is coming. */
function ghost() {
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

if (!customElements.get('max-auth-panel')) customElements.define('max-auth-panel', MaxAuthPanel);
if (!customElements.get('max-auth-button')) customElements.define('max-auth-button', MaxAuthButton);
