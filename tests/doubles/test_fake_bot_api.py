"""The fake Bot API, itself tested: `python -m unittest test_fake_bot_api` in this folder, or tests/e2e/bot-double.test.mjs."""

import http.client
import json
import os
import queue
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, quote, unquote

import fake_bot_api as double

TOKEN, BOT, BASE = "double-bot-token-0123456789", "double_bot", "/platform/v2"
BUTTON = {"type": "callback", "text": "42", "payload": "x1"}


def keyboard(*rows):
    return [{"type": "inline_keyboard", "payload": {"buttons": list(rows)}}]


class Receiver:
    """A bot's webhook; `answers` gives the status of the next requests, then 200. Over TLS with a (certificate, key)."""

    def __init__(self, pair=None):
        self.got, self.answers, self.delays, received = queue.Queue(), [], [], self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                received.got.put((self.headers.get("X-Max-Bot-Api-Secret"), body))
                time.sleep(received.delays.pop(0) if received.delays else 0)
                self.send_response(received.answers.pop(0) if received.answers else 200)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"{'https' if pair else 'http'}://127.0.0.1:{self.server.server_port}/hook"
        if pair:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(*pair)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self):
        return self.got.get(timeout=5)[1]

    def quiet(self):
        time.sleep(0.15)
        return self.got.empty()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Running(unittest.TestCase):
    """One process of the double a test: they do not share people or subscriptions."""

    args = []

    def setUp(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.log = os.path.join(folder.name, "log.jsonl")
        command = [sys.executable, double.__file__, "--port", str(self.port), "--log", self.log, *self.args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.addCleanup(self.end)
        self.assertRegex(self.process.stdout.readline(), r"^fake Bot API on http://127\.0\.0\.1:\d+/platform/v2 bot=")
        self.control("settings", polls_per_second=1000, requests_per_second=1000, messages_per_second=1000)

    def end(self):
        self.process.terminate()
        self.process.wait(10)
        self.process.stdout.close()

    def ask(self, method, path, body=None, headers=None, raw=False):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(connection.close)
        given = {"Authorization": TOKEN} if headers is None else dict(headers)
        if body is not None:
            body = body if raw else json.dumps(body)
            given.setdefault("Content-Type", "application/json")
        connection.request(method, BASE + path, body, given)
        answer = connection.getresponse()
        self.headers, text = answer.headers, answer.read().decode()
        return answer.status, text if raw == "text" else json.loads(text)

    def control(self, command, **arguments):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        self.addCleanup(connection.close)
        connection.request("POST", f"/control/{command}", json.dumps(arguments))
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.status != 200:
            raise double.Refused(text)
        return json.loads(text)

    def receiver(self, **subscription):
        receiver = Receiver()
        self.addCleanup(receiver.close)
        answer = self.ask("POST", "/subscriptions", {"url": receiver.url, **subscription})
        self.assertEqual(answer, (200, {"success": True}))
        return receiver

    def send(self, person=400, **message):
        return self.ask("POST", f"/messages?user_id={person}", {"text": "?", **message})

    def poll(self, query="timeout=0"):
        status, answer = self.ask("GET", f"/updates?{query}")
        self.assertEqual(status, 200, answer)
        return answer


class Signatures(unittest.TestCase):
    FIELDS = [
        ("auth_date", "1790000000"),
        ("query_id", "158b120b-7aa3-4a0f-a198-52ace06d0658"),
        ("start_param", "abc_123-XYZ"),
        (
            "user",
            '{"id":400,"first_name":"Вася","last_name":"","username":null,"language_code":"ru","photo_url":null}',
        ),
    ]

    def test_init_data_of_the_notes(self):
        secret = double.init_data_secret("test-bot-token").hex()
        self.assertEqual(secret, "7a69e9a9411a3dc1ade412bec400c377857ceb38c4c85d7d74385ac0fbc54f7f")
        for fields in (self.FIELDS, self.FIELDS[::-1]):
            digest = double.init_data_hash("test-bot-token", fields)
            self.assertEqual(digest, "8439261e0227c84faa3846328ad808a2738da89016bded016e60933ae8e455fc")

    def test_contact_of_the_notes(self):
        digest = double.contact_hash("test-bot-token", 1790000000, "79990000000", 400)
        self.assertEqual(digest, "4c01f5a13c1b29f454eb9afe0e7a55fbb4ac8aa433555932c308ec08fc16785b")

    def read(self, fault, plus=False):
        person = double.Person(400)
        text = double.init_data(TOKEN, person, "CODE", fault, at=1790000000)
        if fault == "fragment":
            outer = dict(parse_qsl(text))
            self.assertEqual(set(outer), {"WebAppData", "WebAppPlatform", "WebAppVersion"})
            text = outer["WebAppData"]
        return text, parse_qsl(text, keep_blank_values=True, strict_parsing=True)

    def holds(self, fields):
        given = [value for key, value in fields if key == "hash"]
        rest = [field for field in fields if field[0] != "hash"]
        return given == [double.init_data_hash(TOKEN, rest)] and len({key for key, _ in fields}) == len(fields)

    def test_genuine_forms_hold_and_false_ones_do_not(self):
        false = {"wrong-token", "tampered", "no-hash", "upper-hash", "repeated-key", "repeated-hash"}
        for fault in double.INIT_DATA_FAULTS:
            self.assertEqual(self.holds(self.read(fault)[1]), fault not in false, fault)

    def test_a_second_decoding_spoils_a_genuine_one(self):
        for fault in ("percent", "plus"):
            text, _ = self.read(fault)
            try:
                twice = parse_qsl(unquote(text), keep_blank_values=True, strict_parsing=True)
                self.assertFalse(self.holds(twice), fault)
            except ValueError:
                pass

    def test_what_a_launch_says(self):
        fields = dict(self.read("good")[1])
        self.assertEqual(fields["start_param"], "CODE")
        self.assertEqual(json.loads(fields["user"])["first_name"], "Вася")
        self.assertNotIn("chat", dict(self.read("no-chat")[1]))
        self.assertEqual(dict(self.read("ms")[1])["auth_date"], "1790000000394")


class Authorization(Running):
    def refused(self, headers, path="/me"):
        status, body = self.ask("GET", path, headers=headers)
        self.assertEqual((status, body["code"], set(body)), (401, "verify.token", {"code", "message"}))
        return body["message"]

    def test_the_table_of_refused_tokens(self):
        deprecated = "Query parameter access_token is deprecated, use Authorization header"
        for value, message in [
            (None, "No access token"),
            ("   ", "No access token"),
            ("Bearer x", "Malformed access token"),
            (f"Bearer {TOKEN}", "Malformed access token"),
            (f"bearer {TOKEN}", "Invalid access_token"),
            ("Bearer", "Invalid access_token"),
            ("Bearer  x", "Invalid access_token"),
            ("wrong", "Invalid access_token"),
            (TOKEN + "x", "Invalid access_token"),
        ]:
            self.assertEqual(self.refused({} if value is None else {"Authorization": value}), message, value)
        self.assertEqual(self.refused({}, f"/me?access_token={TOKEN}"), deprecated)
        self.assertEqual(self.ask("GET", "/me?access_token=rubbish")[0], 200)
        self.assertEqual(self.ask("GET", "/me", headers={"Authorization": f"  {TOKEN}  "})[0], 200)
        self.assertEqual(self.ask("GET", "/me")[1]["username"], BOT)

    def test_a_token_in_an_address_is_told(self):
        self.ask("GET", f"/me?access_token={TOKEN}")
        problems = self.control("check")["problems"]
        self.assertTrue(any("token outside of its header" in each for each in problems), problems)
        self.assertTrue(self.control("requests")["requests"][0]["tokenInUrl"])
        with open(self.log, encoding="utf-8") as log:
            self.assertIn('"ev": "request"', log.read())

    def test_the_oddity_of_me(self):
        self.control("settings", me_by_query="empty")
        self.assertEqual(self.ask("GET", "/me?access_token=x", headers={}), (200, {}))

    def test_paths_and_methods(self):
        self.assertEqual(self.ask("GET", "/nothing")[0], 404)
        self.assertEqual(self.ask("GET", "//me")[0], 404)
        self.assertEqual(self.ask("DELETE", "/me")[0], 405)
        self.assertEqual(self.ask("POST", "/messages?user_id=400", "{", raw=True)[0], 400)


class Sending(Running):
    def setUp(self):
        super().setUp()
        self.control("tap")

    def test_limits(self):
        link = {"type": "link", "text": "a", "url": "https://example.ru/"}
        rows = lambda count, width=1: keyboard(*[[BUTTON] * width] * count)
        for good in [
            {"text": "я" * 4000},
            {"text": None, "attachments": rows(30, 7)},
            {"attachments": keyboard([{**BUTTON, "payload": "p" * 1024}])},
            {"attachments": keyboard([link] * 3)},
            {"attachments": keyboard([{"type": "request_contact", "text": "a"}])},
            {"attachments": keyboard([{"type": "open_app", "text": "a", "web_app": BOT, "payload": "c"}])},
            {"attachments": keyboard([{"type": "clipboard", "text": "a", "payload": "c"}, {"type": "message", "text": "b"}])},
            {"format": "html", "notify": False, "link": None},
        ]:
            status, answer = self.send(**good)
            self.assertEqual(status, 200, answer)
        for wrong in [
            {"text": "я" * 4001},
            {"text": "😀" * 2001},
            {"text": None},
            {"text": 5},
            {"format": "MarkdownV2"},
            {"notify": "yes"},
            {"attachments": rows(31)},
            {"attachments": rows(1, 8)},
            {"attachments": keyboard([])},
            {"attachments": keyboard()},
            {"attachments": keyboard([link] * 3 + [BUTTON])},
            {"attachments": keyboard([{**BUTTON, "payload": "p" * 1025}])},
            {"attachments": keyboard([{"type": "callback", "text": "a"}])},
            {"attachments": keyboard([{"type": "url", "text": "a", "url": "https://example.ru"}])},
            {"attachments": keyboard([{**BUTTON, "text": " "}])},
            {"attachments": keyboard([{**link, "url": "javascript:1"}])},
            {"attachments": rows(1) * 2},
            {"attachments": [{"type": "image"}] * 13},
            {"attachments": [{"type": "keyboard"}]},
        ]:
            status, answer = self.send(**wrong)
            self.assertEqual((status, answer["code"]), (400, "proto.payload"), wrong)

    def test_whom(self):
        for query, status in [
            ("", 400), ("?user_id=400&chat_id=1", 400), ("?user_id=x", 400), ("?user_id=999", 404),
            (f"?user_id={2**63}", 400), ("?chat_id=-400001", 200),
        ]:  # fmt: skip
            self.assertEqual(self.ask("POST", f"/messages{query}", {"text": "a"})[0], status, query)

    def test_who_has_stopped_or_never_started(self):
        self.control("stop")
        self.assertEqual(self.send(), (403, {"code": "chat.denied", "message": "error.dialog.suspended"}))
        self.control("person", person=5)
        self.assertEqual(self.send(person=5)[0], 403)
        self.control("settings", unknown_dialog="allow")
        self.assertEqual(self.send(person=5)[0], 200)

    def test_the_message_that_comes_back(self):
        message = self.send(text="a", attachments=keyboard([BUTTON]))[1]["message"]
        self.assertEqual(message["recipient"], {"chat_id": -400001, "chat_type": "dialog", "user_id": 400})
        self.assertGreater(message["body"]["seq"], 2**53)
        self.assertEqual(message["body"]["attachments"][0]["payload"]["buttons"], [[{**BUTTON, "intent": "default"}]])
        self.assertEqual(self.control("dialog")["messages"][-1]["from"], "bot")

    def test_what_mini_app_buttons_open(self):
        self.send(attachments=keyboard([{"type": "open_app", "text": "in", "web_app": "https://example.ru/app"}]))
        with self.assertRaisesRegex(double.Refused, "opens nothing"):
            self.control("press", text="in")
        self.assertEqual(len(self.control("check")["problems"]), 1)

    def test_callbacks(self):
        self.send(text="a", attachments=keyboard([BUTTON], [{**BUTTON, "text": "17", "payload": "x2"}]))
        with self.assertRaisesRegex(double.Refused, r"42.*17"):
            self.control("press", text="99")
        update = self.control("press", text="42")["update"]
        self.assertEqual(update["callback"]["payload"], "x1")
        self.assertEqual(len(update["callback"]["callback_id"]), 120)
        self.assertEqual(update["message"]["body"]["text"], "a")
        self.assertEqual(self.control("press", text="17", as_person=401)["update"]["callback"]["user"]["user_id"], 401)
        path = f"/answers?callback_id={quote(update['callback']['callback_id'])}"
        self.assertEqual(self.ask("POST", "/answers", {"notification": "a"})[0], 400)
        self.assertEqual(self.ask("POST", path, {})[0], 400)
        self.assertEqual(self.ask("POST", path, {"message": {"text": "a" * 4001}})[0], 400)
        self.assertEqual(self.ask("POST", "/answers?callback_id=other", {"notification": "a"})[1]["success"], False)
        done = {"notification": "Готово", "message": {"text": "done"}}
        self.assertEqual(self.ask("POST", path, done), (200, {"success": True}))
        dialog = self.control("dialog")
        self.assertEqual((dialog["messages"][-1]["text"], dialog["messages"][-1]["buttons"]), ("done", []))
        self.assertEqual(dialog["notices"], ["Готово"])

    def test_contacts(self):
        for kind, owner, holds in [("own", 400, True), ("forwarded", 401, True), ("forged", 400, False)]:
            update = self.control("contact", kind=kind)["update"]
            body, sender = update["message"]["body"], update["message"]["sender"]
            self.assertIsNone(body["text"])
            payload = body["attachments"][0]["payload"]
            self.assertEqual((payload["max_info"]["user_id"], sender["user_id"]), (owner, 400))
            self.assertEqual(payload["hash"] == double.card_hash(TOKEN, payload["vcf_info"]), holds)
            self.assertIn("\r\nTEL", payload["vcf_info"])

    def test_limits_of_a_second(self):
        self.control("settings", messages_per_second=2)
        self.assertEqual([self.send()[0] for _ in range(3)], [200, 200, 429])
        self.control("settings", polls_per_second=2)
        self.assertEqual([self.ask("GET", "/updates?timeout=0")[0] for _ in range(3)], [200, 200, 429])
        self.control("settings", requests_per_second=3)
        self.assertEqual(self.ask("GET", "/me")[0], 429)


class People(Running):
    def test_the_link_is_heard_of_only_the_first_time(self):
        first = self.control("tap", start="CODE-1")["update"]
        self.assertEqual((first["update_type"], first["payload"], first["user_id"]), ("bot_started", "CODE-1", 400))
        self.assertIsNone(self.control("tap", start="CODE-2")["update"])
        self.assertEqual(self.control("stop")["update"]["update_type"], "bot_stopped")
        with self.assertRaisesRegex(double.Refused, "not started"):
            self.control("say", text="CODE")
        self.assertEqual(self.control("tap", start="CODE-3")["update"]["payload"], "CODE-3")

    def test_payloads_that_are_missing(self):
        for setting, expected in [("absent", ...), ("null", None), ("empty", "")]:
            self.control("settings", no_payload=setting)
            update = self.control("tap", start="x" * 129)["update"]
            self.assertEqual(update.get("payload", ...), expected)
            self.control("stop")
        self.assertEqual(len(self.control("tap", start="x" * 128)["update"]["payload"]), 128)

    def test_links_as_a_page_shows_them(self):
        self.assertEqual(self.control("open", person=400, link=f"https://max.ru/{BOT}?start=C")["update"]["payload"], "C")
        data = self.control("open", person=400, link=f"https://max.ru/{BOT}?startapp=C")["initData"]
        self.assertEqual(dict(parse_qsl(data))["start_param"], "C")
        for link in ["http://max.ru/double_bot?start=C", "https://max.ru/other?start=C", f"https://max.ru/{BOT}?x=C"]:
            with self.assertRaises(double.Refused):
                self.control("open", person=400, link=link)

    def test_a_name_is_as_it_was_made(self):
        self.control("person", person=7, first_name="A+B", last_name=None, username="ab")
        user = self.control("tap", person=7)["update"]["user"]
        self.assertEqual((user["name"], user["username"], "last_name" in user), ("A+B", "ab", False))


class Polling(Running):
    def test_markers(self):
        self.control("settings", no_marker="all")
        self.assertEqual(self.poll()["updates"], [])
        self.control("tap")
        for text in ("1", "2"):
            self.control("say", text=text)
        first = self.poll("limit=2&timeout=0")
        self.assertEqual([each["update_type"] for each in first["updates"]], ["bot_started", "message_created"])
        second = self.poll(f"marker={first['marker']}&timeout=0")
        self.assertEqual([each["message"]["body"]["text"] for each in second["updates"]], ["2"])
        self.assertEqual(self.poll(f"marker={second['marker']}&timeout=0"), {"updates": [], "marker": second["marker"]})
        self.control("say", text="3")
        self.control("say", text="4")
        self.control("settings", no_marker="last")
        self.assertEqual([each["message"]["body"]["text"] for each in self.poll()["updates"]], ["4"])

    def test_a_marker_that_repeats_or_is_lost(self):
        self.control("tap")
        self.control("settings", marker="repeat")
        for _ in range(2):
            self.assertEqual(len(self.poll("marker=1000000&timeout=0")["updates"]), 1)
        self.control("settings", marker="null")
        self.assertIsNone(self.poll("marker=1000000&timeout=0")["marker"])

    def test_waits_for_what_comes(self):
        threading.Timer(0.2, lambda: self.control("tap")).start()
        self.assertEqual(len(self.poll("timeout=5")["updates"]), 1)

    def test_parameters(self):
        for query in ("limit=0", "limit=1001", "timeout=91", "timeout=x", "marker=x", "types=message"):
            self.assertEqual(self.ask("GET", f"/updates?{query}")[0], 400, query)

    def test_nothing_while_a_webhook_is_set(self):
        receiver = self.receiver()
        self.control("tap")
        self.assertEqual(receiver.next()["update_type"], "bot_started")
        self.assertEqual(self.poll()["updates"], [])
        self.assertRegex(self.control("check")["problems"][0], "while a subscription is active")


class Subscriptions(Running):
    def test_addresses(self):
        for url, good in [
            ("https://example.ru/hook", True), ("https://example.ru:443/hook", False), ("http://example.ru/hook", False),
            ("https://example.ru:8443/hook", False), ("http://127.0.0.1:9/hook", True), ("ftp://127.0.0.1/", False),
        ]:  # fmt: skip
            status, answer = self.ask("POST", "/subscriptions", {"url": url})
            self.assertEqual((status, answer["success"]), (200, good), url)
            self.assertEqual({"code", "message"} <= set(answer), not good)
        for more in ({"secret": "four"}, {"secret": "with space"}, {"update_types": ["message"]}):
            self.assertEqual(self.ask("POST", "/subscriptions", {"url": "https://example.ru/", **more})[0], 400, more)

    def test_add_list_remove(self):
        self.receiver(secret="secret_1-A", update_types=["bot_started"])
        self.receiver()
        (one, other) = self.ask("GET", "/subscriptions")[1]["subscriptions"]
        self.assertEqual(set(one), {"url", "time", "update_types"})
        self.assertEqual((one["update_types"], other["update_types"]), (["bot_started"], None))
        self.assertEqual(self.ask("DELETE", f"/subscriptions?url={quote(one['url'], safe='')}"), (200, {"success": True}))
        self.assertFalse(self.ask("DELETE", f"/subscriptions?url={quote(one['url'], safe='')}")[1]["success"])
        self.assertEqual(self.control("steal", by="http://127.0.0.1:9/theirs")["gone"], [other["url"]])
        self.assertEqual(len(self.ask("GET", "/subscriptions")[1]["subscriptions"]), 1)

    def test_what_arrives(self):
        receiver = self.receiver(secret="secret_1-A", update_types=["message_created"])
        self.control("tap")
        self.control("say", text="привет")
        secret, update = receiver.got.get(timeout=5)
        self.assertEqual((secret, update["message"]["body"]["text"]), ("secret_1-A", "привет"))
        self.assertTrue(receiver.quiet())
        self.control("update", update={"update_type": "message_created", "message": None}, again=1)
        self.assertEqual([receiver.next()["message"] for _ in range(2)], [None, None])

    def test_a_slow_answer_is_a_problem(self):
        receiver = self.receiver()
        receiver.delays = [0.2]
        self.control("tap")
        (problem,) = self.control("check", webhook_ms=100)["problems"]
        self.assertRegex(problem, r"^webhook bot_started: answered after \d+ ms")

    def test_two_subscriptions(self):
        one, other = self.receiver(), self.receiver()
        self.control("tap")
        self.assertEqual(one.next(), other.next())
        self.control("settings", copies="one")
        self.control("stop")
        self.assertEqual(one.next()["update_type"], "bot_stopped")
        self.assertTrue(other.quiet())

    def test_again_until_200(self):
        # An answer has 30 s times this: enough for a machine that is busy.
        self.control("settings", clock_scale=0.01)
        receiver = self.receiver()
        receiver.answers = [500, 302, 204]
        self.control("tap")
        self.assertEqual([receiver.next()["update_type"] for _ in range(4)], ["bot_started"] * 4)
        self.assertTrue(receiver.quiet())
        statuses = [each["status"] for each in self.control("deliveries")["deliveries"]]
        self.assertEqual(statuses, [500, 302, 204, 200])

    def test_a_200_that_is_late_is_none(self):
        self.control("settings", clock_scale=0.005)
        receiver = self.receiver()
        receiver.delays = [0.4]
        self.control("tap")
        self.assertEqual(receiver.next(), receiver.next())
        until = time.monotonic() + 5
        while len(deliveries := self.control("deliveries")["deliveries"]) < 2:
            self.assertLess(time.monotonic(), until)
        self.assertEqual([(each["status"], each["attempt"]) for each in deliveries], [(None, 0), (200, 1)])

    def test_who_never_answers_is_unsubscribed(self):
        self.control("settings", clock_scale=0.0001, drop_after=3600)
        receiver = self.receiver()
        receiver.answers = [500] * 50
        self.control("tap")
        until = time.monotonic() + 5
        while self.control("subscriptions")["subscriptions"]:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.02)
        self.assertEqual(self.poll()["updates"], [])

    def test_held_doubled_and_reordered(self):
        receiver = self.receiver()
        self.control("webhook", hold=True, duplicates=1)
        self.control("tap")
        self.control("say", text="a")
        self.assertTrue(receiver.quiet())
        self.assertEqual(self.control("webhook", duplicates=0)["held"], 4)
        self.assertEqual(self.control("webhook", release="reversed")["released"], 4)
        kinds = sorted(receiver.next()["update_type"] for _ in range(4))
        self.assertEqual(kinds, ["bot_started"] * 2 + ["message_created"] * 2)


class Trust(Running):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        pair = {}
        for name in ("trusted", "other"):
            pair[name] = [os.path.join(folder.name, f"{name}.{kind}") for kind in ("pem", "key")]
            subject = ["-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2", "-nodes"]
            command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *subject]
            command += ["-out", pair[name][0], "-keyout", pair[name][1]]
            subprocess.run(command, check=True, capture_output=True)
        self.args = ["--ca", pair["trusted"][0]]
        super().setUp()
        self.pair = pair

    def test_only_certificates_of_the_ca(self):
        hooks = {name: Receiver(pair) for name, pair in self.pair.items()}
        for hook in hooks.values():
            self.addCleanup(hook.close)
            self.ask("POST", "/subscriptions", {"url": hook.url})
        self.control("tap")
        self.assertEqual(hooks["trusted"].next()["update_type"], "bot_started")
        self.assertTrue(hooks["other"].quiet())
        (problem,) = self.control("check")["problems"]
        self.assertIn("Certificate", problem)


