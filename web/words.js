// @ts-check
/** What the ready page says, in its visitor's language: in the page a line of the server's, here for who reads the files as they are. */
import { TEXTS } from './texts.js';

/** @type {Record<string, any>} */
export const WORDS = { ...TEXTS.ru.shared, ...TEXTS.ru.widget, ...TEXTS.ru.client };
