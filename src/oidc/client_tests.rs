//! How clients prove who they are, and requests that they send themselves.

use super::jws::{self, SigningKey};
use super::tests::{VERIFIER, World, answer, query, world_with};
use super::*;
use crate::base::id;
use futures_util::future::join_all;
use serde_json::{Value, json};

const SECRET: &str = "&client_secret=0123456789abcdef";

/// A client with a key of its own.
pub(super) fn keyed() -> (World, SigningKey) {
    let key = SigningKey::parse(SigningAlgorithm::Es256, &jws::generate(SigningAlgorithm::Es256).unwrap()).unwrap();
    let jwks = json!({ "keys": [key.public] });
    let client = format!(
        r#"
        [[oidc.clients]]
        id = "keyed"
        auth = "private_key_jwt"
        jwks = '{jwks}'
        redirect_uris = ["https://keyed.example.ru/cb"]
        pkce = "optional"
        consent = "never"
        id_token_alg = "ES256"
        "#
    );
    (world_with(&client), key)
}

pub(super) fn assertion(world: &World, key: &SigningKey, change: impl FnOnce(&mut Value)) -> String {
    let now = world.provider.vault.unix_seconds();
    let mut claims = json!({
        "iss": "keyed", "sub": "keyed", "aud": "https://id.example.ru", "exp": now + 60, "jti": world.provider.vault.name(),
    });
    change(&mut claims);
    let claims = claims.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    let claims = claims.map(|(name, value)| (name.clone(), value.clone())).collect::<serde_json::Map<_, _>>();
    key.sign("JWT", &claims).unwrap()
}

pub(super) fn asserted(token: &str) -> String {
    format!("client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer&client_assertion={token}")
}

