//! One provider, from the request to the tokens, without HTTP.

use super::*;
use crate::base::clock::Clock;
use crate::base::id::{self, Fingerprint};
use crate::base::rng::Rng;
use crate::config::Config;
use crate::session::{Phone, SessionId, SignedIn};
use crate::signin::Identity;
use crate::store::{MemoryStore, Seals, Store};
use futures_util::future::join_all;
use serde_json::{Value, json};
use std::sync::Mutex;

const CLIENTS: &str = r#"
    [groups]
    admins = ["max:7"]
    [[oidc.clients]]
    id = "app"
    name = "App"
    secret = "0123456789abcdef"
    redirect_uris = ["https://app.example.ru/cb"]
    grants = ["authorization_code", "refresh_token"]
    scopes = ["openid", "profile", "phone", "groups", "offline_access"]
    post_logout_redirect_uris = ["https://app.example.ru/bye"]
    backchannel_logout_uri = "https://app.example.ru/out"
    id_token_alg = "ES256"
    email = "synthetic"
    [[oidc.clients]]
    id = "loose"
    secret = "0123456789abcdef"
    redirect_uris = ["https://loose.example.ru/cb"]
    pkce = "optional"
    subject = "public"
    consent = "never"
    id_token_alg = "ES256"
    [[oidc.clients]]
    id = "mine"
    secret = "0123456789abcdef"
    redirect_uris = ["https://mine.example.ru/cb"]
    pkce = "optional"
    allow = ["max:8"]
    id_token_alg = "ES256"
"#;

pub(super) const VERIFIER: &str = "0123456789012345678901234567890123456789012";

pub(super) struct World {
    pub provider: Provider,
    pub sessions: Arc<Sessions>,
    pub flow: Fingerprint,
    told: Arc<Told>,
}

/// What apps were told.
#[derive(Default)]
pub(super) struct Told(Mutex<Vec<LogoutNotice>>);

impl Deliver for Told {
    fn deliver(&self, notice: LogoutNotice) {
        self.0.lock().unwrap().push(notice);
    }
}

fn world() -> World {
    world_with("")
}

pub(super) fn world_with(more: &str) -> World {
    let (clock, rng) = (Clock::fixed(1_700_000_000_000), Rng::system());
    let seals = Seals::new(&[1; 32], &rng).unwrap();
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new(clock.clone(), 10_000));
    let ttl = Duration::from_secs(86_400);
    let sessions = Sessions::new(seals.session, Arc::clone(&store), clock.clone(), rng.clone(), ttl, Phone::Kept);
    let vault = Vault::new(store, seals.store, clock, rng);
    let (sessions, told) = (Arc::new(sessions.with_people(vault.clone())), Arc::<Told>::default());
    let config = Config::of(&format!("{CLIENTS}{more}"));
    let (issuer, groups) = ("https://id.example.ru".to_owned(), config.groups.clone());
    let mut provider = Provider::new(
        &config.oidc,
        (issuer.clone(), issuer),
        groups,
        Arc::clone(&sessions),
        vault.clone(),
        Arc::<Told>::clone(&told),
    );
    // No RSA, whose keys take a tenth of a second each.
    provider.keys = Arc::new(Keys::new(vault, Duration::from_secs(86_400), vec![SigningAlgorithm::Es256]));
    World { provider, sessions, flow: Fingerprint::of(b"browser"), told }
}

impl World {
    pub async fn signed_in(&self, id: i64) -> (SignedIn, String) {
        let (name, phone) = ("Иван Петров".to_owned(), Some("+79991234567".to_owned()));
        let (first_name, last_name) = (Some("Иван".to_owned()), None);
        let identity = Identity {
            id,
            name,
            first_name,
            last_name,
            phone,
            photo_url: None,
            driver: crate::signin::DriverName::AccountQr,
            apart: None,
        };
        let (_, cookie) = self.sessions.begin(identity).unwrap();
        (self.sessions.read(&cookie).await.unwrap(), cookie)
    }

    pub async fn authorize(&self, query: &str, signed_in: Option<&SignedIn>) -> Step {
        self.provider.authorize(&Params::parse(query.as_bytes()), signed_in, &self.flow).await.unwrap()
    }

