// @ts-check
/** What `<max-auth-panel>` shows: one login from its beginning to its end, as the visitor sees it. */

import { startMaxAuth } from './client.js';
import { HERE } from './here.js';
import { adoptDrawing, ghost } from './widget-drawing.js';
import { applyStyles, draw, localeOf, textsOf } from './widget-elements.js';
import { PANEL_CSS, words } from './widget-look.js';
import { build } from './widget-panel-view.js';
import { Ways } from './widget-ways.js';

/** @typedef {import('./widget.js').MaxAuthPanel} MaxAuthPanel */
/** @typedef {'idle' | 'connecting' | 'code' | 'waiting' | 'approved' | 'finishing' | 'success' | 'password' | 'confirm' | 'error'} State */
/** @typedef {import('./client.js').Driver} Driver */

export class Panel {
  /** @type {MaxAuthPanel} */
  #host;
  /** @type {State} */
  #state = 'idle';
  /** @type {import('./client.js').Stop | null} */
  #stop = null;
  /** @type {ReturnType<typeof build> | null} */
  #view = null;
  /** @type {Ways | null} */
  #ways = null;
  /** @type {Driver | undefined} the way that was asked for */
  #wanted;
  #ticker = 0;
  #ttl = 1;
  #expiresAt = 0;
  #retryAt = 0;
  /** The visitor stays on this page when signed in. */
  #stays = false;