#[tokio::test(start_paused = true)]
async fn a_client_proves_by_its_key_who_it_is_once_for_each_assertion() {
    let (world, key) = keyed();
    let stranger =
        SigningKey::parse(SigningAlgorithm::Es256, &jws::generate(SigningAlgorithm::Es256).unwrap()).unwrap();
    let ask = async |form: String| {
        let answer = world.provider.introspect(&Params::parse(form.as_bytes()), None).await;
        answer.map_err(|error| error.code.text())
    };
    let token = |token: &str| format!("token=x&{}", asserted(token));
    let good = token(&assertion(&world, &key, |_| {}));
    assert_eq!(ask(good.clone()).await, Ok(json!({ "active": false })));
    assert_eq!(ask(good.clone()).await, Err("invalid_client"), "its jti was used");
    for fine in [
        assertion(&world, &key, |claims| claims["aud"] = json!("https://id.example.ru/oauth2/token")),
        assertion(&world, &key, |claims| claims["aud"] = json!(["https://id.example.ru"])),
        assertion(&world, &key, |claims| claims["exp"] = json!(world.provider.vault.unix_seconds() + 600)),
    ] {
        assert!(ask(token(&fine)).await.is_ok());
    }
    let now = world.provider.vault.unix_seconds();
    for (what, bad) in [
        ("another key", assertion(&world, &stranger, |_| {})),
        ("another issuer", assertion(&world, &key, |claims| claims["iss"] = json!("app"))),
        ("nobody", assertion(&world, &key, |claims| claims["sub"] = json!("nobody"))),
        ("a client with a secret", assertion(&world, &key, |claims| claims["sub"] = json!("app"))),
        ("for somebody else", assertion(&world, &key, |claims| claims["aud"] = json!("https://other.example.ru"))),
        (
            "for somebody else, too",
            assertion(&world, &key, |claims| {
                claims["aud"] = json!(["https://id.example.ru", "https://other.example.ru"])
            }),
        ),
        ("for nobody", assertion(&world, &key, |claims| claims["aud"] = Value::Null)),
        ("over", assertion(&world, &key, |claims| claims["exp"] = json!(now - 31))),
        ("for ever", assertion(&world, &key, |claims| claims["exp"] = json!(now + 3600))),
        ("without an end", assertion(&world, &key, |claims| claims["exp"] = Value::Null)),
        ("later", assertion(&world, &key, |claims| claims["nbf"] = json!(now + 60))),
        ("without a name", assertion(&world, &key, |claims| claims["jti"] = Value::Null)),
    ] {
        assert_eq!(ask(token(&bad)).await, Err("invalid_client"), "{what}");
    }
    let fresh = || token(&assertion(&world, &key, |_| {}));
    assert_eq!(ask(format!("{}&client_id=app", fresh())).await, Err("invalid_client"));
    assert_eq!(ask(format!("{}{SECRET}", fresh())).await, Err("invalid_request"), "one proof at a time");
    assert_eq!(ask("token=x&client_id=keyed".to_owned()).await, Err("invalid_client"), "its id alone is no proof");
    assert_eq!(ask(format!("token=x&client_id=keyed{SECRET}")).await, Err("invalid_client"));
    let twelve = token(&assertion(&world, &key, |_| {}));
    let answers = join_all((0..12).map(|_| ask(twelve.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 1, "one of twelve at once");
}

#[tokio::test(start_paused = true)]
async fn a_pushed_request_is_for_its_client_once_and_for_a_short_time() {
    let world = world_with("");
    let push = async |form: &str| {
        let pushed = world.provider.push(&Params::parse(form.as_bytes()), None).await;
        pushed.map(|pushed| serde_json::to_value(pushed).unwrap()).map_err(|error| error.code.text())
    };
    let pushed = push(&format!("{}{SECRET}", query(""))).await.unwrap();
    assert_eq!(pushed["expires_in"], 90);
    let uri = pushed["request_uri"].as_str().unwrap().to_owned();
    let by = |client: &str, uri: &str| {
        let uri: String = url::form_urlencoded::byte_serialize(uri.as_bytes()).collect();
        format!("client_id={client}&request_uri={uri}&scope=openid+phone")
    };
    let (signed_in, _) = world.signed_in(7).await;
    let step = world.authorize(&by("app", &uri), Some(&signed_in)).await;
    let code = answer(&step, "code").expect("as if it had come by the browser");
    assert_eq!(answer(&step, "state").as_deref(), Some("s&="));
    assert!(world.token(&super::tests::form(&code, VERIFIER)).await.is_ok(), "with its PKCE");
    let again = world.authorize(&by("app", &uri), Some(&signed_in)).await;
    assert!(matches!(again, Step::Page(_)), "once: {again:?}");

    let other = push(&format!("{}{SECRET}", query(""))).await.unwrap();
    let stolen = world.authorize(&by("loose", other["request_uri"].as_str().unwrap()), Some(&signed_in)).await;
    assert!(matches!(stolen, Step::Page(_)), "another client: {stolen:?}");
    let late = push(&format!("{}{SECRET}", query(""))).await.unwrap();
    tokio::time::advance(Duration::from_secs(91)).await;
    let late = world.authorize(&by("app", late["request_uri"].as_str().unwrap()), Some(&signed_in)).await;
    assert!(matches!(late, Step::Page(_)), "{late:?}");

    for (form, error) in [
        (query(""), "invalid_client"),
        (format!("{}{SECRET}&request_uri={}", query(""), "urn:x"), "request_uri_not_supported"),
        (format!("{}{SECRET}", query("&prompt=never")), "invalid_request"),
        (format!("{}{SECRET}", query("").replace("%2Fcb", "%2Fother")), "invalid_request"),
        (format!("{}{SECRET}&state=2", query("")), "invalid_request"),
    ] {
        assert_eq!(push(&form).await, Err(error), "{form}");
    }
    let elsewhere = world.authorize(&by("app", "https://app.example.ru/request.jwt"), Some(&signed_in)).await;
    assert!(
        matches!(elsewhere, Step::Page(_) | Step::Reply(_)),
        "an address of others is never fetched: {elsewhere:?}"
    );
}

pub(super) const TELEVISION: &str = r#"
    [[oidc.clients]]
    id = "tv"
    name = "Television"
    auth = "none"
    redirect_uris = ["https://tv.example.ru/cb"]
    grants = ["device_code", "refresh_token"]
    scopes = ["openid", "profile"]
    id_token_alg = "ES256"
    [[oidc.clients]]
    id = "mytv"
    auth = "none"
    redirect_uris = ["https://tv.example.ru/cb"]
    grants = ["device_code"]
    allow = ["max:8"]
    id_token_alg = "ES256"
"#;

pub(super) async fn begun(world: &World, client: &str) -> Result<DeviceBegun, &'static str> {
    let form = format!("client_id={client}&scope=openid+profile+phone");
    let begun = world.provider.begin_device(&Params::parse(form.as_bytes()), None, "203.0.113.7".to_owned()).await;
    let begun = serde_json::to_value(begun.map_err(|error| error.code.text())?).unwrap();
    let text = |name: &str| begun[name].as_str().unwrap().to_owned();
    assert_eq!((&begun["expires_in"], &begun["interval"]), (&json!(600), &json!(5)));
    assert_eq!(text("verification_uri"), "https://id.example.ru/oauth2/device");
    assert!(text("verification_uri_complete").ends_with(&format!("?user_code={}", text("user_code"))));
    Ok(DeviceBegun { device: text("device_code"), user: text("user_code") })
}

pub(super) struct DeviceBegun {
    pub device: String,
    pub user: String,
}

/// What the device is told, five seconds later.
async fn polled(world: &World, client: &str, device: &str) -> Result<Value, &'static str> {
    tokio::time::advance(Duration::from_secs(5)).await;
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code";
    world.token(&format!("{grant}&client_id={client}&device_code={device}")).await
}

