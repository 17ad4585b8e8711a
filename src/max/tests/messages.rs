//! What the payloads mean: codes, answers to the login, people.

use std::time::Duration;

use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::max::frame::Frame;
use crate::max::message::{self, Hello, LoginAnswer, UserAgent};
use crate::max::opcode::Opcode;
use crate::max::profile::Profile;

pub(crate) fn hello() -> Hello {
    Hello {
        user_agent: UserAgent {
            locale: "ru".into(),
            device_locale: "ru".into(),
            os_version: "Linux".into(),
            device_name: "Chrome".into(),
            header_user_agent: "Mozilla/5.0".into(),
            is_pwa: false,
            app_version: "26.10.1".into(),
            screen: "1080x1920 1.0x".into(),
            timezone: "Europe/Moscow".into(),
        },
        device_id: "10984d3d-ac32-4992-838c-7e1866fab5e8".into(),
    }
}

#[test]
fn init_says_what_the_web_client_says() {
    let expected = json!({
        "userAgent": {
            "deviceType": "WEB", "pushDeviceType": "WEBPUSH", "locale": "ru", "deviceLocale": "ru",
            "osVersion": "Linux", "deviceName": "Chrome", "headerUserAgent": "Mozilla/5.0", "isPwa": false,
            "appVersion": "26.10.1", "screen": "1080x1920 1.0x", "timezone": "Europe/Moscow"
        },
        "deviceId": "10984d3d-ac32-4992-838c-7e1866fab5e8"
    });
    assert_eq!(message::init(&hello()), expected);
}

#[test]
fn a_code_needs_only_link_and_track() {
    let full =
        json!({"qrLink":"https://max.ru/:auth/t","trackId":"t","pollingInterval":5000,"ttl":119_994,"expiresAt":7});
    let code = message::code(Some(&full)).unwrap_or_else(|refusal| panic!("{refusal:?}"));
    assert_eq!((code.interval, code.ttl), (Some(Duration::from_secs(5)), Some(Duration::from_millis(119_994))));
    assert_eq!(code.expires_at_unix_ms, Some(7));

    let bare = message::code(Some(&json!({"qrLink":"https://max.ru/:auth/t","trackId":"t","ttl":-1})));
    assert!(bare.is_ok_and(|code| code.ttl.is_none() && code.interval.is_none()));

    let refused = |payload: Option<Value>| message::code(payload.as_ref()).err().map(|refusal| refusal.code);
    let unreadable = Some("max-auth.unreadable-answer".to_owned());
    assert_eq!(refused(None), unreadable);
    assert_eq!(refused(Some(json!({"qrLink":"https://max.ru/:auth/t"}))), unreadable);
    assert_eq!(refused(Some(json!({"qrLink":"https://max.ru/:auth/t","trackId":"t".repeat(200)}))), unreadable);
}

#[test]
fn a_link_leads_to_max_or_nowhere() {
    let taken = |link: &str| message::code(Some(&json!({"qrLink": link, "trackId": "t"}))).is_ok();
    for good in ["https://max.ru/:auth/t", "https://qr.max.ru/?token=1", "https://web.oneme.ru/x", "https://MAX.ru/x"] {
        assert!(taken(good), "{good}");
    }
    for bad in [
        "http://max.ru/:auth/t",
        "https://max.ru.evil.example/",
        "https://evilmax.ru/",
        "https://oneme.ru.example/",
        "https://max.ru@evil.example/",
        "https://max.ru\\@evil.example",
        "https://max.ru\\.evil.example/",
        "https:\\\\max.ru/x",
        "https:max.ru/x",
        "https:///max.ru/x",
        "https://m%61x.ru/x",
        "https://user@max.ru/",
        "https://max.ru:8443/",
        "https://max.ru/\n",
        "https://max.ru/ x",
        "javascript:alert(1)//max.ru",
        "//max.ru/x",
        "",
    ] {
        assert!(!taken(bad), "{bad}");
    }
    assert!(!taken(&format!("https://max.ru/{}", "x".repeat(512))));
}

#[test]
fn only_true_is_approval() {
    let approved = |payload: Value| message::login_available(Some(&payload));
    assert!(approved(json!({"status":{"expiresAt":1,"loginAvailable":true}})));
    for waiting in [json!({"status":{"expiresAt":1}}), json!({"status":{"loginAvailable":false}}), json!({})] {
        assert!(!approved(waiting));
    }
    assert!(!approved(json!({"status":{"loginAvailable":"true"}})));
    assert!(!message::login_available(None));
}