    pub async fn token(&self, form: &str) -> Result<Value, &'static str> {
        let answer = self.provider.token(&Params::parse(form.as_bytes()), None, None).await;
        answer.map(|tokens| serde_json::to_value(tokens).unwrap()).map_err(|error| error.code.text())
    }

    /// A code for app, scanned for.
    pub async fn code(&self) -> String {
        let Step::SignIn(request) = self.authorize(&query(""), None).await else { panic!("no sign-in") };
        let (signed_in, _) = self.signed_in(7).await;
        let step = self.provider.resume(&request, Some(&signed_in), &self.flow).await.unwrap();
        answer(&step, "code").expect("a code")
    }
}

pub(super) fn query(more: &str) -> String {
    let challenge = id::encode(Fingerprint::of(VERIFIER.as_bytes()).bytes());
    format!(
        "client_id=app&redirect_uri=https%3A%2F%2Fapp.example.ru%2Fcb&response_type=code&nonce=n&state=s%26%3D\
         &scope=openid%20openid%20profile%20phone%20groups%20email&code_challenge={challenge}&code_challenge_method=S256{more}"
    )
}

pub(super) fn loose(more: &str) -> String {
    format!("client_id=loose&redirect_uri=https://loose.example.ru/cb&response_type=code&scope=openid{more}")
}

pub(super) fn form(code: &str, verifier: &str) -> String {
    format!(
        "grant_type=authorization_code&code={code}&redirect_uri=https://app.example.ru/cb&code_verifier={verifier}\
         &client_id=app&client_secret=0123456789abcdef"
    )
}

pub(super) fn refresh(token: &str) -> String {
    format!("grant_type=refresh_token&refresh_token={token}&client_id=app&client_secret=0123456789abcdef")
}

/// Of an answer to the client.
pub(super) fn answer(step: &Step, name: &str) -> Option<String> {
    let Step::Reply(reply) = step else { panic!("{step:?}") };
    let value = |name| reply.params.iter().find(|(found, _)| *found == name).map(|(_, value)| value.clone());
    assert_eq!(value("iss").as_deref(), Some("https://id.example.ru"), "on success and on error");
    value(name)
}

