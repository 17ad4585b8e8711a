// The emulator's stand-in for the script that MAX gives to mini-apps: `window.WebApp`, as far as a sign-in needs it. Inside the
// emulated phone it asks the page around it, as MAX's own does; in a window of its own it asks the emulator.
(() => {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const initData = fragment.get('WebAppData') ?? '';
  const script = document.currentScript;
  const from = new URL(script instanceof HTMLScriptElement ? script.src : location.href);

  /** @type {Record<string, any>} */
  const unsafe = {};
  for (const [name, value] of new URLSearchParams(initData)) {
    try {
      unsafe[name] = name === 'user' || name === 'chat' ? JSON.parse(value) : value;
    } catch {
      unsafe[name] = value;
    }
  }

  let asked = 0;
  /** What the phone around this page does: a request, and its answer by number. @param {string} type */
  const ask = (type) =>
    new Promise((resolve, reject) => {
      const id = ++asked;
      /** @param {MessageEvent} event */
      const hear = ({ source, data }) => {
        if (source !== window.parent || data?.maxWebApp !== id) return;
        removeEventListener('message', hear);
        if (data.error) reject(new Error(data.error));
        else resolve(data.result);
      };
      addEventListener('message', hear);
      window.parent.postMessage({ maxWebApp: id, type, person: unsafe.user?.id }, '*');
    });

  const alone = async () => {
    const url = new URL('request-contact', from);
    if (unsafe.user) url.searchParams.set('person', unsafe.user.id);
    const response = await fetch(url, { method: 'POST' });
    if (!response.ok) throw new Error('client.web_app_request_phone.declined');
    return response.json();
  };

  const inside = window.parent !== window;
  Object.assign(window, {
    WebApp: {
      initData,
      initDataUnsafe: unsafe,
      platform: fragment.get('WebAppPlatform') ?? 'web',
      version: fragment.get('WebAppVersion') ?? '26.37.1',
      ready() {},
      close: () => (inside ? void ask('close') : window.close()),
      requestContact: () => (inside ? ask('request-contact') : alone()),
      enableClosingConfirmation() {},
      disableClosingConfirmation() {},
      onEvent() {},
      offEvent() {},
      BackButton: { isVisible: false, show() {}, hide() {}, onClick() {}, offClick() {} },
    },
  });
})();
