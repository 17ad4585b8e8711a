// @ts-check
/** How the widget looks, and its part of the texts. No behaviour lives here. */

import { TEXTS } from './texts.js';

/** @typedef {Omit<typeof TEXTS.ru.shared, 'ways'> & Omit<typeof TEXTS.ru.widget, 'errors'> & Record<'errors' | 'ways', Record<string, string[]>>} Words */
/** @typedef {Partial<Omit<Words, 'button'>>} Texts by key; of `errors` a title and an advice, of `ways` a name and what happens on the phone */

/** @param {'ru' | 'en'} locale @param {Texts} [instead] @returns {Words} */
export function words(locale, instead = {}) {
  const { shared, widget } = TEXTS[locale];
  const ways = { ...shared.ways, ...instead.ways };
  return { ...shared, ...widget, ...instead, ways, errors: { ...widget.errors, ...instead.errors } };
}

/** What a page can style by `::part()`: of the dialog, and of the panel in it, which hands its own on. */
export const PANEL_PARTS =
  'panel, logo, title, site, code, ring, status, left, steps, way, textcode, note, link, other, choice, stage, match, badge, heading, text, input, submit, retry';

/** Icons as path data on a 24 × 24 grid, drawn by strokes. */
export const ICONS = {
  close: 'M6 6l12 12M18 6L6 18',
  shield: 'M12 3l7 3v5c0 4.6-2.9 8.2-7 10-4.1-1.8-7-5.4-7-10V6zM12 8.5v4M12 15.6v.1',
  check: 'M5.5 12.5l4.2 4.2L18.5 8',
  alert: 'M12 7v6M12 16.8v.1',
  lock: 'M8 11V8.2a4 4 0 0 1 8 0V11M6.5 11h11a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-11a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1zM12 14.5v2',
};

/** A site's colour goes before ours, by day and by night. @param {Record<string, string>} colors */
const palette = (colors) =>
  Object.entries(colors)
    .map(([name, color]) => `--${name}: var(--max-auth-${name}, ${color});`)
    .join(' ');

const LIGHT = `
  color-scheme: light;
  ${palette({ surface: '#fff', text: '#17152b', muted: '#66637c', line: '#e7e5f1', soft: '#f6f4ff', accent: '#6439e0', bad: '#c42b3c', good: '#16845a' })}
  --shadow: 0 24px 70px rgb(31 22 77 / .22);`;
const DARK = `
  color-scheme: dark;
  ${palette({ surface: '#1c1b27', text: '#f4f3fb', muted: '#aaa7bf', line: '#343246', soft: '#2a2735', accent: '#a58bff', bad: '#ff8f8f', good: '#5bd69b' })}
  --shadow: 0 24px 70px rgb(0 0 0 / .55);`;

const BASE = `
  :host { ${LIGHT}
    --radius: var(--max-auth-radius, 14px);
    font-family: var(--max-auth-font, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif);
    font-size: 16px; line-height: 1.45; text-align: start;
  }
  @media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { ${DARK} } }
  :host([theme="dark"]) { ${DARK} }
  *, *::before, *::after { box-sizing: border-box; }
  [hidden] { display: none !important; }
  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  .icon { width: 1.25em; height: 1.25em; fill: none; stroke: currentColor; stroke-width: 2; flex: none;
    stroke-linecap: round; stroke-linejoin: round; }
  .primary {
    display: inline-flex; align-items: center; justify-content: center; gap: .6em;
    font-family: inherit; font-size: 1rem; font-weight: 600; line-height: 1.2; text-decoration: none; cursor: pointer;
    min-height: 3rem; padding: .7em 1.4em; border: 0; border-radius: var(--radius);
    color: var(--max-auth-button-text, #fff);
    background: var(--max-auth-button, linear-gradient(100deg, #7c3aed, #5155f2 55%, #2c68ee));
    box-shadow: 0 1px 0 rgb(255 255 255 / .25) inset, 0 6px 18px rgb(86 70 220 / .28);
    transition: filter .15s, transform .15s, box-shadow .15s;
  }
  .primary:hover { filter: brightness(1.07); box-shadow: 0 1px 0 rgb(255 255 255 / .25) inset, 0 8px 24px rgb(86 70 220 / .38); }
  .primary:active { transform: translateY(1px); }
  .primary:disabled, .primary[aria-disabled] { filter: saturate(.25) opacity(.75); cursor: default; box-shadow: none; transform: none; }
  @media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation: none !important; transition: none !important; } }
  @media (forced-colors: active) { .primary { border: 2px solid ButtonText; } }
`;

