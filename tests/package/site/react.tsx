import { MaxAuthButton, MaxAuthPanel } from 'max-auth/react';
import type { MaxAuthButton as Button } from 'max-auth/widget';
import { useRef, useState } from 'react';
import { createRoot } from 'react-dom/client';

const base = new URLSearchParams(location.search).get('base') ?? undefined;

function Page() {
  const button = useRef<Button>(null);
  const [ttl, setTtl] = useState(0);
  document.title = `code ${ttl}`;
  return (
    <>
      <MaxAuthButton
        ref={button}
        className="big"
        base={base}
        locale="en"
        theme="dark"
        redirect={false}
        texts={{ title: 'Sign in to the shop' }}
        onQr={({ detail }) => setTtl(detail.ttl)}
        onSuccess={({ detail }) => console.log(detail.session?.sub)}
      >
        <a href="/login">A link before the script</a>
      </MaxAuthButton>
      <button id="open" onClick={() => button.current?.open()}>
        open
      </button>
    </>
  );
}

// @ts-expect-error a panel has no label
export const wrong = () => <MaxAuthPanel label="x" />;
createRoot(document.body.appendChild(document.createElement('main'))).render(<Page />);
