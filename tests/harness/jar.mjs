// A browser's cookie jar, as far as these tests need one: one site, names, deletion, and the attributes to look at.

export class Jar {
  #cookies = new Map();

  /** Every Set-Cookie line seen, in order. */
  seen = [];

  take(setCookie) {
    for (const line of [setCookie ?? []].flat()) {
      this.seen.push(line);
      const [pair, ...rest] = line.split(';').map((part) => part.trim());
      const cut = pair.indexOf('=');
      const name = pair.slice(0, cut);
      const attributes = new Map(
        rest.map((part) => {
          const [key, ...value] = part.split('=');
          return [key.toLowerCase(), value.join('=')];
        }),
      );
      const gone = attributes.get('max-age') === '0' || Date.parse(attributes.get('expires') ?? '') < Date.now();
      if (gone) this.#cookies.delete(name);
      else this.#cookies.set(name, { value: pair.slice(cut + 1), attributes });
    }
  }

  get(name) {
    return this.#cookies.get(name);
  }

  set(name, value) {
    this.#cookies.set(name, { value, attributes: new Map() });
  }

  delete(name) {
    this.#cookies.delete(name);
  }

  names() {
    return [...this.#cookies.keys()];
  }

  find(pattern) {
    const name = this.names().find((each) => pattern.test(each));
    return name && { name, ...this.#cookies.get(name) };
  }

  values() {
    return [...this.#cookies.values()].map((cookie) => cookie.value);
  }

  copy() {
    const other = new Jar();
    for (const [name, { value }] of this.#cookies) other.set(name, value);
    return other;
  }

  get header() {
    return [...this.#cookies].map(([name, { value }]) => `${name}=${value}`).join('; ');
  }
}
