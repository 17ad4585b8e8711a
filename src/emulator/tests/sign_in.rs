//! Sign-ins as they should go, and as MAX may refuse them.

use std::time::Duration;

use serde_json::json;

use super::{DIALECTS, Run, SETTINGS, connect, emulator, now, phone, quick, receive, send, stat};
use crate::emulator::{Account, Options};
use crate::max::frame::{Cmd, Dialect, Frame};
use crate::max::opcode::Opcode;
use crate::max::refusal::RefusalKind;
use crate::max::session::{End, Logout, PasswordPolicy, SessionEvent, Settings};
use crate::max::token::MaxToken;

#[tokio::test(start_paused = true)]
async fn a_sign_in_in_both_dialects() {
    for dialect in DIALECTS {
        for wrap_all_ints in [false, true] {
            let emulator = emulator(Options { wrap_all_ints, ..quick() });
            let mut run = Run::new(&emulator, SETTINGS);
            let End::SignedIn { profile, logout: Logout::Confirmed } = run.over(&emulator, dialect).await else {
                panic!("{dialect:?}")
            };
            assert_eq!((profile.id, profile.name.as_str()), (401_041_669, "Иван Петров"));
            assert_eq!(profile.phone.as_deref(), Some("+79991234567"));
            assert!(profile.photo_url.is_some_and(|url| url.starts_with("https://i.oneme.ru/")));
            assert_eq!(stat(&emulator, "logins").await, 1);
            assert_eq!(stat(&emulator, "logouts").await, 1);
            assert_eq!(stat(&emulator, "questions").await, 2);
            assert_eq!(stat(&emulator, "foreignOrigins").await, 0);
            drop(run);
            assert_eq!(stat(&emulator, "connections").await, 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn people_take_turns() {
    let three = std::num::NonZeroU32::new(3).unwrap();
    let emulator = emulator(Options { people: three, ..quick() });
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..12 {
        let End::SignedIn { profile, .. } = Run::new(&emulator, SETTINGS).over(&emulator, Dialect::Binary).await else {
            panic!()
        };
        seen.insert((profile.id, profile.phone.clone().unwrap_or_default()));
    }
    let all = (0..3).map(|person| (401_041_669 + person, format!("+7999123456{}", 7 + person)));
    assert!(seen.len() > 1 && seen.is_subset(&all.collect()), "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn a_canary_travels_in_the_token() {
    let account = Account { token: "An_FAKE_canary".to_owned(), photo_url: None, ..Account::default() };
    let emulator = emulator(Options { account, ..quick() });
    super::script(&emulator, json!([{"on":20,"do":"error","code":"internal","times":2}, {"on":19,"do":"cut"}])).await;
    let mut run = Run::new(&emulator, SETTINGS);
    let end = run.over(&emulator, Dialect::Binary).await;
    assert!(matches!(end, End::SignedIn { logout: Logout::Failed, ref profile } if profile.photo_url.is_none()));
    assert!(run.session.take_token().unwrap().expose().starts_with("An_FAKE_canary"));
}

#[tokio::test(start_paused = true)]
async fn cloud_passwords() {
    for dialect in DIALECTS {
        let emulator = emulator(Options { password: Some("correct horse".to_owned()), ..quick() });
        let mut run = Run::new(&emulator, SETTINGS);
        run.passwords = vec!["correct horse", "wrong"];
        let end = run.over(&emulator, dialect).await;
        assert!(matches!(end, End::SignedIn { logout: Logout::Confirmed, .. }), "{end:?}");
        let hint = Some("кличка кота".to_owned());
        assert_eq!(
            run.news[3..5],
            [
                SessionEvent::PasswordWanted { hint: hint.clone(), wrong: false },
                SessionEvent::PasswordWanted { hint, wrong: true },
            ]
        );

        let mut run = Run::new(&emulator, SETTINGS);
        run.passwords = vec!["wrong"; 9];
        let End::Refused { refusal, .. } = run.over(&emulator, dialect).await else { panic!() };
        assert_eq!(refusal.code, "password2fa.no.attempts");
        assert_eq!(run.passwords.len(), 3, "five were wrong, the sixth was not looked at");

        let mut run = Run::new(&emulator, Settings { password: PasswordPolicy::Refuse, ..SETTINGS });
        let End::Refused { refusal, logout: Logout::NotNeeded } = run.over(&emulator, dialect).await else { panic!() };
        assert_eq!(refusal.kind, RefusalKind::PasswordRequired);
        assert_eq!(stat(&emulator, "logins").await, 1);
        assert_eq!(stat(&emulator, "logouts").await, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_client_gets_no_code() {
    let emulator = emulator(Options { min_app_version: Some("26.10.2".to_owned()), ..quick() });
    let End::Refused { refusal, .. } = Run::new(&emulator, SETTINGS).over(&emulator, Dialect::Json).await else {
        panic!()
    };
    assert_eq!(refusal.kind, RefusalKind::AppVersionTooOld);

    let emulator = super::emulator(Options { min_app_version: Some("26.9.30".to_owned()), ..quick() });
    let end = Run::new(&emulator, SETTINGS).over(&emulator, Dialect::Json).await;
    assert!(matches!(end, End::SignedIn { .. }), "26.10.1 is newer than 26.9.30");
}

#[tokio::test(start_paused = true)]
async fn codes_expire_and_are_replaced() {
    let options = Options {
        approve_after: 0,
        poll: Duration::from_millis(200),
        ttl: Duration::from_millis(500),
        server_ping: Some(Duration::from_millis(70)),
        ..Options::default()
    };
    let emulator = emulator(options);
    let mut run = Run::new(&emulator, SETTINGS);
    let mut socket = connect(&emulator).await.unwrap();
    let patience = Duration::from_millis(1800);
    let outcome = tokio::time::timeout(patience, run.on(&mut socket, &emulator, Dialect::Binary)).await;
    assert!(outcome.is_err(), "nobody approves");
    assert_eq!(run.codes(), 4);
    run.session.stop(now(&emulator));
    assert_eq!(run.on(&mut socket, &emulator, Dialect::Binary).await, End::Stopped { logout: Logout::NotNeeded });
}

#[tokio::test(start_paused = true)]
async fn a_login_outlives_its_connection() {
    let emulator = emulator(quick());
    super::script(&emulator, json!([{"on":20,"do":"cut"}])).await;
    let mut run = Run::new(&emulator, SETTINGS);
    let end = run.over(&emulator, Dialect::Json).await;
    assert!(matches!(end, End::SignedIn { logout: Logout::Failed, .. }));
    assert_eq!(stat(&emulator, "openLogins").await, 1);

    let token = run.session.take_token().unwrap();
    let end = Run::rescue(&emulator, token).over(&emulator, Dialect::Binary).await;
    assert_eq!(end, End::Stopped { logout: Logout::Confirmed });
    assert_eq!(stat(&emulator, "openLogins").await, 0);
    assert_eq!(stat(&emulator, "logouts").await, 1);

    let gone = MaxToken::take(&mut json!("An_FAKE_long_gone")).unwrap();
    let end = Run::rescue(&emulator, gone).over(&emulator, Dialect::Binary).await;
    assert_eq!(end, End::Stopped { logout: Logout::Confirmed }, "no such login is open");
}

/// A client that says what it is told to say.
struct Raw {
    socket: super::Socket,
    seq: u16,
}

impl Raw {
    async fn new(emulator: &std::sync::Arc<crate::emulator::Emulator>) -> Self {
        Self { socket: connect(emulator).await.unwrap(), seq: 0 }
    }

    async fn ask(&mut self, opcode: Opcode, payload: serde_json::Value) -> (Cmd, serde_json::Value) {
        let request = Frame::request(self.seq, opcode, Some(payload));
        send(&mut self.socket, Dialect::Binary, &request).await.unwrap();
        let mut answer = receive(&mut self.socket, Dialect::Binary).await.unwrap();
        assert_eq!((answer.seq, answer.opcode), (self.seq, opcode));
        self.seq += 1;
        (answer.cmd, answer.payload.take().unwrap_or_default())
    }

    async fn error(&mut self, opcode: Opcode, payload: serde_json::Value) -> String {
        let (cmd, payload) = self.ask(opcode, payload).await;
        assert_eq!(cmd, Cmd::Error);
        assert!(payload["localizedMessage"].is_string() && payload["title"].is_string());
        payload["error"].as_str().unwrap().to_owned()
    }

    async fn init(&mut self, device_type: &str) -> serde_json::Value {
        let agent = json!({"deviceType": device_type, "appVersion": "26.10.1", "deviceName": "Chrome", "extra": {}});
        self.ask(Opcode::SESSION_INIT, json!({"userAgent": agent, "deviceId": "any"})).await.1
    }
}

#[tokio::test(start_paused = true)]
async fn requests_have_their_time_and_place() {
    let emulator = emulator(Options::default());
    let mut web = Raw::new(&emulator).await;
    assert_eq!(web.ask(Opcode::PING, json!({"interactive":true})).await.0, Cmd::Answer);
    assert_eq!(web.error(Opcode::GET_QR, json!({})).await, "proto.state");
    assert_eq!(web.init("WEB").await.as_object().unwrap().len(), 5);
    assert_eq!(web.error(Opcode::LOGOUT, json!({})).await, "proto.state");
    assert_eq!(web.error(Opcode::LOGIN, json!({"token":"An_nobody"})).await, "login.token");
    let code = web.ask(Opcode::GET_QR, json!({})).await.1;
    let track = code["trackId"].as_str().unwrap().to_owned();
    assert_eq!(code["qrLink"], format!("https://max.ru/:auth/{track}"));
    assert_eq!((code["pollingInterval"].as_i64(), code["ttl"].as_i64()), (Some(5000), Some(120_000)));
    let about = json!({ "trackId": track });
    assert_eq!(web.error(Opcode::LOGIN_BY_QR, about.clone()).await, "proto.state");
    let status = web.ask(Opcode::GET_QR_STATUS, about.clone()).await.1;
    assert!(status["status"].get("loginAvailable").is_none());

    // A track is bound to its connection.
    let mut other = Raw::new(&emulator).await;
    other.init("WEB").await;
    assert_eq!(other.error(Opcode::GET_QR_STATUS, about.clone()).await, "track.not.found");

    // The phone is a connection of its own, and gets no codes.
    let mut android = Raw::new(&emulator).await;
    assert!(android.init("ANDROID").await["callsSeed"].is_i64());
    assert_eq!(android.error(Opcode::GET_QR, json!({})).await, "qr_login.disabled");
    let approval = json!({ "qrLink": code["qrLink"] });
    assert_eq!(android.error(Opcode::AUTH_QR_APPROVE, approval.clone()).await, "proto.state");
    assert_eq!(android.ask(Opcode::LOGIN, json!({"token":"An_FAKE_phone_token"})).await.0, Cmd::Answer);
    let elsewhere = json!({"qrLink":"https://max.ru/:auth/unknown"});
    assert_eq!(android.error(Opcode::AUTH_QR_APPROVE, elsewhere).await, "qr_link.invalid");
    assert_eq!(android.ask(Opcode::AUTH_QR_APPROVE, approval).await.0, Cmd::Answer);

    assert_eq!(web.ask(Opcode::GET_QR_STATUS, about.clone()).await.1["status"]["loginAvailable"], true);
    let login = web.ask(Opcode::LOGIN_BY_QR, about.clone()).await.1;
    let token = login["tokenAttrs"]["LOGIN"]["token"].clone();
    assert_eq!(web.error(Opcode::GET_QR, json!({})).await, "proto.state");
    assert_eq!(web.error(Opcode::GET_QR_STATUS, about).await, "track.not.found");
    assert_eq!(web.ask(Opcode::SESSIONS_INFO, json!({})).await.1["sessions"].as_array().unwrap().len(), 2);
    assert_eq!(android.error(Opcode::LOGIN, json!({ "token": token })).await, "login.cred");
    assert!(web.ask(Opcode::LOGIN, json!({ "token": token })).await.1["config"]["hash"].is_string());
    assert_eq!(web.error(Opcode(9999), json!({})).await, "proto.opcode");

    // What our own side never sends: it ends the visitor's other sessions.
    assert_eq!(android.ask(Opcode(97), json!({})).await.0, Cmd::Answer);
    assert_eq!(stat(&emulator, "sessionsClosed").await, 1);
    assert_eq!(stat(&emulator, "openLogins").await, 0);
    assert_eq!(stat(&emulator, "logouts").await, 0);
    assert_eq!(phone(&emulator, "GET", "/phone/stats", "").await.1["maxLoginsAtOnce"], 1);
}
