//! What the emulated MAX answers to each request. Texts of errors are those of MAX where a capture has them.

use serde_json::{Value, json};

use super::Emulator;
use super::world::{Code, Serial, State, World};
use crate::max::frame::{Dialect, Frame};
use crate::max::opcode::Opcode;

/// Known here and nowhere else in the package: our own side must never send it.
const SESSIONS_CLOSE: Opcode = Opcode(97);

/// What a phone of the account logs in with.
pub(super) const PHONE_TOKEN: &str = "An_FAKE_phone_token";

/// Wrong passwords that one challenge takes.
const PASSWORD_TRIES: u32 = 5;

/// The longest text kept of what a client says about itself, in characters.
const MAX_DEVICE_CHARS: usize = 64;

/// One client's connection, as MAX sees it.
pub(super) struct Client {
    pub(super) connection: Serial,
    /// Of the last message heard; pushes are written in it.
    pub(super) dialect: Option<Dialect>,
    stage: Stage,
    web: bool,
    app_version: String,
    device_name: String,
    os_version: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Connected,
    Initialised,
    Online(Account),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    Phone,
    Web(Serial),
}

impl Client {
    pub(super) fn new(connection: Serial) -> Self {
        Self {
            connection,
            dialect: None,
            stage: Stage::Connected,
            web: false,
            app_version: String::new(),
            device_name: String::new(),
            os_version: String::new(),
        }
    }
}

