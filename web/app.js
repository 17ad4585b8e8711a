// @ts-check
/**
 * The mini-app, which MAX opens in a window of its own on the phone: who is asked signs in to the site by picking the number
 * that the browser shows. This file and its styles are inside the page (src/server/app_page.rs). MAX's own script, the bridge,
 * is asked for beside it; where it does not come, only what it alone can do is missing: the phone number, and closing.
 */
import { TEXTS } from './texts.js';

/** @typedef {{ ticket: string, site: string, browser: string | null, choices: string[], contact: boolean, warning: string | null, locale: string }} Opened */
/** @typedef {{ outcome: 'approved' | 'contact' | 'declined' }} Answered */
/** @typedef {{ of: string, opened?: Opened, outcome?: string }} Kept a window that is reloaded goes on: what MAX signed is good once */
/** @typedef {'open' | 'confirm' | 'contact'} Question */

const KEPT = 'max-auth:app';
const BRIDGE_MS = 5000; // it is there by then, or does not come
const LOOK_MS = 50;

const page = /** @type {HTMLElement} */ (document.getElementById('app'));
const base = page.dataset.base ?? '';

/** @returns {any} what MAX's script brings */
const bridge = () => /** @type {any} */ (globalThis).WebApp;

/** @template T @param {() => T} there @returns {Promise<T | undefined>} */
async function awaited(there) {
  const until = performance.now() + BRIDGE_MS;
  for (;;) {
    const found = there();
    if (found || performance.now() > until) return found || undefined;
    await new Promise((look) => setTimeout(look, LOOK_MS));
  }
}

