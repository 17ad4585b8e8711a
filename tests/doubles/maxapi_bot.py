"""A bot on a real SDK, PyPI maxapi: it greets who starts it, answers a press, and looks at a contact.

MODE=poll or webhook (on PORT of this machine).
"""

import asyncio
import hashlib
import hmac
import os

from maxapi import Bot, Dispatcher
from maxapi.types import BotStarted, BotStopped, CallbackButton, MessageCallback, MessageCreated, RequestContactButton
from maxapi.utils.inline_keyboard import InlineKeyboardBuilder
from maxapi.webhook.aiohttp import AiohttpMaxWebhook

TOKEN, PORT, SECRET = os.environ["TOKEN"], int(os.environ.get("PORT", "0")), "a-secret_5"


def say(*words):
    print(*words, flush=True)


bot = Bot(TOKEN)
bot.set_api_url(os.environ["API_URL"])
dispatcher = Dispatcher()


@dispatcher.bot_started()
async def started(event: BotStarted):
    say("STARTED", event.user.user_id, event.payload or "-")
    keys = InlineKeyboardBuilder()
    keys.row(CallbackButton(text="42", payload=f"yes:{event.payload}"), CallbackButton(text="17", payload="no"))
    keys.row(RequestContactButton(text="My phone"))
    await bot.send_message(user_id=event.user.user_id, text="Sign in?", attachments=[keys.as_markup()])
    say("ASKED")


@dispatcher.message_callback()
async def pressed(event: MessageCallback):
    say("PRESSED", event.callback.user.user_id, event.callback.payload)
    await event.edit(text="Done", attachments=[], notification="Yes")
    say("ANSWERED")


@dispatcher.message_created()
async def heard(event: MessageCreated):
    message = event.message
    contacts = [one for one in message.body.attachments or [] if one.type == "contact"]
    if not contacts:
        say("HEARD", message.body.text)
        return
    payload = contacts[0].payload
    right = hmac.new(TOKEN.encode(), payload.vcf_info.encode(), hashlib.sha256).hexdigest()
    genuine, own = right == payload.hash, payload.max_info.user_id == message.sender.user_id
    say("CONTACT", payload.vcf.phone, f"hash={str(genuine).lower()}", f"own={str(own).lower()}")


@dispatcher.bot_stopped()
async def stopped(event: BotStopped):
    say("STOPPED", event.user.user_id)


async def main():
    me = await bot.get_me()
    say("ME", me.username, me.user_id)
    if os.environ["MODE"] == "poll":
        asyncio.get_running_loop().call_later(0.5, say, "READY")
        await dispatcher.start_polling(bot)
        return
    from aiohttp import web

    webhook = AiohttpMaxWebhook(dp=dispatcher, bot=bot, secret=SECRET)
    runner = web.AppRunner(webhook.create_app(path="/hook"))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", PORT).start()
    await bot.subscribe_webhook(f"http://127.0.0.1:{PORT}/hook", secret=SECRET)
    say("READY")
    await asyncio.Event().wait()


asyncio.run(main())
