#!/usr/bin/env python3
"""A fake MAX, written apart from max-auth and with other libraries, so that the two cannot share a mistake.

One WebSocket port tells the dialect by the frame: text is JSON (ver 11), binary is a 10-byte header with MessagePack and
perhaps LZ4 (ver 10). A second, plain TCP port speaks the binary dialect too, as phones do. Every frame of either direction
is one JSON line of the log.
"""

import argparse
import asyncio
import json
import math
import struct
import time
import uuid

import lz4.block
import msgpack
from websockets.asyncio.server import serve

HEADER = struct.Struct(">BBHHI")  # ver, cmd, seq, opcode, flags << 24 | length
REQUEST, ANSWER, ERROR = 0, 1, 3
COMPRESS_FROM = 32  # bytes

PING, LOG, INIT, LOGIN2, LOGIN, LOGOUT = 1, 5, 6, 8, 19, 20
SESSIONS, CLOSE_OTHERS, CHECK_PASSWORD = 96, 97, 115
GET_QR, QR_STATUS, QR_APPROVE, LOGIN_BY_QR = 288, 289, 290, 291

LOGIN_TOKEN = "An_FAKE_login_token_0123456789abcdef"
PHONE_TOKEN = "An_FAKE_phone_token"
PASSWORD = "correct horse"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8791)
    parser.add_argument("--tcp-port", type=int, default=0)
    parser.add_argument("--scenario", default="ok", choices=["ok", "2fa", "never", "expired", "disabled"])
    parser.add_argument("--approve-after", type=int, default=2, metavar="N", help="status questions; 0: never by itself")
    parser.add_argument("--poll-ms", type=int, default=300)
    parser.add_argument("--ttl-ms", type=int, default=120_000)
    parser.add_argument("--log", default="frames.jsonl")
    parser.add_argument("--no-compress", action="store_true")
    parser.add_argument("--no-ext", action="store_true", help="no integer is wrapped in extension type 1")
    parser.add_argument("--wrap-all", action="store_true", help="every integer is, as MAX does it for longs")
    parser.add_argument("--server-ping", type=float, default=0, metavar="SECONDS")
    parser.add_argument("--min-app-version", default="25.12.13")
    return parser.parse_args()


def now_ms():
    return int(time.time() * 1000)


# ---- the binary dialect ----------------------------------------------------------------------------------------------