pub(super) fn payload(token: &Value) -> Value {
    let claims = token.as_str().unwrap().split('.').nth(1).unwrap();
    serde_json::from_slice(&id::decode(claims).unwrap()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn from_a_request_to_tokens() {
    let world = world();
    let Step::SignIn(request) = world.authorize(&query(""), None).await else { panic!("no sign-in") };
    assert!(world.provider.question(&request, &Fingerprint::of(b"another")).await.unwrap().is_none());
    assert_eq!(world.provider.question(&request, &world.flow).await.unwrap().unwrap().client_host, "app.example.ru");
    let (signed_in, cookie) = world.signed_in(7).await;
    let stolen = world.provider.resume(&request, Some(&signed_in), &Fingerprint::of(b"another")).await.unwrap();
    assert_eq!(stolen, Step::Gone, "the id of a request is worth nothing in another browser");
    let step = world.provider.resume(&request, Some(&signed_in), &world.flow).await.unwrap();
    assert_eq!(answer(&step, "state").as_deref(), Some("s&="), "byte for byte");
    let code = answer(&step, "code").unwrap();
    assert_eq!(world.provider.resume(&request, Some(&signed_in), &world.flow).await.unwrap(), Step::Gone, "once");

    let tokens = world.token(&form(&code, VERIFIER)).await.unwrap();
    assert_eq!(tokens["scope"], "openid profile phone groups", "email is not among the client's scopes");
    let claims = payload(&tokens["id_token"]);
    for (name, value) in [
        ("iss", json!("https://id.example.ru")),
        ("aud", json!("app")),
        ("nonce", json!("n")),
        ("name", json!("Иван Петров")),
        ("given_name", json!("Иван")),
        ("phone_number", json!("+79991234567")),
        ("phone_number_verified", json!(true)),
        ("groups", json!(["admins"])),
        ("auth_time", json!(signed_in.session.auth_time / 1000)),
    ] {
        assert_eq!(claims[name], value, "{name}");
    }
    let claims = claims.as_object().unwrap();
    assert!(!claims.contains_key("family_name") && !claims.contains_key("email") && !claims.contains_key("max_id"));
    assert_ne!(claims["sub"], "7", "pairwise");
    let userinfo = world.provider.userinfo(tokens["access_token"].as_str().unwrap(), None).await.unwrap().unwrap();
    assert_eq!(userinfo["sub"], claims["sub"]);
    assert_eq!(userinfo["name"], claims["name"], "in both places");
    for (name, value) in claims.iter().chain(&userinfo) {
        let said = !value.is_null() && value.as_str() != Some("") && value.as_array().is_none_or(|all| !all.is_empty());
        assert!(said, "{name} is {value}: what is not known is left out");
    }

    // Ended with the session, since offline_access was not asked for.
    world.sessions.end(&cookie).await.unwrap();
    assert!(world.provider.userinfo(tokens["access_token"].as_str().unwrap(), None).await.unwrap().is_none());
    assert_eq!(world.token(&refresh(tokens["refresh_token"].as_str().unwrap())).await, Err("invalid_grant"));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_wrong_is_told_to_whom_it_may_be_told() {
    let world = world();
    for bad in [
        query("").replace("client_id=app", "client_id=nobody"),
        query("").replace("client_id=app&", ""),
        query("").replace("%2Fcb", "%2Fcb%2F"),
        query("&redirect_uri=https%3A%2F%2Fapp.example.ru%2Fcb"),
        query("&client_id=app"),
    ] {
        let step = world.authorize(&bad, None).await;
        assert!(matches!(step, Step::Page(_)), "no redirect: {bad} {step:?}");
    }
    for (bad, error) in [
        (query("").replace("response_type=code", "response_type=token"), "unsupported_response_type"),
        (query("").replace("response_type=code&", ""), "invalid_request"),
        (query("").replace("scope=openid%20openid%20", "scope="), "invalid_scope"),
        (query("").replace("S256", "plain"), "invalid_request"),
        (query("").replace("&code_challenge_method=S256", ""), "invalid_request"),
        (query("").split("&code_challenge=").next().unwrap().to_owned(), "invalid_request"),
        (query("&request=x"), "request_not_supported"),
        (query("&request_uri=https://x"), "request_uri_not_supported"),
        (query("&nonce=m"), "invalid_request"),
        (query("&prompt=none%20login"), "invalid_request"),
        (query("&prompt=maybe"), "invalid_request"),
        (query("&max_age=x"), "invalid_request"),
        (query("&claims=%5B%5D"), "invalid_request"),
        (query("&id_token_hint=x.y.z"), "invalid_request"),
        (query("&resource=https://other"), "invalid_target"),
        (query("&response_mode=fragment"), "invalid_request"),
        (query("&prompt=none"), "login_required"),
    ] {
        let step = world.authorize(&bad, None).await;
        assert_eq!(answer(&step, "error").as_deref(), Some(error), "{bad}");
    }
    assert!(matches!(world.authorize(&query("&unknown=1&display=popup&acr_values=x"), None).await, Step::SignIn(_)));
}

#[tokio::test(start_paused = true)]
async fn a_session_spares_the_scan_unless_the_client_wants_one() {
    let world = world();
    let (signed_in, _) = world.signed_in(7).await;
    tokio::time::advance(Duration::from_secs(100)).await;
    let (query, who) = (|more: &str| query(more), Some(&signed_in));
    // A new app asks first; silently it is told so.
    let Step::Ask(question) = world.authorize(&query(""), who).await else { panic!("not asked") };
    let silent = world.authorize(&query("&prompt=none"), who).await;
    assert_eq!(answer(&silent, "error").as_deref(), Some("consent_required"));
    let declined = world.authorize(&query(""), who).await;
    let Step::Ask(other) = declined else { panic!("not asked") };
    let declined = world.provider.answered(&other.request, false, who, &world.flow).await.unwrap();
    assert_eq!(answer(&declined, "error").as_deref(), Some("access_denied"));
    let agreed = world.provider.answered(&question.request, true, who, &world.flow).await.unwrap();
    assert!(answer(&agreed, "code").is_some());
    for more in ["", "&prompt=none", "&max_age=1000", "&max_age=1000&prompt=none"] {
        let step = world.authorize(&query(more), who).await;
        assert!(answer(&step, "code").is_some(), "remembered: {more}");
    }
    for more in ["&prompt=login", "&prompt=select_account", "&max_age=1", "&max_age=0"] {
        let step = world.authorize(&query(more), who).await;
        assert!(matches!(step, Step::SignIn(_)), "{more}: {step:?}");
    }
    let silent = world.authorize(&query("&max_age=1&prompt=none"), who).await;
    assert_eq!(answer(&silent, "error").as_deref(), Some("login_required"));
    assert!(matches!(world.authorize(&query("&prompt=consent"), who).await, Step::Ask(_)));
    assert!(answer(&world.authorize(&loose(""), who).await, "code").is_some(), "an app of one's own does not ask");
}

#[tokio::test(start_paused = true)]
async fn who_may_not_is_turned_away_and_may_come_as_somebody_else() {
    let world = world();
    let (signed_in, _) = world.signed_in(7).await;
    let query = "client_id=mine&redirect_uri=https://mine.example.ru/cb&response_type=code&scope=openid";
    let Step::Denied(question) = world.authorize(query, Some(&signed_in)).await else { panic!("let in") };
    let forced = world.provider.answered(&question.request, true, Some(&signed_in), &world.flow).await.unwrap();
    assert!(matches!(forced, Step::Denied(_)));
    let silent = world.authorize(&format!("{query}&prompt=none"), Some(&signed_in)).await;
    assert_eq!(answer(&silent, "error").as_deref(), Some("access_denied"));
    let (other, _) = world.signed_in(8).await;
    let step = world.provider.resume(&question.request, Some(&other), &world.flow).await.unwrap();
    assert!(answer(&step, "code").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_code_is_for_its_client_its_address_and_its_verifier_once() {
    let world = world();
    let code = world.code().await;
    let fine = form(&code, VERIFIER);
    for (bad, error) in [
        (fine.replace("client_secret=0123", "client_secret=x123"), "invalid_client"),
        (fine.replace("client_id=app", "client_id=loose"), "invalid_grant"),
        (fine.replace("app.example.ru/cb", "app.example.ru/other"), "invalid_grant"),
        (form(&code, &"x".repeat(43)), "invalid_grant"),
        (form(&code, ""), "invalid_grant"),
        (form("other", VERIFIER), "invalid_grant"),
        (format!("{fine}&code=x"), "invalid_request"),
        (fine.replace("authorization_code", "password"), "unsupported_grant_type"),
        (fine.replace("grant_type", "x"), "invalid_request"),
    ] {
        assert_eq!(world.token(&bad).await, Err(error), "{bad}");
    }
    // None of these has used it up.
    let tokens = world.token(&fine).await.unwrap();
    let access = tokens["access_token"].as_str().unwrap();
    assert!(world.provider.userinfo(access, None).await.unwrap().is_some());
    assert_eq!(world.token(&fine).await, Err("invalid_grant"));
    assert!(world.provider.userinfo(access, None).await.unwrap().is_none(), "what came of it is withdrawn");
    assert_eq!(world.token(&refresh(tokens["refresh_token"].as_str().unwrap())).await, Err("invalid_grant"));

    let late = world.code().await;
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(world.token(&form(&late, VERIFIER)).await, Err("invalid_grant"));
    let raced = form(&world.code().await, VERIFIER);
    let outcomes = join_all((0..12).map(|_| world.token(&raced))).await;
    assert!(outcomes.iter().filter(|outcome| outcome.is_ok()).count() <= 1);
}

/// RFC 9700 §4.8.2: whoever takes the challenge out of a request cannot use a verifier to pass.
#[tokio::test(start_paused = true)]
async fn a_verifier_without_a_challenge_is_a_downgrade() {
    let world = world();
    let (signed_in, _) = world.signed_in(7).await;
    let code = answer(&world.authorize(&loose(""), Some(&signed_in)).await, "code").unwrap();
    let form = format!(
        "grant_type=authorization_code&code={code}&redirect_uri=https://loose.example.ru/cb&client_id=loose\
         &client_secret=0123456789abcdef"
    );
    assert_eq!(world.token(&format!("{form}&code_verifier={VERIFIER}")).await, Err("invalid_grant"));
    let tokens = world.token(&form).await.unwrap();
    assert_eq!(payload(&tokens["id_token"])["sub"], "7", "public");
    assert_eq!(tokens.get("refresh_token"), None, "not in its grants");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_is_good_once_and_takes_its_family_with_it() {
    let world = world();
    let first = world.token(&form(&world.code().await, VERIFIER)).await.unwrap();
    let token = |answer: &Value| answer["refresh_token"].as_str().unwrap().to_owned();
    let auth_time = payload(&first["id_token"])["auth_time"].clone();
    tokio::time::advance(Duration::from_secs(300)).await;
    let second = world.token(&refresh(&token(&first))).await.unwrap();
    assert_eq!(payload(&second["id_token"])["auth_time"], auth_time, "the moment of the scan");
    // An answer that was lost: the same request again, at once.
    let again = world.token(&refresh(&token(&first))).await.unwrap();
    let third = world.token(&refresh(&token(&again))).await.unwrap();
    let narrowed = format!("{}&scope=openid", refresh(&token(&third)));
    let narrowed = world.token(&narrowed).await.unwrap();
    assert_eq!(narrowed["scope"], "openid");
    let wider = format!("{}&scope=openid%20max:id", refresh(&token(&narrowed)));
    assert_eq!(world.token(&wider).await, Err("invalid_scope"));
    assert!(world.provider.userinfo(narrowed["access_token"].as_str().unwrap(), None).await.unwrap().is_some());
    assert_eq!(world.token(&refresh(&token(&first))).await, Err("invalid_grant"), "its successor was used");
    assert_eq!(world.token(&refresh(&token(&narrowed))).await, Err("invalid_grant"), "the family is gone");
    assert!(world.provider.userinfo(narrowed["access_token"].as_str().unwrap(), None).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_client_asks_about_its_own_tokens_and_takes_them_back() {
    let world = world();
    let tokens = world.token(&form(&world.code().await, VERIFIER)).await.unwrap();
    let about = |token: &Value, client: &str| {
        let text = format!("token={}&client_id={client}&client_secret=0123456789abcdef", token.as_str().unwrap());
        Params::parse(text.as_bytes())
    };
    for token in [&tokens["access_token"], &tokens["refresh_token"]] {
        assert_eq!(world.provider.introspect(&about(token, "app"), None).await.unwrap()["active"], true);
        let stranger = world.provider.introspect(&about(token, "loose"), None).await.unwrap();
        assert_eq!(stranger, json!({ "active": false }));
        world.provider.revoke(&about(token, "loose"), None).await.unwrap();
    }
    assert!(world.provider.userinfo(tokens["access_token"].as_str().unwrap(), None).await.unwrap().is_some());
    world.provider.revoke(&about(&tokens["refresh_token"], "app"), None).await.unwrap();
    let gone = world.provider.introspect(&about(&tokens["access_token"], "app"), None).await.unwrap();
    assert_eq!(gone, json!({ "active": false }));
    assert!(world.provider.userinfo(tokens["access_token"].as_str().unwrap(), None).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn the_cookie_decides_whose_session_ends_and_the_hint_whether_they_are_asked() {
    let world = world();
    let code = world.code().await;
    let tokens = world.token(&form(&code, VERIFIER)).await.unwrap();
    let hint = tokens["id_token"].as_str().unwrap();
    let (stranger, _) = world.signed_in(9).await;
    let step = async |query: String, who: Option<&SignedIn>| {
        world.provider.end_session(&Params::parse(query.as_bytes()), who).await.unwrap()
    };
    let bye = "post_logout_redirect_uri=https://app.example.ru/bye&state=x";
    let location = || Some("https://app.example.ru/bye?state=x".to_owned());
    assert_eq!(step(format!("id_token_hint={hint}&{bye}"), None).await, LogoutStep::End { location: location() });
    let asked = step(format!("id_token_hint={hint}&{bye}"), Some(&stranger)).await;
    assert_eq!(asked, LogoutStep::Ask { location: location() }, "somebody else is signed in here");
    assert_eq!(step(String::new(), Some(&stranger)).await, LogoutStep::Ask { location: None });
    for bad in [
        "post_logout_redirect_uri=https://evil.example/".to_owned(),
        format!("id_token_hint={hint}&post_logout_redirect_uri=https://app.example.ru/bye?x=1"),
        format!("id_token_hint={hint}x&{bye}"),
        format!("id_token_hint={hint}&client_id=loose"),
        bye.to_owned(),
    ] {
        assert!(matches!(step(bad.clone(), Some(&stranger)).await, LogoutStep::Refused(_)), "{bad}");
    }
    let ticket = world.provider.ticket("https://app.example.ru/bye?state=x").unwrap();
    assert_eq!(world.provider.location(&ticket), location());
    assert_eq!(world.provider.location(tokens["access_token"].as_str().unwrap()), None, "of another purpose");
    tokio::time::advance(Duration::from_secs(601)).await;
    assert_eq!(world.provider.location(&ticket), None);
}

#[tokio::test(start_paused = true)]
async fn names_differ_between_clients_and_stay_the_same() {
    let world = world();
    let client = |id: &str| world.provider.clients.get(id).unwrap();
    let subject = |id: &str, who: &str| claims::subject(&client(id), who, &world.provider.vault);
    assert_eq!(subject("app", "7"), subject("app", "7"));
    assert_ne!(subject("app", "7"), subject("mine", "7"));
    assert_ne!(subject("app", "7"), subject("app", "8"));
    assert!(subject("app", "7").is_ascii() && subject("app", "7").len() <= 255);
    let (signed_in, _) = world.signed_in(7).await;
    assert_ne!(world.provider.sid(&client("app"), &signed_in), world.provider.sid(&client("mine"), &signed_in));
}

#[tokio::test(start_paused = true)]
async fn an_app_hears_once_that_a_session_is_over() {
    let world = world();
    let (signed_in, cookie) = world.signed_in(7).await;
    world.sessions.begun(&cookie, "Firefox, Linux").await;
    let step = world.authorize(&query(""), Some(&signed_in)).await;
    assert!(world.provider.apps_of(&signed_in).await.unwrap().is_empty(), "nothing was redeemed yet");
    let tokens = world.token(&form(&answer(&step, "code").unwrap(), VERIFIER)).await.unwrap();
    let apps = world.provider.apps_of(&signed_in).await.unwrap();
    assert_eq!((apps.len(), apps[0].name.as_str(), apps[0].host.as_str()), (1, "App", "app.example.ru"));

    world.provider.ended("7", &[SessionId::of("another")]).await;
    assert!(world.told.0.lock().unwrap().is_empty(), "a session of no app");
    for _ in 0..2 {
        world.provider.ended("7", std::slice::from_ref(&signed_in.id)).await;
    }
    let told = std::mem::take(&mut *world.told.0.lock().unwrap());
    assert_eq!((told.len(), told[0].uri.as_str()), (1, "https://app.example.ru/out"), "once");
    let head: Value = serde_json::from_slice(&id::decode(told[0].token.split('.').next().unwrap()).unwrap()).unwrap();
    assert_eq!(head["typ"], "logout+jwt");
    let (said, id_token) = (payload(&json!(told[0].token)), payload(&tokens["id_token"]));
    for claim in ["iss", "aud", "sub", "sid"] {
        assert_eq!(said[claim], id_token[claim], "{claim}");
    }
    assert_eq!(said["events"], json!({"http://schemas.openid.net/event/backchannel-logout": {}}));
    assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 120);
    assert!(said.get("nonce").is_none() && said["jti"].as_str().unwrap().len() > 20);
    let keys = world.provider.keys.set().await.unwrap();
    assert!(super::jws::verified(keys.all(), "logout+jwt", &told[0].token).is_some(), "by a key of the JWKS");
    assert!(world.provider.hinted(&keys, &told[0].token, None).is_none(), "a logout token is no hint of who is meant");
}

#[tokio::test(start_paused = true)]
async fn the_sites_backend_hears_by_the_names_that_it_knows() {
    let World { provider, sessions, flow, told } = world();
    let uri = "https://example.ru/max/logout".to_owned();
    let world = World { provider: provider.with_told(Some(uri.clone())), sessions, flow, told };
    // The site's keys, which are RSA, are looked for and not there.
    let (signed_in, _) = world.signed_in(7).await;
    world.provider.ended("7", std::slice::from_ref(&signed_in.id)).await;
    assert!(world.told.0.lock().unwrap().is_empty());

    let World { mut provider, sessions, flow, told } = world;
    let (vault, day) = (provider.vault.clone(), Duration::from_secs(86_400));
    provider.keys = Arc::new(Keys::new(vault, day, vec![SigningAlgorithm::Rs256]));
    let world = World { provider, sessions, flow, told };
    world.provider.ended("7", std::slice::from_ref(&signed_in.id)).await;
    let told = std::mem::take(&mut *world.told.0.lock().unwrap());
    assert_eq!((told.len(), told[0].uri.as_str()), (1, uri.as_str()));
    let (identity, _) = world.provider.site_token(&signed_in).await.unwrap();
    let (said, identity) = (payload(&json!(told[0].token)), payload(&json!(identity)));
    for claim in ["iss", "sub", "sid"] {
        assert_eq!(said[claim], identity[claim], "{claim}");
    }
    assert_eq!(said["aud"], uri.as_str(), "no backend takes it for an identity token");
    let keys = world.provider.keys.set().await.unwrap();
    assert!(super::jws::verified(keys.all(), "logout+jwt", &told[0].token).is_some(), "by a key of the JWKS");
}

#[tokio::test(start_paused = true)]
async fn signing_out_everywhere_ends_what_nobody_listed_too() {
    let world = world();
    let mut signed_in = Vec::new();
    for place in 0..20 {
        let (who, cookie) = world.signed_in(7).await;
        if place > 0 {
            world.sessions.begun(&cookie, &format!("browser {place}")).await;
        }
        signed_in.push((who, cookie));
    }
    let (stranger, _) = world.signed_in(8).await;
    let places = world.sessions.places(&signed_in[0].0).await.unwrap();
    assert_eq!(places.len(), crate::session::PLACES);
    let ended = world.sessions.end_all(&signed_in[0].0).await.unwrap();
    assert!(ended.contains(&signed_in[0].0.id) && ended.contains(&signed_in[19].0.id), "{}", ended.len());
    for (who, cookie) in &signed_in {
        assert!(world.sessions.read(cookie).await.is_none() && world.sessions.is_over(who).await);
    }
    assert!(!world.sessions.is_over(&stranger).await);
    assert!(world.sessions.places(&signed_in[0].0).await.unwrap().is_empty());
    tokio::time::advance(Duration::from_millis(2)).await;
    let (_, again) = world.signed_in(7).await;
    assert!(world.sessions.read(&again).await.is_some(), "a new sign-in is none of those");
}

#[tokio::test(start_paused = true)]
async fn a_hint_is_for_one_person_and_another_may_only_try_once_more() {
    let world = world();
    let tokens = world.token(&form(&world.code().await, VERIFIER)).await.unwrap();
    let hint = format!("&id_token_hint={}", tokens["id_token"].as_str().unwrap());
    let ((meant, _), (other, _)) = (world.signed_in(7).await, world.signed_in(8).await);
    tokio::time::advance(Duration::from_secs(1)).await;
    let Step::SignIn(request) = world.authorize(&query(&hint), Some(&other)).await else { panic!("no sign-in") };
    let silent = world.authorize(&query(&format!("{hint}&prompt=none")), Some(&other)).await;
    assert_eq!(answer(&silent, "error").as_deref(), Some("login_required"));
    assert!(answer(&world.authorize(&query(&hint), Some(&meant)).await, "code").is_some(), "agreed before");
    let (again, _) = world.signed_in(8).await;
    let step = world.provider.resume(&request, Some(&again), &world.flow).await.unwrap();
    assert_eq!(answer(&step, "error").as_deref(), Some("login_required"), "scanned for this, and not the one");
}
