// @ts-check
/**
 * The dialog and the panel in small, for lines on which dialog.js does not arrive: what the ready page shows, by what the ready
 * page uses. A cloud password is asked for on the plain page.
 */
import { follow, leaveFrozen } from './follow.js';
import { SHEET, WORDS } from './labels.js';
import { showing } from './showing.js';

/** @typedef {import('./widget-panel.js').State} State */

const CSS = `${SHEET}
:host { display: flow-root; color: var(--ink); background: var(--surface); font: 1rem/1.5 var(--max-auth-font, system-ui, sans-serif); }
.plain { width: auto; border-radius: 0; box-shadow: none; }
a.primary:not([href]) { opacity: .6; }
h1 { outline: none; }
::slotted(*) { display: block; max-height: 3rem; margin: 1.5rem auto 0; }`;

const DIALOG_CSS = `
dialog { width: min(26rem, calc(100vw - 2rem)); max-height: calc(100dvh - 2rem); padding: 0; border: 0; overflow: auto;
  border-radius: min(2 * var(--max-auth-radius, 14px), 28px);
  box-shadow: 0 24px 70px rgb(0 0 0 / .3); }
dialog::backdrop { background: rgb(18 14 38 / .5); }
.close { position: absolute; inset: .9rem .9rem auto auto; width: 2.75rem; height: 2.75rem; border: 0; border-radius: 50%; background: none;
  color: #88859d; font-size: 1.5rem; cursor: pointer; }`;

/** @param {ShadowRoot} shadow @param {string} css */
const style = (shadow, css) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  shadow.adoptedStyleSheets = [...shadow.adoptedStyleSheets, sheet];
};

/**
 * @param {string} name with classes behind dots and an id behind a hash: "p.state#state"
 * @param {...(Node | string)} inside
 * @returns {any}
 */
