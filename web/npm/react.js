// @ts-check
/** The elements as components of React 18 and 19: events as props, methods by ref. */

import { createElement, forwardRef, useEffect, useImperativeHandle, useLayoutEffect, useRef } from 'react';
import { EVENTS, attributesOf, handlerOf } from './props.js';
import './widget.js';

// There is no layout where a server renders.
const useCommitted = globalThis.document ? useLayoutEffect : useEffect;

/** @param {string} tag @param {string} displayName */
function component(tag, displayName) {
  const made = forwardRef((/** @type {Record<string, any>} */ props, ref) => {
    const element = useRef(/** @type {any} */ (null));
    const latest = useRef(props);
    useImperativeHandle(ref, () => element.current);
    useCommitted(() => {
      latest.current = props;
      element.current.texts = props.texts;
    });
    useCommitted(() => {
      const over = new AbortController();
      for (const event of EVENTS) {
        const tell = (/** @type {Event} */ told) => latest.current[handlerOf(event)]?.(told);
        element.current.addEventListener(`max-auth-${event}`, tell, { signal: over.signal });
      }
      return () => over.abort();
    }, []);
    const { texts: _, className, ...rest } = attributesOf(props);
    for (const event of EVENTS) delete rest[handlerOf(event)];
    return createElement(tag, { ...rest, class: className, ref: element });
  });
  return Object.assign(made, { displayName });
}

export const MaxAuthButton = component('max-auth-button', 'MaxAuthButton');
export const MaxAuthPanel = component('max-auth-panel', 'MaxAuthPanel');