#[tokio::test(start_paused = true)]
async fn a_device_is_signed_in_by_whoever_types_its_code_and_agrees() {
    let world = world_with(TELEVISION);
    let (who, _) = world.signed_in(7).await;
    let tv = begun(&world, "tv").await.unwrap();
    assert!(tv.user.len() == 9 && tv.user.bytes().all(|byte| b"BCDFGHJKLMNPQRSTVWXZ-".contains(&byte)), "{}", tv.user);
    assert_eq!(polled(&world, "tv", &tv.device).await, Err("authorization_pending"));
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=tv";
    assert_eq!(world.token(&format!("{grant}&device_code={}", tv.device)).await, Err("slow_down"));
    let typed = tv.user.to_ascii_lowercase().replace('-', " ");
    let question = world.provider.device(&typed).await.unwrap().unwrap();
    let shown = (question.user_code.as_str(), question.client_name.as_str(), question.place.as_str());
    assert_eq!(shown, (tv.user.as_str(), "Television", "203.0.113.7"));
    assert_eq!(question.scope, ["openid", "profile"], "phone is not the client's");
    assert_eq!(polled(&world, "mytv", &tv.device).await, Err("expired_token"), "of another client");
    assert_eq!(world.provider.decide_device(&typed, true, &who).await.unwrap(), DeviceAnswer::Done);
    assert_eq!(world.provider.decide_device(&typed, false, &who).await.unwrap(), DeviceAnswer::Gone, "once");
    let tokens = polled(&world, "tv", &tv.device).await.unwrap();
    assert_eq!(tokens["scope"], "openid profile");
    assert!(tokens["refresh_token"].is_string() && tokens["id_token"].is_string());
    assert_eq!(polled(&world, "tv", &tv.device).await, Err("invalid_grant"), "once");

    let twelve = begun(&world, "tv").await.unwrap();
    let answers = join_all((0..12).map(|at| world.provider.decide_device(&twelve.user, at % 2 == 0, &who))).await;
    assert_eq!(answers.into_iter().filter(|answer| *answer == Ok(DeviceAnswer::Done)).count(), 1, "the first answer");
}