class Broken(Running):
    def test_answers(self):
        busy = {"code": "too.many.requests", "message": "x"}
        self.control("fault", on="GET /me", status=429, json=busy, headers={"Retry-After": 7})
        self.assertEqual((self.ask("GET", "/me")[0], self.headers["Retry-After"]), (429, "7"))
        self.control("fault", on="* *", status=502, text="<html>Bad gateway</html>")
        self.assertEqual(self.ask("GET", "/me", raw="text"), (502, "<html>Bad gateway</html>"))
        self.assertEqual(self.headers["Content-Type"], "text/html")
        self.control("fault", on="GET /me", json={})
        self.assertEqual(self.ask("GET", "/me"), (200, {}))
        self.control("fault", on="GET /me", slow=0.2)
        begun = time.monotonic()
        self.assertEqual(self.ask("GET", "/me"), (200, {}))
        self.assertGreater(time.monotonic() - begun, 0.09)
        self.control("fault", on="GET /me", cut=True, times=2)
        self.control("mend")
        self.assertEqual(self.ask("GET", "/me")[0], 200)
        self.assertEqual(self.control("check")["problems"], [])

    def test_done_but_the_answer_is_lost(self):
        self.control("tap")
        self.control("fault", on="POST /messages", after=True, cut=True)
        with self.assertRaises((http.client.HTTPException, OSError)):
            self.send()
        self.assertEqual(len(self.control("dialog")["messages"]), 1)

    def test_commands_that_make_no_sense(self):
        for command in ("nothing", "tap", "settings", "fault"):
            with self.assertRaises(double.Refused):
                self.control(command, on="* *", x=1)


if __name__ == "__main__":
    unittest.main()
