"""maxapi-python 2.5.0 signs in by QR over the binary dialect. Environment: see README.md."""

import asyncio
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
    def __init__(self):
        self.attempt = 0

    async def get_password(self, hint=None):
        self.attempt += 1
        print(f"PASSWORD_ASKED hint={hint!r} attempt={self.attempt}", flush=True)
        if self.attempt == 1 and os.environ.get("PASSWORD_FIRST_WRONG"):
            return "nope"
        return os.environ.get("PASSWORD", "correct horse")


async def main():
    config = ExtraConfig(
        url=URL,
        reconnect=False,
        telemetry=False,
        persist_session=False,
        request_timeout=10.0,
        log_level="WARNING",
        password_max_attempts=3,
    )
    client = WebClient(
        session_name="pymax.db",
        work_dir=tempfile.mkdtemp(prefix="pymax-2-5-"),
        auth_flow=QrAuthFlow(Show(), Password()),
        extra_config=config,
    )
    await client.connect()
    me = client.me.contact
    who = {"id": me.id, "phone": me.phone, "names": [name.model_dump() for name in me.names]}
    print("LOGGED_IN", json.dumps(who, ensure_ascii=False), flush=True)
    sessions = await client._app.api.users.get_sessions()
    print("SESSIONS", [session.model_dump(exclude_none=True) for session in sessions], flush=True)
    if os.environ.get("LOGOUT"):
        api = client._app.api
        print("LOGOUT", await (api.account.logout() if hasattr(api, "account") else client.logout()), flush=True)
    await client.stop()


try:
    asyncio.run(asyncio.wait_for(main(), 60))
except Exception as error:
    print("FAILED", type(error).__name__, error, flush=True)
    sys.exit(1)
