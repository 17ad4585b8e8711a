import { MaxAuthButton } from 'max-auth/vue';
import { createApp, h, ref } from 'vue';

const base = new URLSearchParams(location.search).get('base') ?? undefined;

createApp({
  setup() {
    const button = ref<InstanceType<typeof MaxAuthButton>>();
    const ttl = ref(0);
    return () => {
      document.title = `code ${ttl.value}`;
      return [
        h(
          MaxAuthButton,
          {
            ref: button,
            class: 'big',
            base,
            locale: 'en',
            theme: 'dark',
            redirect: false,
            texts: { title: 'Sign in to the shop' },
            onQr: ({ detail }) => (ttl.value = detail.ttl),
          },
          () => h('a', { href: '/login' }, 'A link before the script'),
        ),
        h('button', { id: 'open', onClick: () => button.value?.open() }, 'open'),
      ];
    };
  },
}).mount(document.body.appendChild(document.createElement('main')));
