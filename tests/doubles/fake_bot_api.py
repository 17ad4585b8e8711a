#!/usr/bin/env python3
"""A fake Bot API of MAX, written from notes on MAX alone: apart from max-auth's driver, its emulator and their libraries.

It is the platform's side: bots ask it under a base path, people act by /control (README.md beside this file). It refuses
what MAX refuses, and more where sources leave it open; every choice of that kind is a setting. Every request of a bot and
every delivery to one is kept for a test to look at, and is one JSON line of the log.
"""

import argparse
import asyncio
import hashlib
import hmac
import ipaddress
import json
import random
import re
import secrets
import ssl
import time
import uuid
from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
from aiohttp import web

TEXT_LIMIT, CALLBACK_LIMIT = 4000, 1024
ATTACHMENTS, BUTTONS, ROWS, IN_ROW, WIDE_IN_ROW = 12, 210, 30, 7, 3
START_LIMIT, STARTAPP_LIMIT = 128, 512
POLL_LIMIT, POLL_SECONDS, KEPT_SECONDS = 100, 30, 24 * 3600
WIDE = {"link", "open_app", "request_contact", "request_geo_location"}
BUTTON_KEYS = {
    "callback": ({"payload"}, {"intent"}),
    "link": ({"url"}, set()),
    "request_contact": (set(), set()),
    "request_geo_location": (set(), {"quick"}),
    "open_app": ({"web_app"}, {"contact_id", "payload"}),
    "message": (set(), set()),
    "clipboard": ({"payload"}, set()),
}
OTHER_ATTACHMENTS = {"image", "video", "audio", "file", "sticker", "contact", "location", "share"}
UPDATE_TYPES = set(
    "bot_started bot_stopped bot_added bot_removed bot_admin_permissions_changed message_created message_callback "
    "message_edited message_removed dialog_muted dialog_unmuted dialog_cleared dialog_removed user_added user_removed "
    "chat_title_changed comment_created comment_edited comment_removed".split()
)
SECRET = re.compile(r"[a-zA-Z0-9_-]{5,256}")

# What no source decides, or where two differ: a test sets it and the client must be right either way.
SETTINGS = {
    "clock_scale": 1.0,  # of the webhook's 30 s, retries and 8 h
    "retry_first": 60,
    "retry_factor": 2.5,
    "retries": 10,
    "drop_after": 8 * 3600,
    "copies": "each",  # or "one": do two subscriptions both get an update
    "pending_after_removal": "drop",  # or "poll": undelivered updates wait for who polls
    "no_marker": "last",  # or "all": what a poll without marker gets
    "marker": "good",  # or "repeat" (updates come again), "null"
    "unknown_dialog": "refuse",  # or "allow": a bot writes first to who never started it
    "launch_starts": False,  # a mini-app launch counts as starting the bot
    "no_payload": "absent",  # or "null", "empty": bot_started without a deep link
    "edit_without_attachments": "replace",  # or "keep": does the keyboard outlive an answer without attachments
    "me_by_query": "refuse",  # or "empty": /me?access_token= without header, as measured on 2026-09-21
    "requests_per_second": 30,
    "messages_per_second": 2,
    "polls_per_second": 2,
}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8792)
    parser.add_argument("--base-path", default="/platform/v2")
    parser.add_argument("--token", default="double-bot-token-0123456789")
    parser.add_argument("--bot", default="double_bot", help="the bot's username")
    parser.add_argument("--bot-id", type=int, default=500_700)
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON", help="a setting of /control/settings")
    parser.add_argument("--ca", help="PEM: whom webhooks over https may be signed by, beside the usual ones")
    parser.add_argument("--log", default="bot-api.jsonl")
    return parser.parse_args()


def now_ms():
    return int(time.time() * 1000)


