// @ts-check
/** What stands in the panel. */

import { ghost } from './widget-drawing.js';
import { h, icon, s } from './widget-elements.js';

/**
 * The panel's elements, once, in one place; the panel only fills them.
 * @param {import('./widget-look.js').Words} text
 * @param {string | null} client the app that asks, where it is not this site itself
 */
export function build(text, client) {
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