const h = (name, ...inside) => {
  const [, tag, names, id] = /** @type {RegExpMatchArray} */ (name.match(/^(\w+)([.\w]*)#?(\w*)$/));
  const element = document.createElement(tag);
  Object.assign(element, { className: names.replaceAll('.', ' ').trim(), id });
  element.append(...inside);
  return element;
};

/** @param {HTMLElement} element @returns {'ru' | 'en'} */
const languageOf = (element) => {
  const tag = element.getAttribute('locale') || document.documentElement.lang || navigator.language;
  return /^(ru|be|uk|kk|$)/i.test(tag) ? 'ru' : 'en';
};

/** The page's own. @param {string} slot */
const logo = (slot) => Object.assign(h('slot'), { name: 'logo', slot });

/** With what the page says in place of ours. @param {any} element @returns {any} */
const wordsOf = (element) => {
  const ours = WORDS[languageOf(element)];
  try {
    return { ...ours, ...(element.texts ?? JSON.parse(element.getAttribute('texts'))) };
  } catch {
    return ours;
  }
};

export class Panel {
  /** @type {State} */
  state = 'idle';
  #host;
  #shadow;
  /** @type {ReturnType<typeof showing> | undefined} */
  #sheet;
  /** @type {ReturnType<typeof follow> | undefined} */
  #login;
  #id = '';

  /** @param {import('./widget.js').MaxAuthPanel} host */
  constructor(host) {
    this.#host = host;
    this.#shadow = host.shadowRoot ?? host.attachShadow({ mode: 'open' });
    style(this.#shadow, CSS);
    this.#draw();
    window.addEventListener('online', this.#back);
    document.addEventListener('visibilitychange', this.#back);
  }

  #back = () => {
    if (document.visibilityState === 'visible') this.#login?.wake();
  };

  #draw() {
    const text = wordsOf(this.#host);
    const link = (/** @type {string} */ name) =>
      Object.assign(h(name, text.open), { target: '_blank', rel: 'noopener noreferrer' });
    const steps = [text.step1, text.step2, text.step3].map((step) => h('li', step));
    const again = h('button.primary#again', text.retry);
    again.addEventListener('click', () => this.start());
    const rest = Object.assign(h('progress#rest'), { value: 1 });
    const sent = h('details#sent', h('summary', text.textCode), `${text.sendIt} `, h('i'), h('i'));
    sent.hidden = true;
    const show = h(
      'div.stack#show',
      h('p.app', link('a.primary.link')),
      h('div.code#code'),
      rest,
      h('p.state#state', text.connecting),
      h('p.left#left'),
      h('ol.steps#steps', ...steps),
      h('p.way#way'),
      sent,
      h('p.note', text.warning),
      h('p.here', `${text.openHere} `, link('a.link')),
    );
    const end = h('div.stack#end', h('div.badge#badge'), h('p.who#title'), h('p.say#body'), again);
    const site = h('p.site', `${text.forSite} `, h('b', this.#host.getAttribute('client') ?? location.host));
    end.hidden = true;
    for (const part of [show.querySelector('.state'), end]) part.role = 'status';
    const title = Object.assign(h('h1', text.title), { tabIndex: -1 });
    this.#shadow.replaceChildren(logo(''), h('div.plain', title, site, show, end));
    this.#sheet = showing(this.#part, () => this.#shadow.querySelectorAll('.link'), text);
  }

  #part = (/** @type {string} */ id) => /** @type {any} */ (this.#shadow.getElementById(id));

  focus() {
    this.#shadow.querySelector('h1')?.focus({ preventScroll: true });
  }

  start() {
    this.stop();
    this.#draw();
    this.state = 'connecting';
    const attribute = (/** @type {string} */ name) => this.#host.getAttribute(name) ?? undefined;
    const base = new URL(attribute('base') ?? '.', attribute('base') ? document.baseURI : this.#host.here).href.replace(
      /\/$/,
      '',
    );
    const stays = attribute('redirect') === 'false';
    const message = {
      userAgent: { headerUserAgent: navigator.userAgent.slice(0, 512) },
      locale: languageOf(this.#host),
      returnTo: attribute('return-to'),
      request: attribute('request'),
      driver: attribute('driver'),
    };
    const sheet = /** @type {ReturnType<typeof showing>} */ (this.#sheet);
    const text = wordsOf(this.#host);
    /** @param {any} data */
    const fail = (data) => {
      this.state = 'error';
      const [title = text.errorTitle, advice = data.message ?? text.network] = text.errors?.[data.code] ?? [];
      sheet.end('bad', title, advice, data.retry !== false);
      this.#emit('error', data);
    };
    /** @type {Record<string, (data: any) => void>} */
    const told = {
      status: (data) => {
        if (data.login) {
          this.#id = data.login;
          leaveFrozen(base, data, 0);
          // Of an account's code nothing is said: the steps do. A site may bring the name with it.
          const line = [].concat(text.ways[data.driver] ?? []).at(-1);
          this.#part('steps').hidden = line;
          this.#part('way').textContent = line;
        }
        if (this.state !== 'confirm' || data.stage !== 'waiting') this.state = data.stage;
        sheet.status({ ...data, message: text[data.stage] ?? data.message });
        this.#emit('status', data);
      },
      confirm: (data) => {
        this.state = 'confirm';
        sheet.confirm(data);
        this.#emit('confirm', data);
      },
      qr: (data) => {
        this.state = 'waiting';
        sheet.show(data);
        this.#emit('qr', data);
      },
      password: () => location.assign(`${base}/${this.#id}/wait`),
      success: (data) => void this.#succeed(base, data, stays, fail),
      error: fail,
      refused: fail,
      line: sheet.line,
      gone: () => this.start(),
    };
    this.#login = follow(base, {}, (event, data) => told[event]?.(data ?? {}), message);
  }

  /** @param {string} base @param {any} data @param {boolean} stays @param {(data: any) => void} fail */
  async #succeed(base, data, stays, fail) {
    if (stays) {
      const body = JSON.stringify({ token: data.token });
      const headers = { 'Content-Type': 'application/json' };
      const answer = await fetch(`${base}/callback`, { method: 'POST', body, headers, credentials: 'include' }).catch(
        () => null,
      );
      if (!answer?.ok) return fail({ code: answer ? 'grant-invalid' : 'network' });
      data.session = await answer.json();
    }
    this.state = 'success';
    this.#sheet?.success();
    const goOn = this.#emit('success', data, true);
    if (!goOn || stays) return void this.#host.dispatchEvent(new CustomEvent('max-auth-stays'));
    location.assign(new URL(data.redirect, `${base}/`));
  }

  /** @param {string} name @param {any} detail @param {boolean} [cancelable] */
  #emit(name, detail, cancelable = false) {
    return this.#host.dispatchEvent(
      new CustomEvent(`max-auth-${name}`, { detail, cancelable, bubbles: true, composed: true }),
    );
  }

  stop() {
    this.#sheet?.stop();
    if (this.state !== 'success') this.#login?.discard();
    this.#login = undefined;
    this.state = 'idle';
  }

  leave() {
    window.removeEventListener('online', this.#back);
    document.removeEventListener('visibilitychange', this.#back);
    this.stop();
  }

  changed() {
    if (this.state === 'idle') this.#draw();
  }
}

export class Dialog {
  #button;
  #dialog = h('dialog');
  #panel = document.createElement('max-auth-panel');
  #close = h('button.close', '×');

  /** @param {import('./widget.js').MaxAuthButton} button */
  constructor(button) {
    this.#button = button;
    const shadow = /** @type {ShadowRoot} */ (button.shadowRoot);
    style(shadow, DIALOG_CSS);
    this.#close.addEventListener('click', () => this.close());
    this.#dialog.addEventListener('close', () => {
      this.#panel.stop();
      button.dispatchEvent(new CustomEvent('max-auth-close', { bubbles: true, composed: true }));
    });
    this.#panel.addEventListener('max-auth-stays', () => setTimeout(() => this.close(), 1600));
    this.#panel.append(logo('logo'));
    this.#dialog.append(this.#panel);
    shadow.append(this.#dialog);
  }

  open() {
    for (const name of ['return-to', 'locale', 'base', 'redirect', 'client', 'theme', 'driver', 'texts']) {
      const value = this.#button.getAttribute(name);
      if (value === null) this.#panel.removeAttribute(name);
      else this.#panel.setAttribute(name, value);
    }
    if (!this.#button.hasAttribute('return-to'))
      this.#panel.setAttribute('return-to', location.pathname + location.search);
    this.#panel.texts = this.#button.texts;
    this.#close.ariaLabel = wordsOf(this.#button).close;
    // Else it would have the first focus.
    this.#close.remove();
    this.#dialog.showModal();
    this.#dialog.append(this.#close);
    void this.#panel.start().then(() => this.#panel.focus());
  }

  close() {
    this.#dialog.close();
  }
}
