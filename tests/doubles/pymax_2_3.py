"""maxapi-python 2.3.1, the last of its kind with a JSON WebClient, signs in by QR. Environment: see README.md."""

import asyncio
import inspect
import json
import os
import sys
import tempfile

from pymax import ExtraConfig, WebClient
from pymax.auth.qr import QrAuthFlow

URL = os.environ.get("MAX_WS_URL", "ws://127.0.0.1:8791/websocket")


class Show:
    async def show_qr(self, url):
        print("QR_LINK", url, flush=True)


class Password:
    async def get_password(self, hint=None):
        print(f"PASSWORD_ASKED hint={hint!r}", flush=True)
        return os.environ.get("PASSWORD", "correct horse")


async def main():
    takes_password = "password_provider" in inspect.signature(QrAuthFlow.__init__).parameters
    flow = QrAuthFlow(Show(), **({"password_provider": Password()} if takes_password else {}))
    config = ExtraConfig(url=URL, reconnect=False, telemetry=False, request_timeout=10.0, log_level="WARNING")
    client = WebClient(
        session_name="s.db", work_dir=tempfile.mkdtemp(prefix="pymax-2-3-"), auth_flow=flow, extra_config=config
    )
    done = asyncio.Event()

    @client.on_start()
    async def started(client):
        me = client.me.contact
        who = {"id": me.id, "phone": me.phone, "names": [name.model_dump() for name in me.names]}
        print("LOGGED_IN", json.dumps(who, ensure_ascii=False), flush=True)
        done.set()

    running = asyncio.create_task(client.start())
    waiting = asyncio.create_task(done.wait())
    finished, _ = await asyncio.wait([running, waiting], return_when=asyncio.FIRST_COMPLETED, timeout=60)
    if running in finished:
        running.result()
    if not done.is_set():
        raise RuntimeError("not logged in")
    # Its stop() hangs its own start(); 2.4.0 mended that.
    os._exit(0)


try:
    asyncio.run(main())
except Exception as error:
    print("FAILED", type(error).__name__, error, flush=True)
    sys.exit(1)