#[tokio::test(start_paused = true)]
async fn a_device_that_is_refused_late_or_not_theirs_gets_nothing() {
    let world = world_with(TELEVISION);
    let (who, _) = world.signed_in(7).await;
    assert_eq!(begun(&world, "loose").await.err(), Some("invalid_client"));
    let refused = begun(&world, "tv").await.unwrap();
    assert_eq!(world.provider.decide_device(&refused.user, false, &who).await.unwrap(), DeviceAnswer::Done);
    assert_eq!(polled(&world, "tv", &refused.device).await, Err("access_denied"));
    let denied = begun(&world, "mytv").await.unwrap();
    assert_eq!(world.provider.decide_device(&denied.user, true, &who).await.unwrap(), DeviceAnswer::Denied);
    assert_eq!(polled(&world, "mytv", &denied.device).await, Err("authorization_pending"), "somebody else may come");
    let late = begun(&world, "tv").await.unwrap();
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(world.provider.decide_device(&late.user, true, &who).await.unwrap(), DeviceAnswer::Gone);
    assert_eq!(polled(&world, "tv", &late.device).await, Err("expired_token"));
    for typed in ["", "BCDF", "BCDF-GHJKL", "\u{451}"] {
        assert!(world.provider.device(typed).await.unwrap().is_none(), "{typed}");
    }
    let codes: std::collections::BTreeSet<String> =
        join_all((0..50).map(|_| begun(&world, "tv"))).await.into_iter().map(|begun| begun.unwrap().user).collect();
    assert_eq!(codes.len(), 50);
    let letters: std::collections::BTreeSet<char> = codes.iter().flat_map(|code| code.chars()).collect();
    assert_eq!(letters.len(), 21, "each of the twenty, and the dash: {letters:?}");
    let code = "grant_type=authorization_code&client_id=tv&code=x&redirect_uri=x&code_verifier=x";
    assert_eq!(world.token(code).await, Err("unauthorized_client"), "only what is in grants");
}

/// A proof of having the key, and what is changed of it.
pub(super) fn proof(
    world: &World,
    key: &SigningKey,
    endpoint: &str,
    change: impl FnOnce(&mut Value, &mut Value),
) -> String {
    let mut header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": key.public });
    let mut claims = json!({
        "htm": "POST", "htu": format!("https://id.example.ru/oauth2/{endpoint}?x=1"),
        "iat": world.provider.vault.unix_seconds(), "jti": world.provider.vault.name(),
    });
    change(&mut header, &mut claims);
    key.sign_under(&header, &claims).unwrap()
}

pub(super) fn es256() -> SigningKey {
    SigningKey::parse(SigningAlgorithm::Es256, &jws::generate(SigningAlgorithm::Es256).unwrap()).unwrap()
}

pub(super) fn posted(proof: &str) -> Option<DpopHeader<'_>> {
    Some(DpopHeader { proof, method: "POST" })
}