  /** @param {MaxAuthPanel} host */
  constructor(host) {
    this.#host = host;
    this.#render();
    window.addEventListener('pageshow', this.#shown);
  }

  get state() {
    return this.#state;
  }

  /** Its element has left the page. */
  leave() {
    window.removeEventListener('pageshow', this.#shown);
    this.stop();
  }

  /** The title: where who hears the page begins, before any way out. */
  focus() {
    this.#view?.name.focus({ preventScroll: true });
  }

  /** Its element's attributes say something else. */
  changed() {
    if (this.#state === 'idle') this.#render();
  }

  /** Begins a login, or begins anew after one has ended. */
  start() {
    this.#begin(/** @type {Driver | null} */ (this.#host.getAttribute('driver')) ?? undefined);
  }

  /** @param {Driver | undefined} driver */
  #begin(driver) {
    const before = this.#ways;
    if (this.#stop) this.stop();
    this.#render();
    this.#wanted = driver;
    this.#ways?.know({ driver: driver ?? before?.driver, drivers: before?.all });
    this.#show('connecting');
    const returnTo = this.#host.getAttribute('return-to');
    const request = this.#host.getAttribute('request');
    const base = this.#host.getAttribute('base');
    this.#stays = this.#host.getAttribute('redirect') === 'false';
    this.#stop = startMaxAuth((event, data) => this.#on(event, data), {
      locale: localeOf(this.#host),
      redeem: this.#stays,
      ...(returnTo !== null && { returnTo }),
      ...(request !== null && { request }),
      ...(base !== null && { base }),
      ...(driver && { driver }),
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
    if (this.#host.hasAttribute('autostart')) this.start();
    else this.#host.dispatchEvent(new CustomEvent('max-auth-stale'));
  };

  /** @param {import('./client.js').EventName} event @param {any} data */
  #on(event, data) {
    if (event === 'success') return this.#succeed(data);
    const { svg: _, ...withoutPicture } = data;
    this.#emit(`max-auth-${event}`, event === 'qr' ? withoutPicture : data);
    if (event === 'status') this.#showStatus(data);
    else if (event === 'qr') this.#showCode(data);
    else if (event === 'confirm') this.#show('confirm', data);
    else if (event === 'password') this.#show('password', data);
    else if (event === 'error') this.#show('error', data);
  }

  /** @param {any} data */
  #showStatus(data) {
    if (data.driver) this.#ways?.know(data);
    const stage = stageOf(data.stage) ?? this.#state;
    // A number stands until there is a fresh code, or an answer.
    if (stage !== 'waiting' || this.#state !== 'confirm') this.#show(stage, data);
  }

  /** @param {{ token: string, redirect: string, session?: object }} data `session` where the visitor stays: there is one now */
  #succeed(data) {
    this.#show('success', { stays: this.#stays });
    const { token, redirect, session } = data;
    const goOn = this.#emit('max-auth-success', { token, redirect, ...(session && { session }) }, true);
    if (!goOn || this.#stays) return void this.#host.dispatchEvent(new CustomEvent('max-auth-stays'));
    const base = this.#host.getAttribute('base');
    const target = new URL(data.redirect, base ? new URL(base, document.baseURI) : HERE);
    if (target.protocol === 'https:' || target.protocol === 'http:') location.assign(target);
  }

  /** @param {string} name @param {any} detail @param {boolean} [cancelable] */
  #emit(name, detail, cancelable = false) {
    return this.#host.dispatchEvent(new CustomEvent(name, { detail, cancelable, bubbles: true, composed: true }));
  }

  #render() {
    this.#view = build(words(localeOf(this.#host), textsOf(this.#host)), this.#host.getAttribute('client'));
    const { root, again, form, logo, text, to } = this.#view;
    this.#ways = new Ways(text, to, (driver) => this.#anew(driver));
    // Without one there is no room for it, either.
    logo.hidden = !getComputedStyle(this.#host).getPropertyValue('--max-auth-logo').trim();
    again.addEventListener('click', () => this.#anew(this.#wanted));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#sendPassword();
    });
    const shadow = this.#host.shadowRoot ?? this.#host.attachShadow({ mode: 'open' });
    applyStyles(shadow, PANEL_CSS);
    shadow.replaceChildren(root);
  }

  /** @param {Driver | undefined} driver */
  #anew(driver) {
    this.#begin(driver);
    this.focus();
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
    view.fine.textContent = [text.successNote, this.#isAccount && text.sessionEnded].filter(Boolean).join(' ');
    view.match.hidden = state !== 'confirm';
    view.match.textContent = state === 'confirm' ? String(data.matchCode ?? '') : '';
    view.badge.hidden = state === 'confirm';
    view.form.hidden = state !== 'password';
    view.again.hidden = state !== 'error' || data.retry === false;
    view.others.hidden = true;
    if (state === 'password') this.#showPassword(data, before === 'password');
    if (state === 'error') this.#showError(data);
    setText(view.srStatus, [title, body, view.match.textContent].filter(Boolean).join('. '));
  }

  /** Its code opens a session of MAX, which is ended again. */
  get #isAccount() {
    return (this.#ways?.driver ?? 'account_qr') === 'account_qr';
  }

  /** @param {State} state @param {any} data @returns {[string, string]} */
  #stageWords(state, data) {
    const text = /** @type {any} */ (this.#view?.text);
    if (state === 'error') {
      const [title, advice] = text.errors[data.code] ?? [text.errorTitle, ''];
      return [title, advice || String(data.message ?? '')];
    }
    if (state === 'password') return [text.passwordTitle, text.passwordText];
    if (state === 'confirm') return [text.pick, ''];
    if (state === 'finishing' && !this.#isAccount) return [text.finishing, ''];
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
    const isDown = data.code === 'driver-down';
    // The same again would be refused again: let the server choose.
    if (isDown) this.#wanted = undefined;
    if (isDown || view.again.hidden) this.#offerOthers();
    this.#retryAt = Date.now() + (Number(data.retryAfter) || 0);
    this.#ticker = window.setInterval(() => this.#tickRetry(), 500);
    this.#tickRetry();
    if (view.again.hidden || view.again.disabled) view.title.focus();
    else view.again.focus({ preventScroll: true });
  }

  #offerOthers() {
    const view = this.#view;
    const others = this.#ways?.others(`${view?.text.otherWay}: `) ?? [];
    view?.others.replaceChildren(...others);
    if (view) view.others.hidden = others.length === 0;
  }

  #tickRetry() {
    const view = this.#view;
    if (!view) return;
    const seconds = Math.ceil((this.#retryAt - Date.now()) / 1000);
    view.again.disabled = seconds > 0;
    // A person who is locked waits for up to an hour.
    const wait = seconds < 60 ? `${seconds} ${view.text.second}` : clockOf(seconds);
    view.again.textContent = seconds > 0 ? `${view.text.retryIn} ${wait}` : view.text.retry;
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
    const ttl = Math.max(1000, Number(data.ttl) || 60_000);
    // The visitor's clock may be wrong; a code replayed after a reconnect may be older than it says. Take the sooner. The ring
    // shows that as the whole: it starts full.
    const byClock = Number(data.expiresAt) - Date.now();
    this.#ttl = byClock > 0 && byClock < ttl ? byClock : ttl;
    this.#expiresAt = Date.now() + this.#ttl;
    view.card.replaceChildren(drawing);
    this.#ways?.showText(data.textCode);
    const link = linkOf(data.qrLink);
    this.#link(link);
    view.app.classList.toggle('off', !link);
    this.#show('waiting');
  }

  /** Their place stays, so that nothing moves when they come. @param {string} address "" while there is none */
  #link(address) {
    const view = this.#view;
    for (const anchor of view?.links ?? []) {
      if (address) {
        anchor.href = address;
        anchor.removeAttribute('aria-disabled');
      } else {
        anchor.removeAttribute('href');
        anchor.setAttribute('aria-disabled', 'true');
      }
    }
    view?.here.classList.toggle('off', !address);
  }

  #clearCode() {
    const view = this.#view;
    if (!view) return;
    this.#expiresAt = 0;
    view.card.replaceChildren(ghost());
    this.#ways?.showText('');
    view.frame.classList.remove('stale', 'low');
    view.rest.style.strokeDashoffset = '0';
    view.left.textContent = '';
    this.#link('');
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
    view.left.textContent = seconds > 0 ? `${view.text.left} ${clockOf(seconds)}` : '';
    setText(view.status, seconds > 0 ? view.text.waiting : view.text.refreshing);
  }
}

/** @param {unknown} stage @returns {State | null} */
function stageOf(stage) {
  const known = /** @type {State[]} */ (['connecting', 'code', 'waiting', 'approved', 'finishing']);
  return known.find((state) => state === stage) ?? null;
}

/** Minutes and seconds. @param {number} seconds */
const clockOf = (seconds) => `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;

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