/** Beside what the button has from the beginning (widget.js). */
export const DIALOG_CSS = `${BASE}
  dialog {
    width: min(26rem, calc(100vw - 2rem)); max-height: calc(100dvh - 2rem); padding: 0; border: 0;
    border-radius: min(2 * var(--radius), 28px); color: var(--text); background: var(--surface); box-shadow: var(--shadow);
    overflow: auto; overscroll-behavior: contain;
  }
  dialog::backdrop { background: rgb(18 14 38 / .5); backdrop-filter: blur(3px); }
  dialog[open] { animation: rise .22s cubic-bezier(.2, .8, .3, 1); }
  dialog[open]::backdrop { animation: fade .2s; }
  dialog:focus-visible { outline: none; }
  .close {
    position: absolute; inset-block-start: .9rem; inset-inline-end: .9rem; width: 2.75rem; height: 2.75rem;
    display: grid; place-items: center; padding: 0; border: 0; border-radius: 50%;
    color: var(--muted); background: transparent; cursor: pointer;
  }
  .close:hover { color: var(--text); background: var(--soft); }
  @keyframes rise { from { opacity: 0; transform: translateY(14px) scale(.98); } }
  @keyframes fade { from { opacity: 0; } }
  @media (max-width: 480px) {
    dialog { width: 100vw; max-width: 100vw; margin-block-end: 0; border-end-start-radius: 0; border-end-end-radius: 0; max-height: calc(100dvh - 1rem); }
    @keyframes rise { from { transform: translateY(40px); opacity: 0; } }
  }
`;