/** What MAX signed. It is behind the address, too, so that nobody needs to wait for the bridge. */
function signedInAddress() {
  const [, data = ''] = location.hash.match(/[#&]WebAppData=([^&]*)/) ?? [];
  try {
    const text = decodeURIComponent(data);
    return /(^|&)hash=/.test(text) ? text : data && location.hash.slice(1);
  } catch {
    return location.hash.slice(1); // not as MAX writes it: the server says so
  }
}

/** @param {string} tag @returns {'ru' | 'en'} */
const languageOf = (tag) => (/^(ru|be|uk|kk|$)/i.test(tag) ? 'ru' : 'en');

/** @param {URLSearchParams} signed */
function ownLanguage(signed) {
  try {
    return JSON.parse(signed.get('user') ?? '').language_code || navigator.language;
  } catch {
    return navigator.language;
  }
}

let text = TEXTS.ru.app;
/** @param {string} tag */
function speak(tag) {
  const language = languageOf(tag);
  text = TEXTS[language].app;
  document.documentElement.lang = language;
}

// ---- what is kept for a reload ------------------------------------------------------------------------------------

/** @type {Kept} */
let kept = { of: '' };

/** @param {string} of which window it is: what MAX signed has a name of its own */
function recall(of) {
  kept = { of };
  try {
    const before = JSON.parse(sessionStorage.getItem(KEPT) ?? '{}');
    if (before.of === of) kept = before;
  } catch {
    // a storage that is forbidden: a reload then asks for a fresh code
  }
}

/** @param {Partial<Kept>} more */
function keep(more) {
  Object.assign(kept, more);
  try {
    sessionStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // as above
  }
}

// ---- what is shown ------------------------------------------------------------------------------------------------

/**
 * @param {string} name with classes behind dots: "p.say"
 * @param {...(Node | string)} inside
 */
function h(name, ...inside) {
  const [tag, ...classes] = name.split('.');
  const element = document.createElement(tag);
  element.className = classes.join(' ');
  element.append(...inside);
  return element;
}

/** @param {string} name @param {string} label @param {() => void} pressed */
function button(name, label, pressed) {
  const made = /** @type {HTMLButtonElement} */ (h(`button.${name}`, label));
  made.type = 'button';
  made.addEventListener('click', pressed);
  return made;
}

/** @param {'good' | 'bad' | 'busy'} kind */
function badge(kind) {
  const made = h(`div.badge.${kind}`, { good: '✓', bad: '!', busy: '' }[kind]);
  made.ariaHidden = 'true';
  return made;
}

/** A text whose `{site}` stands out. @param {string} template @param {string} [site] */
function named(template, site = '') {
  const [before, after = ''] = template.split('{site}');
  return [before, ...(template.includes('{site}') ? [h('b', site)] : []), after];
}

/** One thing at a time; a screen reader begins at its title. @param {string} title @param {...(Node | string)} inside */
function show(title, ...inside) {
  const heading = h('h1', ...named(title, kept.opened?.site));
  heading.tabIndex = -1;
  const [first] = inside;
  const isBadge = first instanceof HTMLElement && first.classList.contains('badge');
  page.replaceChildren(...(isBadge ? [first, heading, ...inside.slice(1)] : [heading, ...inside]));
  page.ariaBusy = 'false';
  document.title = heading.textContent ?? '';
  heading.focus({ preventScroll: true });
}

function busy() {
  for (const pressed of page.querySelectorAll('button')) pressed.disabled = true;
  page.ariaBusy = 'true';
}

/** Only where the bridge can. */
const closing = () => (bridge()?.close ? [button('primary', text.close, () => bridge().close())] : []);

/** @param {'good' | 'bad'} kind @param {[string, string] | string[]} words @param {...Node} more */
function end(kind, [title, advice], ...more) {
  const draw = () => show(title, badge(kind), h('p.say', advice), ...more, ...closing());
  draw();
  // It may come later than the end.
  if (!bridge()?.close) void awaited(() => bridge()?.close).then((close) => close && draw());
}

// ---- what is asked ------------------------------------------------------------------------------------------------

/** @param {Question} question @param {object} body @param {(answer: any) => void} then */
async function ask(question, body, then) {
  busy();
  const response = await fetch(`${base}/app/${question}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
    body: JSON.stringify(body),
  }).catch(() => null);
  const answer = await response?.json().catch(() => null);
  if (response?.ok && answer) return then(answer);
  const code = answer?.code ?? 'network';
  if (code === 'contact-invalid') return askContact(text.contactInvalid);
  refused(code, response, () => void ask(question, body, then));
}

/** @param {string} code @param {Response | null | undefined} response @param {() => void} retry */
function refused(code, response, retry) {
  const known = /** @type {Record<string, string[]>} */ (text.problems);
  const [title, advice] = known[code] ?? known.other;
  const minutes = Math.ceil(Number(response?.headers.get('retry-after') ?? 0) / 60);
  const when = code === 'person-locked' && minutes > 0 ? ` ${text.minutes.replace('{n}', String(minutes))}` : '';
  const isPassing = code === 'busy' || code === 'network';
  end('bad', [title, advice + when], ...(isPassing ? [button('primary', text.retry, retry)] : []));
}

/** @param {Opened} opened */
function askWho({ ticket, browser, choices, warning, locale }) {
  if (locale) speak(locale);
  /** @param {string | null} choice */
  const choose = (choice) =>
    void ask('confirm', { ticket, choice }, (/** @type {Answered} */ { outcome }) => {
      keep({ outcome: outcome === 'declined' && choice !== null ? 'mismatch' : outcome });
      goOn();
    });
  const about = browser ? [h('p.say', `${text.browser} `, h('b', browser))] : [];
  const caution = warning === 'elsewhere' ? [h('p.caution', text.elsewhere)] : [];
  for (const shown of caution) shown.setAttribute('role', 'alert');
  const numbers = h('div.numbers', ...choices.map((choice) => button('number', choice, () => choose(choice))));
  numbers.setAttribute('role', 'group');
  numbers.ariaLabel = text.pick;
  const answers =
    choices.length > 0 ? [h('p.question', text.pick), numbers] : [button('primary', text.yes, () => choose('yes'))];
  show(
    text.title,
    ...about,
    ...caution,
    ...answers,
    h('p.note', choices.length > 0 ? text.note : text.noteYes),
    button('quiet', text.notMe, () => choose(null)),
  );
}

/** @param {string} [wrong] what was wrong with the last try */
function askContact(wrong) {
  const { ticket = '', site = '' } = kept.opened ?? {};
  const said = (/** @type {object} */ body) =>
    ask('contact', { ticket, ...body }, (/** @type {Answered} */ { outcome }) => {
      keep({ outcome });
      goOn();
    });
  const share = async () => {
    busy();
    const request = await awaited(() => bridge()?.requestContact && bridge());
    const contact = await request?.requestContact().catch(() => null);
    if (!contact?.phone) return askContact(request ? text.contactKept : text.contactAway);
    const { phone, authDate, hash } = contact;
    await said({ phone, authDate, hash });
  };
  const told = wrong ? [h('p.caution', wrong)] : [];
  for (const shown of told) shown.setAttribute('role', 'alert');
  show(
    text.contactTitle,
    h('p.say', ...named(text.contactText, site)),
    ...told,
    button('primary', text.contactShare, () => void share()),
    button('quiet', text.contactWithout, () => void said({ phone: null })),
  );
}

/** Where this window stands. */
function goOn() {
  const { opened, outcome } = kept;
  if (opened?.locale) speak(opened.locale);
  if (outcome === 'approved') return end('good', [text.done, text.doneText]);
  if (outcome === 'declined') return end('bad', [text.declined, text.declinedText]);
  if (outcome === 'mismatch') return end('bad', [text.declined, text.mismatchText]);
  if (outcome === 'contact') return askContact();
  if (opened) askWho(opened);
}

async function begin() {
  const initData = signedInAddress() || (await awaited(() => bridge()?.initData)) || '';
  const signed = new URLSearchParams(initData);
  speak(ownLanguage(signed));
  if (!initData) return end('bad', text.problems.outside);
  bridge()?.ready?.();
  recall(signed.get('hash') ?? initData);
  if (kept.opened) return goOn();
  await ask('open', { initData }, (/** @type {Opened} */ opened) => {
    keep({ opened });
    goOn();
  });
}

void begin();
