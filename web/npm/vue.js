// @ts-check
/** The elements as components of Vue 3: events are emitted, methods are exposed. */

import { defineComponent, h, shallowRef } from 'vue';
import { EVENTS, attributesOf, handlerOf } from './props.js';
import './widget.js';

const PROPS = {
  returnTo: String,
  locale: String,
  base: String,
  theme: String,
  client: String,
  driver: String,
  texts: Object,
};

/** @param {string} name @param {string} tag @param {Record<string, any>} more props @param {string[]} methods */
const component = (name, tag, more, methods) =>
  defineComponent({
    name,
    props: { ...PROPS, redirect: { type: Boolean, default: undefined }, ...more },
    emits: EVENTS,
    setup(/** @type {Record<string, any>} */ props, { emit, expose, slots }) {
      const element = shallowRef(/** @type {any} */ (null));
      const listeners = EVENTS.map((event) => [
        handlerOf(`maxAuth${handlerOf(event).slice(2)}`),
        (/** @type {Event} */ told) => emit(event, told),
      ]);
      const call =
        (/** @type {string} */ method) =>
        (/** @type {any[]} */ ...given) =>
          element.value?.[method](...given);
      expose({ element, ...Object.fromEntries(methods.map((method) => [method, call(method)])) });
      return () => {
        const { texts, ...attributes } = attributesOf(props);
        return h(
          tag,
          { ref: element, ...attributes, '.texts': texts, ...Object.fromEntries(listeners) },
          slots.default?.(),
        );
      };
    },
  });

const OF_BUTTON = {
  label: String,
  clientId: String,
  mode: String,
  redirectUri: String,
  scope: String,
  redeem: String,
};
export const MaxAuthButton = component('MaxAuthButton', 'max-auth-button', OF_BUTTON, ['open', 'close', 'focus']);
export const MaxAuthPanel = component('MaxAuthPanel', 'max-auth-panel', { autostart: Boolean }, [
  'start',
  'stop',
  'focus',
]);