class Codec:
    def __init__(self, args):
        self.args = args

    def wrap(self, value):
        if isinstance(value, bool):
            return value
        if isinstance(value, int):
            is_long = value > 0xFFFFFFFF or value < -0x80000000
            wrapped = (self.args.wrap_all or is_long) and not self.args.no_ext
            return msgpack.ExtType(1, msgpack.packb(value)) if wrapped else value
        if isinstance(value, dict):
            return {key: self.wrap(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.wrap(each) for each in value]
        return value

    def encode(self, cmd, seq, opcode, payload):
        raw = b"" if payload is None else msgpack.packb(self.wrap(payload), use_bin_type=True)
        flags, body = 0, raw
        if len(raw) >= COMPRESS_FROM and not self.args.no_compress:
            packed = lz4.block.compress(raw, store_size=False)
            factor = math.ceil(len(raw) / len(packed))
            if factor <= 0x7F:
                flags, body = factor, packed
        return HEADER.pack(10, cmd, seq & 0xFFFF, opcode & 0xFFFF, (flags << 24) | len(body)) + body

    @staticmethod
    def decode(frame):
        ver, cmd, seq, opcode, packed = HEADER.unpack_from(frame, 0)
        flags, length = packed >> 24, packed & 0xFFFFFF
        body = frame[HEADER.size : HEADER.size + length]
        if flags == 0xFF:
            raise ValueError("Zstandard from a client")
        if flags:
            body = lz4.block.decompress(body, uncompressed_size=flags * len(body))
        payload = msgpack.unpackb(body, raw=False, strict_map_key=False, ext_hook=unwrap) if body else None
        return dict(ver=ver, cmd=cmd, seq=seq, opcode=opcode, flags=flags, length=length, payload=payload)


def unwrap(code, data):
    if code == 1:
        return msgpack.unpackb(data, raw=False, strict_map_key=False)
    return msgpack.ExtType(code, data)


# ---- what it says ----------------------------------------------------------------------------------------------------

COUNTRIES = ["AZ", "AM", "KZ", "KG"]
INIT_WEB = {
    "location": "RU",
    "reg-country-code": COUNTRIES,
    "phone-auth-enabled": True,
    "lang": True,
    "web-pwa-promo": True,
}
# A phone's library refuses to log in without callsSeed.
INIT_PHONE = {"callsSeed": 1234567890123, "app-update-type": 0, "location": "RU", "reg-country-code": COUNTRIES}
CONTACT = {
    "accountStatus": 0,
    "baseUrl": "https://i.oneme.ru/i?r=BTGBPUwtwgYUeoFhO7rESmr8AA",
    "baseRawUrl": "https://i.oneme.ru/i?r=BTGBPUwtwgYUeoFhO7rESmr8BB",
    "photoId": 7654321098765,
    "country": "RU",
    "phone": 79991234567,
    "id": 401041669,
    "registrationTime": 1748000000000,
    "updateTime": 1758000000000,
    "names": [{"name": "Иван", "firstName": "Иван", "lastName": "Петров", "type": "ONEME"}],
    "options": ["TT", "ONEME"],
}
PROFILE = {"profileOptions": [], "contact": CONTACT}
SIGNED_IN = {"tokenAttrs": {"LOGIN": {"token": LOGIN_TOKEN}}, "profile": PROFILE}


def login_answer():
    return {
        "profile": PROFILE,
        "chats": [],
        "contacts": [],
        "messages": {},
        "presence": {},
        "token": LOGIN_TOKEN,
        "time": now_ms(),
        "chatMarker": 0,
        "config": {"hash": "0-0", "server": {}, "user": {}},
        "videoChatHistory": False,
    }


def sessions():
    place = "Russian Federation, Moscow, IP"
    web = {"client": "MAX WEB", "info": "Chrome, Linux", "location": f"{place} 127.0.0.1", "current": True}
    phone = {"client": "MAX Android", "info": "Pixel 8, Android 14", "location": f"{place} 10.0.0.1", "current": False}
    return [{"time": now_ms(), **web}, {"time": now_ms() - 86_400_000, **phone}]


def refuse(error, message, localized=None):
    text = localized or message
    return ERROR, {"error": error, "message": message, "localizedMessage": text, "title": text}


def version(text):
    try:
        return tuple(int(part) for part in text.split("."))
    except ValueError:
        return (0,)


class Connection:
    def __init__(self, name):
        self.name, self.state, self.user_agent = name, "new", {}
        self.dialect = None  # of the last frame


class Max:
    """Codes, accounts and what each request is answered with."""

    def __init__(self, args):
        self.args = args
        self.tracks = {}

    def handle(self, connection, frame):
        """Gives (cmd, payload); a payload of None is an empty one."""
        opcode, payload = frame["opcode"], frame.get("payload") or {}
        if opcode == INIT:
            connection.state, connection.user_agent = "inited", payload.get("userAgent") or {}
            return ANSWER, INIT_WEB if connection.user_agent.get("deviceType") == "WEB" else INIT_PHONE
        if connection.state == "new":
            return refuse("proto.state", "Session is not initialized", "Недопустимое состояние сессии")
        known = {
            PING: lambda *_: (ANSWER, None),
            LOG: lambda *_: (ANSWER, None),
            GET_QR: self.get_qr,
            QR_STATUS: self.qr_status,
            LOGIN_BY_QR: self.login_by_qr,
            CHECK_PASSWORD: self.check_password,
            QR_APPROVE: self.qr_approve,
            LOGIN: self.login,
        }.get(opcode)
        if known:
            return known(connection, payload)
        if connection.state != "online":
            return refuse("proto.state", "Invalid session state", "Недопустимое состояние сессии")
        if opcode == LOGIN2:
            return ANSWER, {"profile": PROFILE, "contactInfos": []}
        if opcode == SESSIONS:
            return ANSWER, {"sessions": sessions()}
        if opcode == CLOSE_OTHERS:
            return ANSWER, {"token": LOGIN_TOKEN}
        if opcode == LOGOUT:
            connection.state = "inited"
            return ANSWER, None
        return refuse("proto.opcode", "Unknown opcode", "Неизвестная операция")

    def get_qr(self, connection, _payload):
        is_web = connection.user_agent.get("deviceType") == "WEB"
        is_new = version(connection.user_agent.get("appVersion", "0")) >= version(self.args.min_app_version)
        if self.args.scenario == "disabled" or not is_web or not is_new:
            return refuse("qr_login.disabled", "QR login disabled", "Вход по QR недоступен")
        if connection.state == "online":
            return refuse("proto.state", "Invalid session state", "Недопустимое состояние сессии")
        track, expires = str(uuid.uuid4()), now_ms() + self.args.ttl_ms
        self.tracks[track] = dict(owner=connection.name, asked=0, approved=False, expires=expires)
        return ANSWER, {
            "qrLink": f"https://max.ru/:auth/{track}",
            "trackId": track,
            "pollingInterval": self.args.poll_ms,
            "ttl": self.args.ttl_ms - 6,
            "expiresAt": expires,
        }

    def own_track(self, connection, payload):
        """A code belongs to the connection that asked for it."""
        track = self.tracks.get(payload.get("trackId"))
        return track if track and track["owner"] == connection.name else None

    def qr_status(self, connection, payload):
        track = self.own_track(connection, payload)
        is_over = track and (track["expires"] < now_ms() or (self.args.scenario == "expired" and track["asked"] >= 1))
        if not track or is_over:
            return refuse("track.not.found", "Track not found", "Трек не найден")
        track["asked"] += 1
        by_itself = self.args.scenario != "never" and self.args.approve_after
        if by_itself and track["asked"] > self.args.approve_after:
            track["approved"] = True
        status = {"expiresAt": track["expires"]}
        if track["approved"]:
            status["loginAvailable"] = True
        return ANSWER, {"status": status}

    def login_by_qr(self, connection, payload):
        track = self.own_track(connection, payload)
        if not track:
            return refuse("track.not.found", "Track not found")
        if not track["approved"]:
            return refuse("proto.state", "Login is not available")
        if self.args.scenario == "2fa":
            track["challenged"] = True
            limits = {"passMinLen": 6, "passMaxLen": 64, "hintMaxLen": 30}
            challenge = {"hint": "pet name", "email": "i***@mail.ru", "config": limits}
            return ANSWER, {"passwordChallenge": {"trackId": payload["trackId"], **challenge}, "tokenAttrs": {}}
        return self.sign_in(connection, payload)

    def check_password(self, connection, payload):
        track = self.tracks.get(payload.get("trackId"))
        if not track or not track.get("challenged"):
            return refuse("track.not.found", "Track not found")
        if payload.get("password") != PASSWORD:
            return refuse("password2fa.wrong", "Wrong password", "Неверный пароль")
        return self.sign_in(connection, payload)

    def sign_in(self, connection, payload):
        connection.state = "online"
        self.tracks.pop(payload["trackId"])
        return ANSWER, SIGNED_IN

    def qr_approve(self, _connection, payload):
        """The phone's side."""
        track = str(payload.get("qrLink", "")).rstrip("/").rsplit("/", 1)[-1]
        if track not in self.tracks:
            return refuse("qr_link.invalid", "QR link is invalid")
        self.tracks[track]["approved"] = True
        return ANSWER, {}

    def login(self, connection, payload):
        if payload.get("token") not in (LOGIN_TOKEN, PHONE_TOKEN):
            text = "Ошибка входа. Пожалуйста, авторизируйтесь снова"
            return refuse("login.token", "FAIL_LOGIN_TOKEN", text)
        connection.state = "online"
        return ANSWER, login_answer()


# ---- connections -----------------------------------------------------------------------------------------------------


class Server:
    def __init__(self, args, log):
        self.args, self.file = args, log
        self.codec, self.max = Codec(args), Max(args)
        self.connections = 0

    def log(self, **entry):
        entry["t"] = round(time.time(), 3)
        as_text = lambda value: value.hex() if isinstance(value, (bytes, bytearray)) else str(value)
        self.file.write(json.dumps(entry, ensure_ascii=False, default=as_text) + "\n")
        self.file.flush()

    def connection(self, kind):
        self.connections += 1
        return Connection(f"{kind}{self.connections}")

    def answer_binary(self, connection, dialect, raw):
        frame = self.codec.decode(raw)
        self.log(ev="in", conn=connection.name, dialect=dialect, raw=raw.hex(), decoded=frame)
        if frame["cmd"] != REQUEST:
            return None
        cmd, payload = self.max.handle(connection, frame)
        out = self.codec.encode(cmd, frame["seq"], frame["opcode"], payload)
        decoded = dict(cmd=cmd, seq=frame["seq"], opcode=frame["opcode"], flags=out[6], payload=payload)
        self.log(ev="out", conn=connection.name, dialect=dialect, raw=out.hex(), decoded=decoded)
        return out

    def answer_text(self, connection, raw):
        frame = json.loads(raw)
        self.log(ev="in", conn=connection.name, dialect="json", raw=raw)
        if frame["cmd"] != REQUEST:
            return None
        cmd, payload = self.max.handle(connection, frame)
        answer = {"ver": 11, "cmd": cmd, "seq": frame["seq"], "opcode": frame["opcode"], "payload": payload}
        out = json.dumps(answer, ensure_ascii=False)
        self.log(ev="out", conn=connection.name, dialect="json", raw=out)
        return out

    async def ping(self, connection, socket):
        """The server numbers its own requests from 0, too."""
        seq = 0
        while True:
            await asyncio.sleep(self.args.server_ping)
            if not connection.dialect:
                continue
            self.log(ev="push", conn=connection.name, opcode=PING, seq=seq)
            text = json.dumps({"ver": 11, "cmd": REQUEST, "seq": seq, "opcode": PING, "payload": {}})
            await socket.send(text if connection.dialect == "json" else self.codec.encode(REQUEST, seq, PING, None))
            seq += 1

    async def on_websocket(self, socket):
        connection = self.connection("ws")
        headers = [[name, value] for name, value in socket.request.headers.raw_items()]
        self.log(ev="open", conn=connection.name, path=socket.request.path, headers=headers)
        pinging = self.args.server_ping and asyncio.create_task(self.ping(connection, socket))
        try:
            async for raw in socket:
                if isinstance(raw, str):
                    connection.dialect = "json"
                    out = self.answer_text(connection, raw)
                else:
                    connection.dialect = "bin"
                    out = self.answer_binary(connection, "bin", bytes(raw))
                if out is not None:
                    await socket.send(out)
        except Exception as error:
            self.log(ev="exc", conn=connection.name, error=repr(error))
        finally:
            if pinging:
                pinging.cancel()
            self.log(ev="close", conn=connection.name, code=socket.close_code)

    async def on_tcp(self, reader, writer):
        connection = self.connection("tcp")
        self.log(ev="open", conn=connection.name)
        try:
            while True:
                header = await reader.readexactly(HEADER.size)
                length = int.from_bytes(header[7:10], "big")
                out = self.answer_binary(connection, "tcp", header + await reader.readexactly(length))
                if out is not None:
                    writer.write(out)
                    await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        except Exception as error:
            self.log(ev="exc", conn=connection.name, error=repr(error))
        finally:
            self.log(ev="close", conn=connection.name)
            writer.close()


async def main(args):
    with open(args.log, "w", encoding="utf-8") as log:
        server = Server(args, log)
        async with serve(server.on_websocket, "127.0.0.1", args.port, ping_interval=None, max_size=16 * 2**20):
            if args.tcp_port:
                await asyncio.start_server(server.on_tcp, "127.0.0.1", args.tcp_port)
            print(f"fake MAX on ws://127.0.0.1:{args.port}/websocket scenario={args.scenario}", flush=True)
            await asyncio.Future()


asyncio.run(main(arguments()))