#[tokio::test(start_paused = true)]
async fn a_bound_token_is_worth_nothing_without_its_key() {
    let world = world_with("");
    let (key, stranger) = (es256(), es256());
    let (signed_in, _) = world.signed_in(7).await;
    let ask = async |form: String, proof: Option<&str>| {
        let answer = world.provider.token(&Params::parse(form.as_bytes()), None, proof.and_then(posted)).await;
        answer.map(|tokens| serde_json::to_value(tokens).unwrap()).map_err(|error| error.code.text())
    };
    let code = answer(&world.authorize(&query(""), Some(&signed_in)).await, "code").unwrap();
    let form = super::tests::form(&code, VERIFIER);
    let now = world.provider.vault.unix_seconds();
    for (what, bad) in [
        ("another method", proof(&world, &key, "token", |_, claims| claims["htm"] = json!("GET"))),
        ("another endpoint", proof(&world, &key, "userinfo", |_, _| {})),
        ("old", proof(&world, &key, "token", |_, claims| claims["iat"] = json!(now - 61))),
        ("of the future", proof(&world, &key, "token", |_, claims| claims["iat"] = json!(now + 61))),
        ("without a name", proof(&world, &key, "token", |_, claims| claims["jti"] = Value::Null)),
        ("of another type", proof(&world, &key, "token", |header, _| header["typ"] = json!("JWT"))),
        ("by another key", proof(&world, &key, "token", |header, _| header["jwk"] = stranger.public.clone())),
        ("with a private key", proof(&world, &key, "token", |header, _| header["jwk"]["d"] = json!("AA"))),
        ("none", "x.y.z".to_owned()),
    ] {
        assert_eq!(ask(form.clone(), Some(&bad)).await, Err("invalid_dpop_proof"), "{what}");
    }
    let good = proof(&world, &key, "token", |_, _| {});
    let tokens = ask(form, Some(&good)).await.expect("nothing of it has burnt the code");
    assert_eq!(tokens["token_type"], "DPoP");
    let access = tokens["access_token"].as_str().unwrap();
    let hash = id::encode(crate::base::id::Fingerprint::of(access.as_bytes()).bytes());
    let shown = async |proof: Option<String>| {
        let header = proof.as_deref().map(|proof| DpopHeader { proof, method: "POST" });
        world.provider.userinfo(access, header).await.map(|info| info.is_some()).map_err(|error| error.code.text())
    };
    assert_eq!(shown(None).await, Ok(false), "as a bearer token");
    let with =
        |key: &SigningKey, hash: &str| Some(proof(&world, key, "userinfo", |_, claims| claims["ath"] = json!(hash)));
    assert_eq!(shown(with(&key, &hash)).await, Ok(true));
    assert_eq!(shown(with(&stranger, &hash)).await, Ok(false), "another key");
    assert_eq!(shown(with(&key, "AAAA")).await, Err("invalid_dpop_proof"), "of another token");
    let once = with(&key, &hash);
    assert_eq!((shown(once.clone()).await, shown(once).await), (Ok(true), Err("invalid_dpop_proof")), "once");
    let told = format!("token={access}&client_id=app{SECRET}");
    let told = world.provider.introspect(&Params::parse(told.as_bytes()), None).await.unwrap();
    assert_eq!((&told["token_type"], told["cnf"]["jkt"].as_str().unwrap().len()), (&json!("DPoP"), 43));

    let again = format!(
        "grant_type=refresh_token&refresh_token={}&client_id=app{SECRET}",
        tokens["refresh_token"].as_str().unwrap()
    );
    for other in [None, Some(proof(&world, &stranger, "token", |_, _| {}))] {
        assert_eq!(ask(again.clone(), other.as_deref()).await, Err("invalid_dpop_proof"));
    }
    assert_eq!(ask(again, Some(&proof(&world, &key, "token", |_, _| {}))).await.unwrap()["token_type"], "DPoP");
}

#[tokio::test(start_paused = true)]
async fn a_client_may_be_made_to_bind_its_tokens() {
    let world = world_with(
        r#"
        [[oidc.clients]]
        id = "bound"
        secret = "0123456789abcdef"
        redirect_uris = ["https://bound.example.ru/cb"]
        pkce = "optional"
        dpop = "required"
        id_token_alg = "ES256"
        "#,
    );
    let (signed_in, _) = world.signed_in(7).await;
    let asked = "client_id=bound&redirect_uri=https://bound.example.ru/cb&response_type=code&scope=openid";
    let code = answer(&world.authorize(asked, Some(&signed_in)).await, "code").unwrap();
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri=https://bound.example.ru/cb&client_id=bound{SECRET}"
    );
    assert_eq!(world.token(&form).await, Err("invalid_dpop_proof"));
    let good = proof(&world, &es256(), "token", |_, _| {});
    assert!(world.provider.token(&Params::parse(form.as_bytes()), None, posted(&good)).await.is_ok());
}
