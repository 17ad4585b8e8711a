// @ts-check
/** What stands in the panel. */

import { ghost } from './widget-drawing.js';
import { h, icon, s } from './widget-elements.js';
import { buildWays } from './widget-ways.js';

/**
 * The panel's elements, once, in one place; the panel only fills them.
 * @param {import('./widget-look.js').Words} text
 * @param {string | null} client the app that asks, where it is not this site itself
 */
export function build(text, client) {
  const status = h('p', { class: 'status', part: 'status', role: 'status' });
  const left = h('p', { class: 'left', part: 'left', role: 'timer', 'aria-live': 'off' });
  const card = h('div', { class: 'card', part: 'code' }, ghost());
  const rest = s('rect', { class: 'rest', x: 2, y: 2, width: 244, height: 244, rx: 25, pathLength: 100 });
  rest.style.strokeDasharray = '100';
  rest.style.strokeDashoffset = '0';
  const outline = s(
    'svg',
    { class: 'outline', part: 'ring', viewBox: '0 0 248 248', 'aria-hidden': 'true' },
    s('rect', { class: 'track', x: 2, y: 2, width: 244, height: 244, rx: 25 }),
    rest,
  );
  const frame = h('div', { class: 'frame' }, outline, card);

  const away = { target: '_blank', rel: 'noopener noreferrer' };
  // On a phone it stands where it will be from the beginning: said to be a link that leads nowhere yet.
  const waits = { role: 'link', 'aria-disabled': 'true' };
  const big = h('a', { class: 'primary', part: 'link', ...waits, ...away }, text.open);
  const small = h('a', { class: 'text', part: 'link', ...waits, ...away }, text.open);
  const app = h('div', { class: 'app' }, big, h('p', {}, text.orScan));
  const here = h('p', { class: 'here off' }, `${text.openHere} `, small);
  const to = buildWays(text);
  const warning = h('p', { class: 'note', part: 'note' }, icon('shield'), h('span', {}, text.warning));
  const code = h(
    'div',
    { class: 'code' },
    app,
    frame,
    h('div', { class: 'line' }, status, left),
    to.steps,
    to.way,
    to.textCode,
    warning,
    here,
    to.other,
  );

  const badgeIcon = icon('check');
  const badge = h('div', { class: 'badge', part: 'badge' }, badgeIcon);
  const match = h('p', { class: 'match', part: 'match', hidden: '' });
  const title = h('h3', { part: 'heading', tabindex: '-1' });
  const body = h('p', { part: 'text' });
  const fine = h('p', { class: 'small', hidden: '' });
  const again = h('button', { class: 'primary again', part: 'retry', type: 'button', hidden: '' }, text.retry);
  const input = h('input', {
    id: 'secret',
    part: 'input',
    type: 'password',
    autocomplete: 'off',
    required: '',
    maxlength: '256',
    'aria-describedby': 'hint wrong',
  });
  const hint = h('p', { id: 'hint', class: 'small', hidden: '' });
  const wrong = h('p', { id: 'wrong', class: 'wrong', role: 'alert' });
  const send = h('button', { class: 'primary', part: 'submit', type: 'submit' }, text.passwordSend);
  const form = h('form', { hidden: '' }, h('label', { for: 'secret' }, text.passwordLabel), input, hint, wrong, send);
  const others = h('div', { class: 'ways', hidden: '' });
  const stage = h('div', { class: 'stage off', part: 'stage' }, badge, match, title, body, form, again, others, fine);
  const srStatus = h('p', { class: 'sr-status', role: 'status' });

  const site = client
    ? h('p', { class: 'site', part: 'site' }, `${text.forClient} `, h('b', {}, client), ` · ${location.host}`)
    : h('p', { class: 'site', part: 'site' }, `${text.forSite} `, h('b', {}, location.host));
  const name = h('h2', { part: 'title', tabindex: '-1' }, text.title);
  const logo = h('div', { class: 'logo', part: 'logo' });
  const root = h(
    'section',
    { class: 'panel', part: 'panel' },
    h('header', {}, h('slot', { name: 'logo' }, logo), name, site),
    h('div', { class: 'views' }, code, stage),
    srStatus,
  );
  return {
    root,
    text,
    name,
    logo,
    status,
    left,
    card,
    rest,
    frame,
    app,
    here,
    to,
    links: [big, small],
    code,
    match,
    badge,
    badgeIcon,
    title,
    body,
    fine,
    again,
    others,
    form,
    input,
    hint,
    wrong,
    send,
    stage,
    srStatus,
  };
}