export const PANEL_CSS = `${BASE}
  :host { display: block; container-type: inline-size; color: var(--text); background: var(--surface); }
  :host([hidden]) { display: none; }
  .panel { display: flex; flex-direction: column; padding: 1.75rem 1.75rem 1.5rem; }
  header { text-align: center; padding-inline: 1.5rem; }
  h2:focus { outline: none; }
  .logo { content: var(--max-auth-logo, normal); }
  .logo, slot[name="logo"]::slotted(*) { display: block; max-width: 100%; max-height: 3rem; margin: 0 auto .75rem; }
  .logo:not([hidden]) { width: fit-content; }
  h2 { margin: 0; font-size: 1.375rem; font-weight: 700; letter-spacing: -.015em; line-height: 1.25; }
  .site { margin: .3rem 0 0; font-size: .9375rem; color: var(--muted); overflow-wrap: anywhere; }
  .site b { color: var(--text); font-weight: 600; }

  /* Both views share one cell, so that the dialog keeps its size when one takes the other's place. */
  .views { flex: 1; display: grid; }
  .views > * { grid-area: 1 / 1; min-width: 0; }
  .off { visibility: hidden; }
  .code { display: flex; flex-direction: column; align-items: center; gap: 1rem; padding-top: 1.25rem; }
  .frame { position: relative; width: 15.5rem; aspect-ratio: 1; max-width: 100%; }
  .card {
    position: absolute; inset: 6px; border-radius: min(1.43 * var(--radius), 20px); overflow: hidden;
    background: #fff; display: grid; place-items: center;
  }
  .card svg { display: block; width: 100%; height: 100%; }
  .card .ghost { color: #e6e3f2; animation: breathe 1.6s ease-in-out infinite; }
  .stale .card > svg { opacity: .12; }
  .outline { position: absolute; inset: 0; width: 100%; height: 100%; fill: none; stroke-width: 3; }
  .outline rect { rx: calc(min(1.43 * var(--radius), 20px) + 5px); }
  .outline .track { stroke: var(--line); }
  .outline .rest { stroke: var(--accent); stroke-linecap: round; transition: stroke-dashoffset 1s linear; }
  .low .outline .rest { stroke: #e08a1e; }
  .line { display: flex; flex-direction: column; align-items: center; gap: .1rem; min-height: 2.9rem; text-align: center; }
  .status { margin: 0; font-weight: 600; display: inline-flex; align-items: center; gap: .55em; }
  .status::before {
    content: ""; width: .5em; height: .5em; border-radius: 50%; background: var(--accent); flex: none;
    animation: breathe 1.6s ease-in-out infinite;
  }
  .left { margin: 0; font-size: .875rem; color: var(--muted); font-variant-numeric: tabular-nums; }

  ol { list-style: none; margin: 0; padding: 0; display: grid; gap: .55rem; width: 100%; counter-reset: step; font-size: .9375rem; }
  ol li { display: flex; gap: .7rem; align-items: baseline; counter-increment: step; }
  ol li::before {
    content: counter(step); flex: none; width: 1.5rem; height: 1.5rem; border-radius: 50%; display: inline-grid; place-items: center;
    font-size: .8125rem; font-weight: 700; color: var(--accent); background: var(--soft);
  }
  .way, .code details { width: 100%; margin: 0; font-size: .9375rem; text-align: center; text-wrap: pretty; }
  summary { cursor: pointer; font-size: .8125rem; color: var(--muted); border-radius: 6px; }
  summary:hover { color: var(--text); }
  details p { margin: .5rem 0 0; display: flex; flex-wrap: wrap; align-items: center; justify-content: center; gap: .4rem .7rem; }
  details b { font: 700 1.25rem ui-monospace, "Cascadia Mono", Menlo, monospace; letter-spacing: .08em; white-space: nowrap; }
  details b span + span { margin-inline-start: .4em; }
  .ways { display: grid; gap: .5rem; width: 100%; }
  details .ways { margin-top: .6rem; }
  .quiet {
    font: inherit; font-size: .9375rem; font-weight: 600; min-height: 2.75rem; padding: .5em 1em; cursor: pointer;
    border: 1px solid var(--line); border-radius: var(--radius); color: var(--text); background: transparent;
  }
  .quiet:hover { border-color: var(--accent); color: var(--accent); }
  .quiet::first-letter { text-transform: uppercase; }
  .note {
    display: flex; gap: .65rem; align-items: flex-start; width: 100%; margin: 0; padding: .75rem .9rem; border-radius: var(--radius);
    font-size: .8125rem; line-height: 1.4; color: var(--muted); background: var(--soft);
  }
  .note .icon { color: var(--accent); margin-top: .05em; font-size: 1rem; }
  .here { margin: 0; font-size: .8125rem; color: var(--muted); }
  a.text { color: var(--accent); font-weight: 600; text-underline-offset: .15em; }
  .app { display: none; width: 100%; flex-direction: column; align-items: center; gap: .6rem; }
  .app .primary { width: 100%; }
  .app p { margin: 0; font-size: .875rem; color: var(--muted); text-align: center; }

  .stage {
    display: flex; flex-direction: column; align-items: center; justify-content: center; text-align: center;
    gap: .75rem; padding-block: 1.5rem;
  }
  .stage:not(.off) { animation: appear .25s; }
  .badge { position: relative; width: 5.5rem; height: 5.5rem; border-radius: 50%; display: grid; place-items: center; margin-bottom: .5rem;
    color: var(--accent); background: var(--soft); }
  .badge .icon { width: 2.6rem; height: 2.6rem; }
  .badge.busy::after {
    content: ""; position: absolute; inset: -5px; border-radius: 50%; border: 3px solid transparent;
    border-block-start-color: var(--accent); animation: turn .9s linear infinite;
  }
  .badge.good { color: var(--good); background: color-mix(in srgb, var(--good) 14%, var(--surface)); }
  .badge.good .icon path { stroke-dasharray: 24; animation: draw .35s .08s backwards ease-out; }
  .badge.bad { color: var(--bad); background: color-mix(in srgb, var(--bad) 12%, var(--surface)); }
  .stage .match { color: var(--text); font-size: 6.5rem; font-weight: 700; line-height: 1; letter-spacing: .06em; margin-inline-end: -.06em;
    font-variant-numeric: tabular-nums; user-select: none; }
  .stage .ways { margin-top: .5rem; max-width: 21rem; }
  h3 { margin: 0; font-size: 1.25rem; font-weight: 700; letter-spacing: -.01em; line-height: 1.3; text-wrap: balance; }
  h3:focus { outline: none; }
  .stage p { margin: 0; color: var(--muted); max-width: 21rem; text-wrap: pretty; }
  .stage .small { font-size: .8125rem; }
  .stage .primary { margin-top: .75rem; min-width: 13rem; font-variant-numeric: tabular-nums; }
  .again { margin-top: .25rem; }

  form { display: grid; gap: .6rem; width: 100%; text-align: start; margin-top: .75rem; }
  form[hidden] { display: none; }
  label { font-size: .875rem; font-weight: 600; }
  input {
    font: inherit; width: 100%; min-height: 3rem; padding: .6em .9em; color: var(--text); background: var(--soft);
    border: 1.5px solid var(--line); border-radius: var(--radius);
  }
  input:focus-visible { outline: 3px solid var(--accent); outline-offset: 0; border-color: transparent; }
  input[aria-invalid="true"] { border-color: var(--bad); }
  .wrong { margin: 0; font-size: .875rem; color: var(--bad); }
  .stage form .wrong { color: var(--bad); max-width: none; }
  form .primary { width: 100%; }
  .sr-status { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

  @keyframes breathe { 50% { opacity: .45; } }
  @keyframes turn { to { transform: rotate(1turn); } }
  @keyframes draw { from { stroke-dashoffset: 24; } to { stroke-dashoffset: 0; } }
  @keyframes appear { from { opacity: 0; transform: translateY(6px); } }

  @container (max-width: 24rem) { .panel { padding: 1.5rem 1.25rem 1.25rem; } }
  @media (pointer: coarse) and (max-width: 900px), (max-width: 480px) {
    .app { display: flex; }
    .here { display: none; }
    .frame { width: 12.5rem; }
    .steps, .scan { display: none; }
  }
  @media (max-width: 480px) and (max-height: 700px) { .frame { width: 10rem; } .code { gap: .7rem; padding-top: 1rem; } }
  @media (pointer: fine) and (max-height: 760px) { .frame { width: 13rem; } .code { gap: .75rem; } }
`;