/// An error as MAX words it: code, technical message, text for people.
struct Failure(&'static str, &'static str, &'static str);

const NOT_INITIALISED: Failure = Failure("proto.state", "Session is not initialized", "Недопустимое состояние сессии");
const WRONG_STATE: Failure = Failure("proto.state", "Invalid session state", "Недопустимое состояние сессии");
const NOT_APPROVED: Failure = Failure("proto.state", "Login is not available", "Недопустимое состояние сессии");
const QR_DISABLED: Failure = Failure("qr_login.disabled", "QR login disabled", "Вход по QR недоступен");
const NO_TRACK: Failure = Failure("track.not.found", "Track not found", "Трек не найден");
const BAD_LINK: Failure = Failure("qr_link.invalid", "QR link is invalid", "Недействительная ссылка");
const WRONG_PASSWORD: Failure = Failure("password2fa.wrong", "Wrong password", "Неверный пароль");
const NO_ATTEMPTS: Failure = Failure("password2fa.no.attempts", "No attempts left", "Попытки исчерпаны");
const BAD_TOKEN: Failure =
    Failure("login.token", "FAIL_LOGIN_TOKEN", "Ошибка входа. Пожалуйста, авторизируйтесь снова");
const BAD_DEVICE: Failure = Failure("login.cred", "Wrong device type", "Ошибка входа");
const NO_OPCODE: Failure = Failure("proto.opcode", "Unknown opcode", "Неизвестная операция");

/// An error with the four texts that MAX sends.
pub(super) fn error_payload(code: &str, message: &str, localized: &str) -> Value {
    json!({ "error": code, "message": message, "localizedMessage": localized, "title": localized })
}

type Answer = Result<Option<Value>, Failure>;

impl Emulator {
    pub(super) fn answer(&self, client: &mut Client, request: &Frame) -> Frame {
        let payload = request.payload.as_ref().unwrap_or(&Value::Null);
        match self.outcome(client, request.opcode, payload) {
            Ok(payload) => Frame::answer(request.seq, request.opcode, payload),
            Err(Failure(code, message, localized)) => {
                Frame::error(request.seq, request.opcode, error_payload(code, message, localized))
            }
        }
    }

    fn outcome(&self, client: &mut Client, opcode: Opcode, payload: &Value) -> Answer {
        let world = &mut *self.world();
        match (opcode, client.stage) {
            (Opcode::PING, _) => Ok(None),
            (Opcode::SESSION_INIT, _) => Ok(Some(initialise(client, payload))),
            (_, Stage::Connected) => Err(NOT_INITIALISED),
            (Opcode::LOG, _) => Ok(None),
            (Opcode::GET_QR, Stage::Online(_)) => Err(WRONG_STATE),
            (Opcode::GET_QR, _) => self.make_code(client, world),
            (Opcode::GET_QR_STATUS, _) => self.status(client, world, payload),
            (Opcode::LOGIN_BY_QR, _) => self.log_in_by_code(client, world, payload),
            (Opcode::AUTH_LOGIN_CHECK_PASSWORD, _) => self.check_password(client, world, payload),
            (Opcode::LOGIN, _) => self.log_in_by_token(client, world, payload),
            (_, Stage::Initialised) => Err(WRONG_STATE),
            (Opcode::AUTH_QR_APPROVE, Stage::Online(account)) => self.approve(account, world, payload),
            (Opcode::LOGOUT, Stage::Online(account)) => {
                if let Account::Web(login) = account {
                    world.end_login(login);
                }
                client.stage = Stage::Initialised;
                Ok(None)
            }
            (Opcode::SESSIONS_INFO, Stage::Online(account)) => Ok(Some(self.sessions(client, account))),
            (SESSIONS_CLOSE, Stage::Online(account)) => {
                let own = match account {
                    Account::Phone => None,
                    Account::Web(login) => Some(login),
                };
                world.close_others(own);
                let token = own.and_then(|login| world.token_of(login)).unwrap_or(PHONE_TOKEN);
                Ok(Some(json!({ "token": token })))
            }
            _ => Err(NO_OPCODE),
        }
    }

    fn make_code(&self, client: &Client, world: &mut World) -> Answer {
        let too_old = self.options.min_app_version.as_deref().is_some_and(|floor| older(&client.app_version, floor));
        if !client.web || too_old {
            return Err(QR_DISABLED);
        }
        let ttl_ms = millis(self.options.ttl);
        let now = self.clock.monotonic();
        let code = Code {
            track: self.rng.uuid(),
            connection: client.connection,
            state: State::Open,
            polls: 0,
            wrong_passwords: 0,
            expires: now + self.options.ttl,
            expires_unix_ms: self.clock.unix_ms().saturating_add(ttl_ms),
            dialect: client.dialect.unwrap_or(Dialect::Json),
            device_name: client.device_name.clone(),
            os_version: client.os_version.clone(),
        };
        let answer = json!({
            "qrLink": code.link(),
            "trackId": code.track,
            "pollingInterval": millis(self.options.poll),
            "ttl": ttl_ms,
            "expiresAt": code.expires_unix_ms,
        });
        world.add_code(code, now);
        Ok(Some(answer))
    }

    fn status(&self, client: &Client, world: &mut World, payload: &Value) -> Answer {
        world.stats.questions += 1;
        let code =
            world.code_of(client.connection, text(payload, "trackId"), self.clock.monotonic()).ok_or(NO_TRACK)?;
        code.polls = code.polls.saturating_add(1);
        if code.state == State::Open && self.options.approve_after > 0 && code.polls >= self.options.approve_after {
            code.state = State::Approved;
        }
        // Left out, not false, while waiting.
        Ok(Some(match code.state {
            State::Approved | State::Password => {
                json!({ "status": { "expiresAt": code.expires_unix_ms, "loginAvailable": true } })
            }
            _ => json!({ "status": { "expiresAt": code.expires_unix_ms } }),
        }))
    }

    fn log_in_by_code(&self, client: &mut Client, world: &mut World, payload: &Value) -> Answer {
        let track = text(payload, "trackId");
        let code = world.code_of(client.connection, track, self.clock.monotonic()).ok_or(NO_TRACK)?;
        match code.state {
            // No source has MAX's answer to this one.
            State::Open | State::Declined | State::Expired => Err(NOT_APPROVED),
            State::Approved | State::Password if self.options.password.is_some() => {
                code.state = State::Password;
                Ok(Some(json!({
                    "passwordChallenge": {
                        "trackId": track,
                        "hint": "кличка кота",
                        "email": "i***@mail.ru",
                        "config": { "passMinLen": 6, "passMaxLen": 64, "hintMaxLen": 30 },
                    },
                    "tokenAttrs": {},
                })))
            }
            State::Approved | State::Password => Ok(Some(self.open(client, world, track))),
        }
    }

    fn check_password(&self, client: &mut Client, world: &mut World, payload: &Value) -> Answer {
        let track = text(payload, "trackId");
        let code = world.code_of(client.connection, track, self.clock.monotonic()).ok_or(NO_TRACK)?;
        if code.state != State::Password {
            return Err(NO_TRACK);
        }
        if code.wrong_passwords >= PASSWORD_TRIES {
            return Err(NO_ATTEMPTS);
        }
        if self.options.password.as_deref() != Some(text(payload, "password")) {
            code.wrong_passwords += 1;
            return Err(WRONG_PASSWORD);
        }
        Ok(Some(self.open(client, world, track)))
    }

    /// A login by code: its token, and who it is.
    fn open(&self, client: &mut Client, world: &mut World, track: &str) -> Value {
        world.use_code(track);
        let (login, token) = world.open_login(&self.options.account.token);
        client.stage = Stage::Online(Account::Web(login));
        json!({ "tokenAttrs": { "LOGIN": { "token": token } }, "profile": self.profile(Account::Web(login)) })
    }

    /// WEB and phone tokens are not interchangeable.
    fn log_in_by_token(&self, client: &mut Client, world: &World, payload: &Value) -> Answer {
        let token = text(payload, "token");
        let account = match world.login_of(token) {
            Some(login) => Account::Web(login),
            None if token == PHONE_TOKEN => Account::Phone,
            None => return Err(BAD_TOKEN),
        };
        if client.web != matches!(account, Account::Web(_)) {
            return Err(BAD_DEVICE);
        }
        client.stage = Stage::Online(account);
        Ok(Some(json!({
            "profile": self.profile(account),
            "chats": [],
            "contacts": [],
            "messages": {},
            "presence": {},
            "token": token,
            "time": self.clock.unix_ms(),
            "chatMarker": 0,
            "config": { "hash": "0-0", "server": {}, "user": {} },
            "videoChatHistory": false,
        })))
    }

    fn approve(&self, account: Account, world: &mut World, payload: &Value) -> Answer {
        if account != Account::Phone {
            return Err(WRONG_STATE);
        }
        let track = text(payload, "qrLink").strip_prefix("https://max.ru/:auth/").ok_or(BAD_LINK)?;
        if world.approve(track, self.clock.monotonic()) { Ok(Some(json!({}))) } else { Err(BAD_LINK) }
    }

    fn sessions(&self, client: &Client, account: Account) -> Value {
        let now = self.clock.unix_ms();
        let location = "Russian Federation, Moscow, IP 127.0.0.1";
        let phone = json!({ "client": "MAX Android", "info": "Pixel 8, Android 14", "location": location,
                            "time": now.saturating_sub(86_400_000), "current": account == Account::Phone });
        if account == Account::Phone {
            return json!({ "sessions": [phone] });
        }
        let info = format!("{}, {}", client.device_name, client.os_version);
        let web = json!({ "client": "MAX WEB", "info": info, "location": location, "time": now, "current": true });
        json!({ "sessions": [web, phone] })
    }

    fn profile(&self, account: Account) -> Value {
        let person = match account {
            Account::Web(login) => scattered(login) % self.options.people,
            Account::Phone => 0,
        };
        self.options.account.profile(person, self.options.password.is_some())
    }
}

/// Serials have a step of their own for each kind of client; this has none (Fibonacci hashing).
fn scattered(serial: u64) -> u32 {
    (serial.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32
}

/// INIT: a web client gets exactly five keys, a phone some others that it cannot do without.
fn initialise(client: &mut Client, payload: &Value) -> Value {
    let agent = payload.get("userAgent").unwrap_or(&Value::Null);
    let said = |key| text(agent, key).chars().take(MAX_DEVICE_CHARS).collect::<String>();
    client.stage = Stage::Initialised;
    client.web = text(agent, "deviceType") == "WEB";
    client.app_version = said("appVersion");
    client.device_name = said("deviceName");
    client.os_version = said("osVersion");
    let countries = json!(["AZ", "AM", "KZ", "KG", "MD", "TJ", "UZ", "GE"]);
    if client.web {
        return json!({ "lang": true, "location": "RU", "phone-auth-enabled": true, "reg-country-code": countries,
                       "web-pwa-promo": true });
    }
    json!({ "callsSeed": 1_234_567_890_123_i64, "app-update-type": 0, "location": "RU", "reg-country-code": countries })
}

fn text<'a>(payload: &'a Value, key: &str) -> &'a str {
    payload.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Compares dotted numbers; what is not a number counts as 0.
fn older(version: &str, floor: &str) -> bool {
    let numbers = |text: &str| text.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u64>>();
    numbers(version) < numbers(floor)
}