#[test]
fn the_token_moves_out_of_the_answer() {
    let mut payload = json!({"tokenAttrs":{"LOGIN":{"token":"An_x"}},"profile":{"contact":{"id":5}}});
    let LoginAnswer::Open { token: Some(token), profile: Some(profile) } =
        message::login_answer(Some(&mut payload), "t")
    else {
        panic!("a login was expected")
    };
    assert_eq!((token.expose(), profile.id), ("An_x", 5));
    assert!(!payload.to_string().contains("An_x"));
}

#[test]
fn a_challenge_may_lack_everything() {
    let challenge = |mut payload: Value| match message::login_answer(Some(&mut payload), "code's") {
        LoginAnswer::Password(challenge) => (challenge.track, challenge.hint),
        LoginAnswer::Open { .. } => panic!("a challenge was expected"),
    };
    let full = json!({"passwordChallenge":{"trackId":"c","hint":"кличка\nкота","email":null},"tokenAttrs":{}});
    assert_eq!(challenge(full), ("c".into(), Some("кличкакота".into())));
    assert_eq!(challenge(json!({"passwordChallenge":{"hint":null}})), ("code's".into(), None));
}

#[test]
fn requests_with_secrets_do_not_show_them() {
    let payload = message::check_password("t", Zeroizing::new("correct horse".to_owned()));
    assert_eq!(payload, json!({"trackId":"t","password":"correct horse"}));
    let frame = Frame::request(0, Opcode::AUTH_LOGIN_CHECK_PASSWORD, Some(payload));
    assert_eq!(format!("{frame:?}"), "Frame { cmd: Request, seq: 0, opcode: 115 AUTH_LOGIN_CHECK_PASSWORD, .. }");
}

fn person(contact: Value) -> Option<Profile> {
    Profile::from_payload(&json!({ "contact": contact }))
}

#[test]
fn a_person_as_max_describes_them() {
    let profile = person(json!({
        "id": 401_041_669, "phone": 79_991_234_567_i64, "country": "RU",
        "names": [{"name":"Ваня (работа)","type":"CUSTOM"},
                  {"name":"Иван","firstName":"Иван","lastName":"Петров","type":"ONEME"}],
        "baseUrl": "https://i.oneme.ru/i?r=BTG", "photoId": 7_654_321_098_765_i64
    }))
    .unwrap();
    let expected = Profile {
        id: 401_041_669,
        first_name: Some("Иван".into()),
        last_name: Some("Петров".into()),
        name: "Иван Петров".into(),
        phone: Some("+79991234567".into()),
        photo_url: Some("https://i.oneme.ru/i?r=BTG".into()),
    };
    assert!(profile == expected);
    assert_eq!(format!("{profile:?}"), "Profile { id: 401041669, .. }");
}

#[test]
fn a_person_of_whom_little_is_known() {
    let only_name =
        person(json!({"id":1,"names":[{"name":"Анна","lastName":""}],"phone":"7 (999) 123-45-67"})).unwrap();
    assert_eq!((only_name.name.as_str(), only_name.first_name, only_name.last_name), ("Анна", None, None));
    assert_eq!(only_name.phone.as_deref(), Some("+79991234567"));

    let nameless = person(json!({"id":"42","names":[],"phone":0,"baseUrl":"http://i.oneme.ru/x"})).unwrap();
    assert_eq!((nameless.id, nameless.name.as_str(), nameless.phone, nameless.photo_url), (42, "42", None, None));

    for nobody in [json!({}), json!({"id":0}), json!({"id":-5}), json!({"id":u64::MAX}), json!({"id":1.5})] {
        assert!(person(nobody).is_none());
    }
}

#[test]
fn names_cannot_break_out() {
    let long = person(json!({"id":1,"names":[{"firstName":"Я".repeat(10_000)}]})).unwrap();
    assert_eq!(long.name.chars().count(), 128);
    let sly = person(json!({"id":1,"names":[{"firstName":"a\r\nX-Admin: 1\u{202e}b"}]})).unwrap();
    assert_eq!(sly.name, "aX-Admin: 1b");
}