def hmac_hex(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


# ---- what MAX signs ----------------------------------------------------------------------------------------------------


def init_data_secret(token):
    return hmac.new(b"WebAppData", token.encode(), hashlib.sha256).digest()


def init_data_hash(token, fields):
    """`fields`: (name, decoded value) without the hash."""
    return hmac_hex(init_data_secret(token), "\n".join(f"{key}={value}" for key, value in sorted(fields)))


def card_hash(token, vcf):
    return hmac_hex(token.encode(), vcf)


def contact_hash(token, auth_date, phone, user_id):
    return hmac_hex(token.encode(), f"auth_date={auth_date}\nphone={phone}\nuser_id={user_id}")


def form(fields, plus=False):
    escape = lambda text: quote(str(text), safe="")
    text = "&".join(f"{escape(key)}={escape(value)}" for key, value in fields)
    return text.replace("%20", "+") if plus else text


INIT_DATA_FAULTS = {
    "good", "wrong-token", "tampered", "no-hash", "upper-hash", "repeated-key", "repeated-hash", "ms", "future", "old",
    "no-auth-date", "no-query-id", "no-chat", "no-user", "percent", "plus", "space-plus", "fragment", "extra-keys",
}  # fmt: skip


def init_data(token, person, start_param=None, fault="good", ip=None, at=None):
    """What window.WebApp.initData holds after a launch; `fault` spoils it, or makes it one of the odd but genuine forms."""
    if fault not in INIT_DATA_FAULTS:
        raise Refused(f"fault {fault!r} is none of {sorted(INIT_DATA_FAULTS)}")
    at = at or int(time.time())
    first_name = {"percent": "Сто%25 100%", "plus": "A+B & Co = Ко"}.get(fault, person.first_name)
    user = {
        "id": person.id,
        "first_name": first_name,
        "last_name": person.last_name or "",
        "username": person.username,
        "language_code": person.locale,
        "photo_url": None,
    }
    at = {"ms": at * 1000 + 394, "future": at + 3600, "old": at - 2 * 3600}.get(fault, at)
    fields = [("query_id", str(uuid.uuid4())), ("auth_date", str(at)), ("user", compact(user))]
    fields.append(("chat", compact({"id": person.chat_id, "type": "DIALOG"})))
    if ip:
        fields.append(("ip", ip))
    if start_param is not None:
        fields.append(("start_param", start_param))
    if fault == "extra-keys":
        fields += [("chat_instance", "-3788475317572404878"), ("chat_type", "private")]
    left_out = {"no-chat": "chat", "no-query-id": "query_id", "no-auth-date": "auth_date", "no-user": "user"}.get(fault)
    fields = [field for field in fields if field[0] != left_out]
    digest = init_data_hash("another-" + token if fault == "wrong-token" else token, fields)
    if fault == "tampered":
        fields = [(key, value.replace(str(person.id), str(person.id + 1))) for key, value in fields]
    if fault == "repeated-key":
        fields.append(fields[0])
    if fault != "no-hash":
        fields.append(("hash", digest.upper() if fault == "upper-hash" else digest))
    if fault == "repeated-hash":
        fields.append(("hash", digest))
    text = form(fields, plus=fault == "space-plus")
    if fault == "fragment":
        return form([("WebAppData", text), ("WebAppPlatform", "web"), ("WebAppVersion", "26.32.1")])
    return text


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# ---- people and their dialogues ---------------------------------------------------------------------------------------


class Refused(Exception):
    """A control command that makes no sense: the test is wrong, or the bot did not send what the test waits for."""


class Answer(Exception):
    """What ends a bot's request early."""

    def __init__(self, status, code, message, headers=None):
        self.status, self.body, self.headers = status, {"code": code, "message": message}, headers


def bad(message):
    return Answer(400, "proto.payload", message)


class Person:
    def __init__(self, person_id, first_name="Вася", last_name="Пупкин", username=None, locale="ru", phone="79990000000"):
        self.id, self.first_name, self.last_name, self.username = person_id, first_name, last_name, username
        self.locale, self.phone = locale, phone
        # A dialogue's id may be negative: a bot that tells groups by the sign is wrong.
        self.chat_id = person_id * 1_000 + 1 if person_id % 2 else -(person_id * 1_000 + 1)
        self.state = "never"  # "started", "stopped"
        self.messages, self.notices, self.sent = [], [], Window()

    def user(self):
        name = f"{self.first_name} {self.last_name}" if self.last_name else self.first_name
        user = {"user_id": self.id, "first_name": self.first_name, "is_bot": False, "name": name}
        user |= {"last_activity_time": now_ms(), "avatar_url": None, "full_avatar_url": None}
        if self.last_name is not None:
            user["last_name"] = self.last_name
        if self.username is not None:
            user["username"] = self.username
        return user

    def card(self):
        full = f"{self.first_name} {self.last_name or ''}".strip()
        return f"BEGIN:VCARD\r\nVERSION:3.0\r\nTEL;TYPE=cell:{self.phone}\r\nFN:{full}\r\nEND:VCARD\r\n"


class Window:
    """So many in any second."""

    def __init__(self):
        self.times = []

    def admits(self, limit):
        now = time.monotonic()
        self.times = [each for each in self.times if now - each < 1]
        if len(self.times) >= limit:
            return False
        self.times.append(now)
        return True


def buttons_of(message):
    for attachment in message["body"].get("attachments") or []:
        if attachment["type"] == "inline_keyboard":
            return attachment["payload"]["buttons"]
    return []


class Platform:
    """People, dialogues, updates: all that is not HTTP."""

    def __init__(self, args, log):
        self.args, self.log = args, log
        self.settings = dict(SETTINGS)
        self.people, self.callbacks, self.updates = {}, {}, []
        self.seq = 2**53 + 11
        self.webhooks, self.backlog = Webhooks(self), Backlog(self)

    def set(self, changes):
        for name, value in changes.items():
            if name not in SETTINGS:
                raise Refused(f"no setting {name!r}; there are {sorted(SETTINGS)}")
            self.settings[name] = value

    def bot(self):
        user = {"user_id": self.args.bot_id, "first_name": "Двойник", "username": self.args.bot, "is_bot": True}
        return user | {"last_activity_time": now_ms(), "name": "Двойник"}

    def person(self, person_id):
        return self.people.setdefault(person_id, Person(person_id))

    def emit(self, update):
        update.setdefault("timestamp", now_ms())
        self.updates.append(update)
        self.log(ev="update", update=update)
        if self.webhooks.subscriptions:
            self.webhooks.send(update)
        else:
            self.backlog.add(update)
        return update

    # What people do.

    def tap(self, person, payload):
        """The link ?start= opened and "Start" pressed: heard of only by a bot that was not running for that person."""
        if person.state == "started":
            return None
        person.state = "started"
        update = {"update_type": "bot_started", "chat_id": person.chat_id, "user": person.user()}
        update |= {"user_locale": person.locale, "user_id": person.id}
        if payload and len(payload) <= START_LIMIT:
            update["payload"] = payload
        elif self.settings["no_payload"] != "absent":
            update["payload"] = {"null": None, "empty": ""}[self.settings["no_payload"]]
        return self.emit(update)

    def stop(self, person):
        if person.state != "started":
            raise Refused(f"person {person.id} has not started the bot")
        person.state = "stopped"
        update = {"update_type": "bot_stopped", "chat_id": person.chat_id, "user": person.user()}
        return self.emit(update | {"user_locale": person.locale})

    def say(self, person, text, attachments=None):
        if person.state != "started":
            raise Refused(f"person {person.id} has not started the bot ({person.state}): the phone shows no text field")
        message = self.message(person, person.user(), text, attachments)
        person.messages.append(message)
        return self.emit({"update_type": "message_created", "message": message, "user_locale": person.locale})

    def contact(self, person, kind, owner):
        vcf, info, token = person.card(), person.user(), self.args.token
        digest = card_hash(token, vcf)
        if kind == "forwarded":
            vcf, info = owner.card(), owner.user()
            digest = card_hash(token, vcf)
        elif kind == "forged":
            vcf = vcf.replace(person.phone, "79991112233")
        elif kind not in ("own", "no-hash"):
            raise Refused(f"a contact is own, forwarded, forged or no-hash, not {kind!r}")
        payload = {"vcf_info": vcf, "max_info": info}
        if kind != "no-hash":
            payload["hash"] = digest
        return self.say(person, None, [{"type": "contact", "payload": payload}])

    def find_button(self, person, wanted):
        for message in reversed(person.messages):
            for button in (button for row in buttons_of(message) for button in row):
                if all(button.get(key) == value for key, value in wanted.items()):
                    return message, button
        shown = [button["text"] for message in person.messages for row in buttons_of(message) for button in row]
        raise Refused(f"no button with {wanted} in the dialogue of {person.id}; there are {shown}")

    def press(self, person, wanted, who):
        message, button = self.find_button(person, wanted)
        kind = button["type"]
        if kind == "callback":
            callback_id = secrets.token_urlsafe(90)
            self.callbacks[callback_id] = (person, message)
            callback = {"timestamp": now_ms(), "callback_id": callback_id, "user": who.user(), "payload": button["payload"]}
            update = {"update_type": "message_callback", "callback": callback, "message": json.loads(compact(message))}
            return {"update": self.emit(update | {"user_locale": who.locale})}
        if kind == "message":
            return {"update": self.say(person, button["text"])}
        if kind == "request_contact":
            return {"update": self.contact(person, "own", person)}
        if kind == "open_app":
            if button["web_app"] != self.args.bot and button.get("contact_id") != self.args.bot_id:
                raise Refused(f"open_app with web_app {button['web_app']!r} opens nothing: it wants the bot's username")
            return self.launch(person, button.get("payload"))
        return {"url": button.get("url"), "payload": button.get("payload")}

    def launch(self, person, start_param, fault="good", ip=None, at=None):
        if start_param and len(start_param) > STARTAPP_LIMIT:
            start_param = None
        if self.settings["launch_starts"] and person.state != "started":
            self.tap(person, None)
        return {"initData": init_data(self.args.token, person, start_param, fault, ip, at)}

    def open(self, person, link, **launch):
        """The camera at a code, or a finger on a link: exactly what a page showed."""
        parts = urlsplit(link)
        if (parts.scheme, parts.netloc, parts.path) != ("https", "max.ru", f"/{self.args.bot}"):
            raise Refused(f"{link} is no link to https://max.ru/{self.args.bot}")
        query = parse_qs(parts.query, keep_blank_values=True, strict_parsing=True)
        if set(query) == {"start"}:
            return {"update": self.tap(person, query["start"][0])}
        if set(query) == {"startapp"}:
            return self.launch(person, query["startapp"][0] or None, **launch)
        raise Refused(f"{link} has neither start nor startapp alone")

    def message(self, person, sender, text, attachments):
        self.seq += 1
        recipient = {"chat_id": person.chat_id, "chat_type": "dialog", "user_id": person.id}
        if sender["user_id"] == person.id:
            recipient["user_id"] = self.args.bot_id
        body = {"mid": f"mid.{self.seq:016x}{secrets.token_hex(8)}", "seq": self.seq, "text": text}
        if attachments:
            body["attachments"] = attachments
        return {"recipient": recipient, "timestamp": now_ms(), "body": body, "sender": sender}


# ---- updates on their way ---------------------------------------------------------------------------------------------


class Backlog:
    """What waits for who polls: a marker says up to where it has been read."""

    def __init__(self, platform):
        self.platform, self.next, self.kept = platform, 1_000_000, []
        self.changed = asyncio.Condition()

    def add(self, update):
        self.kept.append((self.next, time.monotonic(), update))
        self.next += 1
        asyncio.ensure_future(self.wake())

    async def wake(self):
        async with self.changed:
            self.changed.notify_all()

    def take(self, marker, types, limit):
        oldest = time.monotonic() - KEPT_SECONDS
        self.kept = [each for each in self.kept if each[1] >= oldest and (marker is None or each[0] >= marker)]
        ready = [each for each in self.kept if not types or each[2]["update_type"] in types]
        if marker is None and self.platform.settings["no_marker"] == "last":
            ready = ready[-1:]
        return ready[:limit]

    async def poll(self, marker, types, limit, seconds):
        end = time.monotonic() + seconds
        while True:
            ready = [] if self.platform.webhooks.subscriptions else self.take(marker, types, limit)
            left = end - time.monotonic()
            if ready or left <= 0:
                break
            async with self.changed:
                try:
                    await asyncio.wait_for(self.changed.wait(), left)
                except asyncio.TimeoutError:
                    pass
        mode = self.platform.settings["marker"]
        after = ready[-1][0] + 1 if ready else (self.next if marker is None else marker)
        after = {"good": after, "repeat": marker, "null": None}[mode]
        return {"updates": [update for _, _, update in ready], "marker": after}


class Webhooks:
    """Subscriptions, and what is sent to them: again and again, until 200."""

    def __init__(self, platform):
        self.platform, self.subscriptions, self.deliveries = platform, {}, []
        self.held, self.duplicates, self.tasks, self.session = None, 0, set(), None
        self.in_flight = 0

    def subscribe(self, url, types, secret):
        self.subscriptions[url] = {"time": now_ms(), "update_types": types, "secret": secret, "failing_since": None}
        asyncio.ensure_future(self.platform.backlog.wake())

    def remove(self, url):
        return self.subscriptions.pop(url, None)

    def send(self, update):
        wanting = [
            url
            for url, each in self.subscriptions.items()
            if not each["update_types"] or update["update_type"] in each["update_types"]
        ]
        if self.platform.settings["copies"] == "one":
            wanting = wanting[:1]
        for url in wanting * (1 + self.duplicates):
            if self.held is None:
                self.start(url, update)
            else:
                self.held.append((url, update))

    def release(self, order):
        held, self.held = self.held or [], None
        if order == "reversed":
            held.reverse()
        elif order == "shuffled":
            random.shuffle(held)
        for url, update in held:
            self.start(url, update)
        return len(held)

    def start(self, url, update):
        task = asyncio.ensure_future(self.deliver(url, update))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def deliver(self, url, update):
        settings = self.platform.settings
        wait = settings["retry_first"]
        for attempt in range(1 + settings["retries"]):
            subscription = self.subscriptions.get(url)
            if subscription is None:
                if settings["pending_after_removal"] == "poll":
                    self.platform.backlog.add(update)
                return
            if await self.post(url, subscription, update, attempt):
                subscription["failing_since"] = None
                return
            now = time.monotonic()
            subscription["failing_since"] = subscription["failing_since"] or now
            if now - subscription["failing_since"] >= settings["drop_after"] * settings["clock_scale"]:
                self.remove(url)
            await asyncio.sleep(wait * settings["clock_scale"])
            wait *= settings["retry_factor"]

    async def post(self, url, subscription, update, attempt):
        headers = {"content-type": "application/json; charset=utf-8", "user-agent": "MAX webhook double"}
        if subscription["secret"]:
            headers["X-Max-Bot-Api-Secret"] = subscription["secret"]
        seconds = 30 * self.platform.settings["clock_scale"]
        begun, status, error = time.monotonic(), None, None
        self.in_flight += 1
        try:
            async with asyncio.timeout(seconds):
                body = compact(update).encode()
                async with self.session.post(url, data=body, headers=headers, allow_redirects=False) as answer:
                    await answer.read()
                    status = answer.status
        except Exception as failure:  # whatever it was, it was not a 200
            error = repr(failure)
        finally:
            self.in_flight -= 1
        delivery = {"url": url, "update_type": update["update_type"], "attempt": attempt, "status": status}
        delivery |= {"ms": round((time.monotonic() - begun) * 1000), "error": error, "update": update}
        self.deliveries.append(delivery)
        self.platform.log(ev="delivery", **delivery)
        return status == 200


# ---- what a bot may ask -----------------------------------------------------------------------------------------------


def is_int64(text):
    return bool(re.fullmatch(r"-?\d{1,19}", text)) and -(2**63) <= int(text) < 2**63


def length(text):
    """In UTF-16 units: no source says which, and this is the longer count."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def check_message(body, odd):
    """Gives (text, attachments) of a NewMessageBody; `odd` collects what MAX lets pass and a test may not."""
    if not isinstance(body, dict):
        raise bad("a message is an object")
    odd += [f"unknown key {key!r} of a message" for key in set(body) - {"text", "attachments", "link", "notify", "format"}]
    text, attachments = body.get("text"), body.get("attachments")
    if text is not None and (not isinstance(text, str) or length(text) > TEXT_LIMIT):
        raise bad(f"text: a string of at most {TEXT_LIMIT} characters")
    if body.get("format") not in (None, "markdown", "html"):
        raise bad("format: markdown or html")
    if not isinstance(body.get("notify", True), bool):
        raise bad("notify: a boolean")
    if not isinstance(body.get("link"), (dict, type(None))):
        raise bad("link: an object")
    if not isinstance(attachments, (list, type(None))) or len(attachments or []) > ATTACHMENTS:
        raise bad(f"attachments: at most {ATTACHMENTS}")
    for attachment in attachments or []:
        kind = attachment.get("type") if isinstance(attachment, dict) else None
        if kind == "inline_keyboard":
            check_keyboard(attachment.get("payload"), odd)
        elif kind not in OTHER_ATTACHMENTS:
            raise bad(f"attachment type {kind!r}")
    if sum(each["type"] == "inline_keyboard" for each in attachments or []) > 1:
        raise bad("two keyboards")
    if not text and not attachments:
        raise bad("neither text nor attachments")
    return text, with_intents(attachments)


def check_keyboard(payload, odd):
    rows = payload.get("buttons") if isinstance(payload, dict) else None
    if not isinstance(rows, list) or not rows or len(rows) > ROWS:
        raise bad(f"buttons: 1 to {ROWS} rows")
    for row in rows:
        if not isinstance(row, list) or not row:
            raise bad("a row without buttons")
        for button in row:
            check_button(button, odd)
        limit = WIDE_IN_ROW if any(button["type"] in WIDE for button in row) else IN_ROW
        if len(row) > limit:
            raise bad(f"{len(row)} buttons in a row of at most {limit}")
    if sum(map(len, rows)) > BUTTONS:
        raise bad(f"more than {BUTTONS} buttons")


def check_button(button, odd):
    kind = button.get("type") if isinstance(button, dict) else None
    if kind not in BUTTON_KEYS:
        raise bad(f"button type {kind!r}")
    needed, more = BUTTON_KEYS[kind]
    if not isinstance(button.get("text"), str) or not button["text"].strip():
        raise bad("a button without text")
    for key in needed:
        if not isinstance(button.get(key), str) or not button[key]:
            raise bad(f"a {kind} button without {key}")
    if length(button.get("payload") or "") > (CALLBACK_LIMIT if kind == "callback" else STARTAPP_LIMIT):
        raise bad(f"the payload of a {kind} button is too long")
    if kind == "link" and urlsplit(button["url"]).scheme not in ("https", "http"):
        raise bad("url: http or https")
    if kind == "open_app" and "/" in button["web_app"]:
        odd.append("open_app with an address as web_app opens nothing: it is the bot's username")
    odd += [f"unknown key {key!r} of a {kind} button" for key in set(button) - needed - more - {"type", "text"}]


def with_intents(attachments):
    copy = json.loads(compact(attachments or []))
    for attachment in copy:
        if attachment["type"] == "inline_keyboard":
            for button in (button for row in attachment["payload"]["buttons"] for button in row):
                if button["type"] == "callback":
                    button.setdefault("intent", "default")
    return copy


def is_loopback(host):
    try:
        return host == "localhost" or ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def refused_url(url):
    """Why MAX takes no webhook there; loopback is excepted, as a double must."""
    try:
        parts = urlsplit(url)
        written_port = parts.port
    except ValueError as error:
        return str(error)
    if is_loopback(parts.hostname) and parts.scheme in ("http", "https"):
        return None
    if parts.scheme != "https" or not parts.hostname:
        return "the address must begin with https://"
    return "port 443 only, and not written" if written_port is not None else None


class Api:
    """The Bot API over HTTP."""

    def __init__(self, platform):
        self.platform, self.token = platform, platform.args.token
        self.requests, self.faults = [], []
        self.all, self.polls = Window(), Window()
        self.routes = {
            "/me": {"GET": self.me},
            "/subscriptions": {"GET": self.subscriptions, "POST": self.subscribe, "DELETE": self.unsubscribe},
            "/updates": {"GET": self.updates},
            "/messages": {"POST": self.send},
            "/answers": {"POST": self.answer},
        }

    async def handle(self, request):
        path = request.path[len(self.platform.args.base_path) :]
        given = request.headers.getall("authorization", [])
        entry = {"t": now_ms(), "method": request.method, "path": path, "query": dict(request.query), "odd": []}
        entry["headers"] = [[name, value] for name, value in request.headers.items() if name.lower() != "authorization"]
        entry["tokenInUrl"] = self.token in request.raw_path or self.token in quote(request.raw_path)
        try:
            self.authorize(given, request.query, path)
            entry["auth"] = "good"
        except Answer as answer:
            entry["auth"] = answer.body["message"]
        raw = await request.read()
        entry["tokenInBody"] = self.token.encode() in raw
        entry["body"] = raw.decode("utf-8", "replace")
        self.requests.append(entry)
        fault = self.fault_for(request.method, path)
        entry["broken"] = fault is not None
        status, body, headers = None, None, {}
        if not fault or fault.get("after"):
            status, body, headers = await self.respond(request, path, given, raw, entry)
        if fault:
            return await self.break_answer(request, fault, entry, status, body)
        entry.update(status=status, answer=body)
        self.platform.log(ev="request", **entry)
        return web.Response(status=status, text=compact(body), content_type="application/json", headers=headers)

    async def respond(self, request, path, given, raw, entry):
        try:
            by_query = self.authorize(given, request.query, path)
            if by_query:
                return 200, {}, {}
            if not self.all.admits(self.platform.settings["requests_per_second"]):
                raise Answer(429, "too.many.requests", "Too many requests")
            methods = self.routes.get(path)
            if methods is None:
                raise Answer(404, "not.found", f"Unknown path {path}")
            if request.method not in methods:
                raise Answer(405, "method.not.allowed", f"{request.method} {path}")
            body = None
            if request.method == "POST":
                try:
                    body = json.loads(raw)
                except ValueError:
                    raise bad("the body is not JSON") from None
                if request.content_type != "application/json":
                    entry["odd"].append(f"content type {request.content_type}")
            return 200, await methods[request.method](request.query, body, entry["odd"]), {}
        except Answer as answer:
            return answer.status, answer.body, answer.headers or {}

    def authorize(self, given, query, path):
        refuse = lambda message: Answer(401, "verify.token", message)
        value = given[0].strip() if given else ""
        if value == self.token and len(given) == 1:
            return False
        if not value:
            if "access_token" not in query:
                raise refuse("No access token")
            if path == "/me" and self.platform.settings["me_by_query"] == "empty":
                return True
            raise refuse("Query parameter access_token is deprecated, use Authorization header")
        raise refuse("Malformed access token" if re.fullmatch(r"Bearer \S.*", value) else "Invalid access_token")

    async def me(self, _query, _body, _odd):
        return self.platform.bot() | {"description": None, "commands": []}

    async def subscriptions(self, _query, _body, _odd):
        return {
            "subscriptions": [
                {"url": url, "time": each["time"], "update_types": each["update_types"]}
                for url, each in self.platform.webhooks.subscriptions.items()
            ]
        }

    async def subscribe(self, _query, body, odd):
        if not isinstance(body, dict) or not isinstance(body.get("url"), str):
            raise bad("url is missing")
        odd += [f"unknown key {key!r} of a subscription" for key in set(body) - {"url", "update_types", "secret"}]
        secret, types = body.get("secret"), body.get("update_types")
        if secret is not None and (not isinstance(secret, str) or not SECRET.fullmatch(secret)):
            raise bad("secret: 5 to 256 of A-Z a-z 0-9 _ -")
        if types is not None and (not isinstance(types, list) or any(each not in UPDATE_TYPES for each in types)):
            raise bad("update_types: an unknown one")
        why = refused_url(body["url"])
        if why:
            return {"success": False, "code": "proto.payload", "message": why}
        self.platform.webhooks.subscribe(body["url"], types, secret)
        return {"success": True}

    async def unsubscribe(self, query, _body, _odd):
        if "url" not in query:
            raise bad("url is missing")
        if self.platform.webhooks.remove(query["url"]):
            return {"success": True}
        return {"success": False, "code": "not.found", "message": "no such subscription"}

    async def updates(self, query, _body, odd):
        if not self.polls.admits(self.platform.settings["polls_per_second"]):
            raise Answer(429, "too.many.requests", "Too many requests")
        odd += [f"unknown parameter {key!r}" for key in set(query) - {"limit", "timeout", "marker", "types"}]
        limit, seconds, marker = query.get("limit", "100"), query.get("timeout", "30"), query.get("marker")
        if not limit.isdigit() or not 1 <= int(limit) <= 1000:
            raise bad("limit: 1 to 1000")
        if not seconds.isdigit() or int(seconds) > 90:
            raise bad("timeout: 0 to 90")
        if marker is not None and not is_int64(marker):
            raise bad("marker: an int64")
        types = [each for each in query.get("types", "").split(",") if each]
        if any(each not in UPDATE_TYPES for each in types):
            raise bad("types: an unknown one")
        if self.platform.webhooks.subscriptions:
            odd.append("a poll while a subscription is active gets nothing")
        marker = None if marker is None else int(marker)
        seconds = min(int(seconds), POLL_SECONDS)
        return await self.platform.backlog.poll(marker, types, min(int(limit), POLL_LIMIT), seconds)

    async def send(self, query, body, odd):
        named = [key for key in ("user_id", "chat_id") if key in query]
        if len(named) != 1 or not is_int64(query[named[0]]):
            raise bad("one of user_id and chat_id, an int64")
        text, attachments = check_message(body, odd)
        key, number = ("id" if named[0] == "user_id" else "chat_id"), int(query[named[0]])
        person = next((each for each in self.platform.people.values() if getattr(each, key) == number), None)
        if person is None:
            raise Answer(404, "not.found", f"{named[0]} {number} is unknown")
        refused_first = person.state == "never" and self.platform.settings["unknown_dialog"] == "refuse"
        if person.state == "stopped" or refused_first:
            raise Answer(403, "chat.denied", "error.dialog.suspended")
        if not person.sent.admits(self.platform.settings["messages_per_second"]):
            raise Answer(429, "too.many.requests", "Too many messages to this chat")
        message = self.platform.message(person, self.platform.bot(), text, attachments)
        person.messages.append(message)
        return {"message": message}

    async def answer(self, query, body, odd):
        if not query.get("callback_id"):
            raise bad("callback_id is missing")
        if not isinstance(body, dict) or (body.get("notification") is None and body.get("message") is None):
            raise bad("neither notification nor message")
        odd += [f"unknown key {key!r} of an answer" for key in set(body) - {"notification", "message"}]
        notification = body.get("notification")
        if not isinstance(notification, (str, type(None))):
            raise bad("notification: a string")
        new = check_message(body["message"], odd) if body.get("message") is not None else None
        if query["callback_id"] not in self.platform.callbacks:
            return {"success": False, "code": "not.found", "message": "no such callback"}
        person, message = self.platform.callbacks[query["callback_id"]]
        if new:
            text, attachments = new
            kept = message["body"].get("attachments", [])
            keeps = self.platform.settings["edit_without_attachments"] == "keep" and "attachments" not in body["message"]
            message["body"].update(text=text, attachments=kept if keeps else attachments)
        if notification is not None:
            person.notices.append(notification)
        return {"success": True}

    # Answers that are broken on command.

    def fault_for(self, method, path):
        for fault in self.faults:
            wanted_method, _, wanted_path = fault["on"].partition(" ")
            if fault["times"] > 0 and wanted_method in (method, "*") and wanted_path in (path, "*"):
                fault["times"] -= 1
                return fault
        return None

    async def break_answer(self, request, fault, entry, status, body):
        await asyncio.sleep(fault.get("delay", 0))
        status = fault.get("status", status or 200)
        text = fault.get("text")
        if text is None:
            text = compact(fault["json"] if "json" in fault else body or {})
        headers = {name: str(value) for name, value in fault.get("headers", {}).items()}
        headers.setdefault("content-type", "text/html" if text.startswith("<") else "application/json")
        entry.update(status=status, answer=text)
        self.platform.log(ev="request", **entry)
        if fault.get("cut"):
            request.transport.close()
            return web.Response()
        if not fault.get("slow"):
            return web.Response(status=status, body=text.encode(), headers=headers)
        response = web.StreamResponse(status=status, headers=headers)
        await response.prepare(request)
        for byte in text.encode():
            await response.write(bytes([byte]))
            await asyncio.sleep(fault["slow"] / max(1, len(text)))
        return response


# ---- what a test commands ---------------------------------------------------------------------------------------------


class Control:
    """JSON in, JSON out; README.md beside this file lists it."""

    def __init__(self, platform, api):
        self.platform, self.api, self.webhooks = platform, api, platform.webhooks
        self.commands = {
            name.removeprefix("do_").replace("_", "-"): getattr(self, name) for name in dir(self) if name.startswith("do_")
        }

    async def handle(self, request):
        name = request.match_info["command"]
        try:
            command = self.commands.get(name)
            if command is None:
                raise Refused(f"no command {name!r}; there are {sorted(self.commands)}")
            raw = await request.read()
            arguments = json.loads(raw) if raw else {}
            if "person" in request.query:
                arguments["person"] = int(request.query["person"])
            self.platform.log(ev="control", command=name, arguments=arguments)
            answer = command(**arguments)
            if asyncio.iscoroutine(answer):
                answer = await answer
            return web.json_response(answer, dumps=compact)
        except (Refused, TypeError, ValueError, KeyError) as error:
            return web.json_response({"error": f"{name}: {error}"}, status=409, dumps=compact)

    def person(self, number):
        return self.platform.person(number)

    def do_person(self, person, **about):
        who = self.person(person)
        for key, value in about.items():
            if key not in ("first_name", "last_name", "username", "locale", "phone", "chat_id"):
                raise Refused(f"a person has no {key}")
            setattr(who, key, value)
        return {"person": who.user(), "chat_id": who.chat_id, "state": who.state}

    def do_open(self, person, link, **launch):
        return self.platform.open(self.person(person), link, **launch)

    def do_tap(self, person=400, start=None):
        return {"update": self.platform.tap(self.person(person), start)}

    def do_stop(self, person=400):
        return {"update": self.platform.stop(self.person(person))}

    def do_say(self, text, person=400):
        return {"update": self.platform.say(self.person(person), text)}

    def do_photo(self, person=400):
        photo = {"type": "image", "payload": {"photo_id": 1, "token": "t", "url": "https://i.oneme.ru/i?r=double"}}
        return {"update": self.platform.say(self.person(person), None, [photo])}

    def do_press(self, person=400, as_person=None, **wanted):
        if not wanted or set(wanted) - {"text", "payload", "type"}:
            raise Refused("press takes text, payload, type")
        who = self.person(person)
        return self.platform.press(who, wanted, who if as_person is None else self.person(as_person))

    def do_contact(self, person=400, kind="own", owner=401):
        return {"update": self.platform.contact(self.person(person), kind, self.person(owner))}

    def do_launch(self, person=400, startapp=None, fault="good", ip=None, at=None):
        return self.platform.launch(self.person(person), startapp, fault, ip, at)

    def do_request_contact(self, person=400, kind="own", at=None):
        who, at = self.person(person), at or int(time.time())
        signed = "79991112233" if kind == "forged" else who.phone
        return {"phone": who.phone, "authDate": at, "hash": contact_hash(self.platform.args.token, at, signed, who.id)}

    def do_update(self, update, again=0):
        """Any update as it is given: unknown kinds, odd forms, one that was sent before."""
        for _ in range(1 + again):
            self.platform.emit(dict(update))
        return {}

    def do_dialog(self, person=400):
        who = self.person(person)
        messages = [
            {
                "mid": message["body"]["mid"],
                "from": "bot" if message["sender"]["is_bot"] else "person",
                "text": message["body"]["text"],
                "buttons": buttons_of(message),
            }
            for message in who.messages
        ]
        return {"state": who.state, "chat_id": who.chat_id, "messages": messages, "notices": who.notices}

    def do_webhook(self, hold=None, release=None, duplicates=None):
        """`release`: in-order, reversed, shuffled."""
        released = self.webhooks.release(release) if release else 0
        if hold and self.webhooks.held is None:
            self.webhooks.held = []
        if duplicates is not None:
            self.webhooks.duplicates = duplicates
        held = self.webhooks.held
        return {"released": released, "held": None if held is None else len(held), "duplicates": self.webhooks.duplicates}

    def do_subscriptions(self):
        shown = lambda each: {key: each[key] for key in ("time", "update_types", "secret")}
        return {"subscriptions": [{"url": url} | shown(each) for url, each in self.webhooks.subscriptions.items()]}

    def do_subscribe(self, url, secret=None, update_types=None):
        """Somebody else with the same token adds theirs."""
        self.webhooks.subscribe(url, update_types, secret)
        return self.do_subscriptions()

    def do_steal(self, by=None):
        """What an SDK with the same token does when it starts: every subscription goes; one of its own may come."""
        gone = list(self.webhooks.subscriptions)
        for url in gone:
            self.webhooks.remove(url)
        if by:
            self.webhooks.subscribe(by, None, None)
        return {"gone": gone}

    def do_fault(self, on, times=1, **how):
        """The next `times` answers to `on` ("POST /messages", "* *") are broken: status, headers, json, text, delay, slow,
        cut; with `after` the request is done first and only the answer is lost."""
        if set(how) - {"status", "headers", "json", "text", "delay", "slow", "cut", "after"}:
            raise Refused(f"no such fault: {sorted(how)}")
        self.api.faults.append({"on": on, "times": times, **how})
        return {"faults": len(self.api.faults)}

    def do_mend(self):
        self.api.faults.clear()
        return {}

    def do_settings(self, **changes):
        self.platform.set(changes)
        return self.platform.settings

    def do_requests(self):
        return {"requests": self.api.requests}

    def do_updates(self):
        return {"updates": self.platform.updates}

    def do_deliveries(self):
        return {"deliveries": self.webhooks.deliveries}

    def do_forget(self):
        """Empties what was recorded; people, subscriptions and settings stay."""
        for each in (self.api.requests, self.webhooks.deliveries, self.platform.updates):
            each.clear()
        return {}

    async def do_check(self, webhook_ms=1000):
        """What no client may ever do, and what MAX refused it, answers broken on command apart. Deliveries under way are
        waited for: their answers count."""
        while self.webhooks.in_flight:
            await asyncio.sleep(0.01)
        problems = []
        for each in self.api.requests:
            what = f"{each['method']} {each['path']}"
            if each["tokenInUrl"] or each["tokenInBody"]:
                problems.append(f"{what}: the token outside of its header")
            if not each["broken"] and each.get("status", 200) >= 400:
                problems.append(f"{what}: {each['status']} {each['answer']['message']}")
            if not each["broken"] and (each.get("answer") or {}).get("success") is False:
                problems.append(f"{what}: success false, {each['answer']['message']}")
            problems += [f"{what}: {odd}" for odd in each["odd"]]
        for each in self.webhooks.deliveries:
            if each["status"] != 200:
                problems.append(f"webhook {each['update_type']}: {each['status'] or each['error']}")
            elif each["ms"] > webhook_ms:
                problems.append(f"webhook {each['update_type']}: answered after {each['ms']} ms")
        return {"problems": problems}


# ---- start ------------------------------------------------------------------------------------------------------------


async def main(args):
    with open(args.log, "w", encoding="utf-8") as file:

        def log(**entry):
            file.write(json.dumps({"at": round(time.time(), 3), **entry}, ensure_ascii=False, default=str) + "\n")
            file.flush()

        platform = Platform(args, log)
        platform.set({name: json.loads(value) for name, _, value in (each.partition("=") for each in args.set)})
        api = Api(platform)
        control = Control(platform, api)
        app = web.Application(client_max_size=4 * 2**20)
        app.router.add_route("*", "/control/{command}", control.handle)
        app.router.add_route("*", args.base_path + "{tail:/.*}", api.handle)
        trust = ssl.create_default_context()
        if args.ca:
            trust.load_verify_locations(args.ca)
        # Redirects are no 200, cookies are not kept, proxies of the environment are not asked.
        connector = aiohttp.TCPConnector(ssl=trust, limit=0, force_close=True)
        platform.webhooks.session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", args.port).start()
        print(f"fake Bot API on http://127.0.0.1:{args.port}{args.base_path} bot={args.bot}", flush=True)
        await asyncio.Future()


if __name__ == "__main__":
    asyncio.run(main(arguments()))
