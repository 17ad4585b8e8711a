//! Where something stops: lengths, moments, what is good at the edge and what is not behind it.

use super::client_tests::{TELEVISION, asserted, assertion, begun, es256, keyed, posted, proof};
use super::request::{Refusal, proves, read};
use super::tests::{VERIFIER, World, answer, form, loose, payload, query, refresh, world_with};
use super::*;
use crate::base::id::{self, Fingerprint};
use crate::config::{Client, Config};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

const SECRET: &str = "&client_secret=0123456789abcdef";

fn world() -> World {
    world_with("")
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

fn error(step: &Step) -> Option<String> {
    answer(step, "error")
}

async fn second() {
    tokio::time::advance(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_carried_for_an_app_has_a_length() {
    let world = world();
    let state = |length| query("").replace("state=s%26%3D", &format!("state={}", long(length)));
    let nonce = |length| query("").replace("nonce=n", &format!("nonce={}", long(length)));
    for fine in [state(4096), nonce(1024), query("&max_age=4294967295")] {
        assert!(matches!(world.authorize(&fine, None).await, Step::SignIn(_)));
    }
    for bad in [state(4097), nonce(1025), query("&max_age=4294967296"), query("&max_age=-1")] {
        let step = world.authorize(&bad, None).await;
        assert_eq!(error(&step).as_deref(), Some("invalid_request"));
        assert_eq!(answer(&step, "state").is_none(), bad == state(4097), "a state that is too long goes nowhere");
    }
}

#[test]
fn a_request_is_read_into_what_it_asks_for() {
    let client = r#"
        [[oidc.clients]]
        id = "app"
        secret = "0123456789abcdef"
        redirect_uris = ["https://app.example.ru/cb"]
        resources = ["https://api.example.ru"]
    "#;
    let client = Clients::new(Config::of(client).oidc.clients).get("app").unwrap();
    let hint = |token: &str, client: &Client| (token == "ours" && client.id == "app").then(|| "subject".to_owned());
    let read = |more: &str| read(&Params::parse(query(more).as_bytes()), &client, hint);
    let plain = read("").unwrap();
    assert_eq!((plain.client.as_str(), plain.nonce.as_deref(), plain.subject), ("app", Some("n"), None));
    assert_eq!((plain.back.mode, plain.back.state.as_deref()), (ResponseMode::Query, Some("s&=")));
    assert_eq!((plain.locale, plain.max_age, plain.claims.len(), plain.resources.len()), (None, None, 0, 0));
    assert!(!plain.prompt.none && !plain.prompt.login && !plain.prompt.consent);
    for (prompt, none, login, consent) in [
        ("none", true, false, false),
        ("login", false, true, false),
        ("select_account", false, true, false),
        ("consent", false, false, true),
        ("login%20consent", false, true, true),
    ] {
        let read = read(&format!("&prompt={prompt}")).unwrap().prompt;
        assert_eq!((read.none, read.login, read.consent), (none, login, consent), "{prompt}");
    }
    let asked = read("&ui_locales=en-GB-oxendict-long%20ru&max_age=7&id_token_hint=ours").unwrap();
    assert_eq!((asked.locale.as_deref(), asked.max_age), (Some("en-GB-oxendict-l"), Some(7)));
    assert_eq!(asked.subject.as_deref(), Some("subject"));
    assert_eq!(read("&response_mode=form_post").unwrap().back.mode, ResponseMode::FormPost);
    let api = "&resource=https://api.example.ru";
    assert_eq!(read(&format!("{api}{api}")).unwrap().resources.len(), 2);
    assert!(matches!(read(&format!("{api}&resource=https://other")), Err(Refusal::Client(..))));
    let claims = |claims: Value| {
        let encoded: String = url::form_urlencoded::byte_serialize(claims.to_string().as_bytes()).collect();
        read(&format!("&claims={encoded}")).map(|read| read.claims).ok()
    };
    let both = claims(json!({"userinfo": {"name": null}, "id_token": {"picture": {"essential": true}}, "other": 1}));
    assert_eq!(both, Some(vec!["name".to_owned(), "picture".to_owned()]));
    assert_eq!(claims(json!({"userinfo": null})), Some(vec![]));
    assert_eq!((claims(json!({"userinfo": []})), claims(json!({"id_token": 1}))), (None, None));
    let named = |length| json!({"userinfo": {long(length): null}});
    assert_eq!((claims(named(64)).unwrap().len(), claims(named(65)).unwrap().len()), (1, 0));
    let many: serde_json::Map<String, Value> = (0..40).map(|number| (format!("claim{number}"), Value::Null)).collect();
    assert_eq!(claims(json!({ "userinfo": many })).unwrap().len(), 32);
}

#[test]
fn a_verifier_has_its_length_and_letters_and_fits_its_challenge() {
    let challenge = |verifier: &str| id::encode(Fingerprint::of(verifier.as_bytes()).bytes());
    let of_itself = |verifier: &str| proves(&challenge(verifier), verifier);
    for (length, fits) in [(0, false), (42, false), (43, true), (128, true), (129, false)] {
        assert_eq!(of_itself(&long(length)), fits, "{length}");
    }
    for (letter, fits) in [("-", true), (".", true), ("_", true), ("~", true), ("A0", true), ("+", false), (" ", false)]
    {
        assert_eq!(of_itself(&format!("{}{letter}", long(43))), fits, "{letter}");
    }
    assert!(!proves(&challenge("another"), &long(43)) && !proves("", &long(43)) && !proves(&long(43), &long(43)));
}

#[tokio::test(start_paused = true)]
async fn an_agreement_is_for_what_was_asked_and_is_not_narrowed_by_asking_less() {
    let world = world();
    let (signed_in, _) = world.signed_in(7).await;
    second().await;
    let narrow = query("").replace("openid%20openid%20profile%20phone%20groups%20email", "openid");
    let asked = async |query: &str| world.authorize(query, Some(&signed_in)).await;
    let agree = async |query: &str| {
        let Step::Ask(question) = asked(query).await else { panic!("not asked") };
        world.provider.answered(&question.request, true, Some(&signed_in), &world.flow).await.unwrap()
    };
    assert!(answer(&agree(&narrow).await, "code").is_some());
    assert!(answer(&asked(&narrow).await, "code").is_some());
    let silent = asked(&query("&prompt=none")).await;
    assert_eq!(error(&silent).as_deref(), Some("consent_required"), "more than was agreed to");
    assert!(answer(&agree(&query("")).await, "code").is_some());
    // Whoever scans a code has agreed again, to less.
    let Step::SignIn(request) = world.authorize(&narrow, None).await else { panic!("no sign-in") };
    let (again, _) = world.signed_in(7).await;
    assert!(answer(&world.provider.resume(&request, Some(&again), &world.flow).await.unwrap(), "code").is_some());
    assert!(answer(&asked(&query("&prompt=none")).await, "code").is_some(), "what was agreed to before still is");
    let (other, _) = world.signed_in(8).await;
    second().await;
    let silent = world.authorize(&query("&prompt=none"), Some(&other)).await;
    assert_eq!(error(&silent).as_deref(), Some("consent_required"), "by another person");
}

#[tokio::test(start_paused = true)]
async fn a_sign_in_is_recent_to_the_second() {
    let world = world();
    let (signed_in, _) = world.signed_in(7).await;
    tokio::time::advance(Duration::from_secs(100)).await;
    for (max_age, recent) in [("100", true), ("99", false), ("0", false), ("4294967295", true)] {
        let step = world.authorize(&loose(&format!("&max_age={max_age}")), Some(&signed_in)).await;
        assert_eq!(matches!(step, Step::Reply(_)), recent, "{max_age}");
        assert_eq!(matches!(step, Step::SignIn(_)), !recent, "{max_age}");
    }
    // A question that waits while the session grows too old for it.
    let Step::Ask(question) = world.authorize(&query("&max_age=101"), Some(&signed_in)).await else {
        panic!("not asked")
    };
    second().await;
    second().await;
    let late = world.provider.answered(&question.request, true, Some(&signed_in), &world.flow).await.unwrap();
    assert!(matches!(late, Step::SignIn(_)), "{late:?}");
    assert!(matches!(
        world.provider.answered(&question.request, true, None, &world.flow).await.unwrap(),
        Step::SignIn(_)
    ));
}

#[tokio::test(start_paused = true)]
async fn a_phone_number_is_kept_only_where_something_looks_at_it() {
    let plain = world();
    let phone = r#"
        [[oidc.clients]]
        id = "callers"
        secret = "0123456789abcdef"
        redirect_uris = ["https://callers.example.ru/cb"]
        allow = ["phone:+79991234567"]
        id_token_alg = "ES256"
    "#;
    let listed = world_with(phone);
    for (world, client, kept) in
        [(&plain, "app", true), (&plain, "loose", false), (&plain, "mine", false), (&listed, "callers", true)]
    {
        let (signed_in, _) = world.signed_in(7).await;
        let client = world.provider.clients.get(client).unwrap();
        assert_eq!(world.provider.known_to(&client, &signed_in).phone.is_some(), kept, "{}", client.id);
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_end_when_they_say() {
    let world = world();
    let offline = query("").replace("groups%20email", "offline_access");
    let Step::SignIn(request) = world.authorize(&offline, None).await else { panic!("no sign-in") };
    let (signed_in, _) = world.signed_in(7).await;
    let step = world.provider.resume(&request, Some(&signed_in), &world.flow).await.unwrap();
    let tokens = world.token(&form(&answer(&step, "code").unwrap(), VERIFIER)).await.unwrap();
    let lasts = tokens["expires_in"].as_i64().unwrap();
    let claims = payload(&tokens["id_token"]);
    assert_eq!((lasts, claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap()), (600, 600));
    let about = async |token: &Value| {
        let asked = format!("token={}&client_id=app{SECRET}", token.as_str().unwrap());
        world.provider.introspect(&Params::parse(asked.as_bytes()), None).await.unwrap()
    };
    let (access, kept) = (&tokens["access_token"], &tokens["refresh_token"]);
    let now = world.provider.vault.unix_seconds();
    let month = 30 * 86_400;
    let told = about(kept).await;
    assert_eq!((&told["token_type"], told["exp"].as_i64()), (&json!("refresh_token"), Some(now + month)));
    assert_eq!(
        (&about(access).await["exp"], &told["scope"]),
        (&Value::Null, &json!("openid profile phone offline_access"))
    );
    tokio::time::advance(Duration::from_secs(599)).await;
    assert_eq!(about(access).await["active"], true);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(about(access).await["active"], false);
    tokio::time::advance(Duration::from_secs(month as u64 - 601 - 2)).await;
    let last = world.token(&refresh(kept.as_str().unwrap())).await.unwrap();
    assert_eq!(about(kept).await["active"], false, "it was used");
    tokio::time::advance(Duration::from_secs(3)).await;
    let over = world.token(&refresh(last["refresh_token"].as_str().unwrap())).await;
    assert_eq!(over, Err("invalid_grant"), "a month from the sign-in, however often it was used");
}

#[tokio::test(start_paused = true)]
async fn a_refresh_token_may_come_again_for_ten_seconds() {
    for (wait, outcome) in [(10_000, Ok(())), (10_001, Err("invalid_grant"))] {
        let world = world();
        let first = world.token(&form(&world.code().await, VERIFIER)).await.unwrap();
        let again = refresh(first["refresh_token"].as_str().unwrap());
        world.token(&again).await.unwrap();
        tokio::time::advance(Duration::from_millis(wait)).await;
        assert_eq!(world.token(&again).await.map(drop), outcome, "{wait}");
        let access = first["access_token"].as_str().unwrap();
        assert_eq!(world.provider.userinfo(access, None).await.unwrap().is_some(), outcome.is_ok(), "the whole family");
    }
}

#[tokio::test(start_paused = true)]
async fn who_may_not_any_more_gets_no_further_tokens_and_nobody_uses_those_of_another_app() {
    let mut world = world();
    let tokens = world.token(&form(&world.code().await, VERIFIER)).await.unwrap();
    let again = refresh(tokens["refresh_token"].as_str().unwrap());
    let other = again.replace("client_id=app", "client_id=mine");
    assert_eq!(world.token(&other).await, Err("unauthorized_client"), "it may not refresh at all");
    let mut clients: Vec<Client> = world.provider.clients.iter().cloned().collect();
    let nobody = clients.iter().find(|client| client.id == "mine").unwrap().allow.clone();
    let grants = clients[0].grants.clone();
    let at = clients.iter().position(|client| client.id == "loose").unwrap();
    clients[at].grants = grants;
    world.provider.clients = Clients::new(clients.clone());
    assert_eq!(world.token(&again.replace("client_id=app", "client_id=loose")).await, Err("invalid_grant"));
    assert!(world.token(&again).await.is_ok(), "which has used up nothing");
    clients[0].allow = nobody;
    world.provider.clients = Clients::new(clients);
    let second = tokens["access_token"].as_str().unwrap();
    assert!(world.provider.userinfo(second, None).await.unwrap().is_some());
    assert_eq!(world.token(&again).await, Err("invalid_grant"));
    assert!(world.provider.userinfo(second, None).await.unwrap().is_none(), "those that were out are withdrawn");
}

#[tokio::test(start_paused = true)]
async fn a_client_says_once_who_it_is() {
    let world = world_with(TELEVISION);
    let basic = |text: &str| Some(format!("Basic {}", STANDARD.encode(text)));
    let good = || basic("app:0123456789abcdef");
    let grant = "grant_type=authorization_code&code=x";
    let tv = "grant_type=refresh_token&refresh_token=x&client_id=tv";
    let kind = "client_assertion_type=urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    // Whoever is known is told that the code is none.
    for (form, header, told) in [
        (grant.to_owned(), good(), "invalid_grant"),
        (format!("{grant}&client_id=app"), good(), "invalid_grant"),
        (format!("{grant}&client_id=app{SECRET}"), None, "invalid_grant"),
        (tv.to_owned(), None, "invalid_grant"),
        (format!("{tv}{SECRET}"), None, "invalid_client"),
        (grant.to_owned(), None, "invalid_client"),
        (format!("{grant}&client_id=app"), None, "invalid_client"),
        (grant.to_owned(), basic("app:x"), "invalid_client"),
        (grant.to_owned(), basic("tv:"), "invalid_client"),
        (grant.to_owned(), Some("Bearer x".to_owned()), "invalid_client"),
        (format!("{grant}&client_id=loose"), good(), "invalid_request"),
        (format!("{grant}{SECRET}"), good(), "invalid_request"),
        (format!("{grant}&client_assertion=x"), good(), "invalid_request"),
        (format!("{grant}&{kind}"), good(), "invalid_request"),
        (format!("{grant}&{kind}{SECRET}"), None, "invalid_request"),
        (format!("{grant}&{kind}"), None, "invalid_client"),
        (format!("{grant}&client_assertion=x"), None, "invalid_client"),
    ] {
        let answer = world.provider.token(&Params::parse(form.as_bytes()), header.as_deref(), None).await;
        assert_eq!(answer.err().map(|error| error.code.text()), Some(told), "{form} {header:?}");
    }
    let asked = |form: &str| Params::parse(form.as_bytes());
    let public = world.provider.introspect(&asked("token=x&client_id=tv"), None).await;
    assert_eq!(public.unwrap_err().code.text(), "invalid_client", "whoever has no secret may not ask");
    world.provider.revoke(&asked("token=x&client_id=tv"), None).await.unwrap();
    for form in [format!("client_id=app{SECRET}"), format!("token=x&token=x&client_id=app{SECRET}")] {
        assert_eq!(world.provider.introspect(&asked(&form), None).await.unwrap_err().code.text(), "invalid_request");
        assert_eq!(world.provider.revoke(&asked(&form), None).await.unwrap_err().code.text(), "invalid_request");
    }
}

#[tokio::test(start_paused = true)]
async fn an_assertion_is_good_within_half_a_minute_of_its_times_and_never_again() {
    let (world, key) = keyed();
    let ask = async |token: &str| {
        let form = format!("token=x&{}", asserted(token));
        world
            .provider
            .introspect(&Params::parse(form.as_bytes()), None)
            .await
            .map(drop)
            .map_err(|error| error.code.text())
    };
    let now = world.provider.vault.unix_seconds();
    let with = |name: &str, value: i64| assertion(&world, &key, |claims| claims[name] = json!(value));
    for (name, value, good) in [
        ("exp", now - 29, true),
        ("exp", now - 30, false),
        ("exp", now + 630, true),
        ("exp", now + 631, false),
        ("nbf", now + 30, true),
        ("nbf", now + 31, false),
    ] {
        assert_eq!(ask(&with(name, value)).await.is_ok(), good, "{name} {}", value - now);
    }
    assert!(ask(&assertion(&world, &key, |claims| claims["jti"] = json!(""))).await.is_err());
    let longest = with("exp", now + 630);
    assert!(ask(&longest).await.is_ok());
    tokio::time::advance(Duration::from_secs(659)).await;
    let why = world.provider.asserted(&Params::parse(asserted(&longest).as_bytes())).await.err().expect("refused");
    assert!(why.description.contains("used before"), "as long as it would be good: {}", why.description);
}

#[tokio::test(start_paused = true)]
async fn a_proof_is_good_for_a_minute_around_its_moment_and_never_again() {
    let world = world();
    let key = es256();
    let ask = async |proof: &str| {
        world.provider.proof(posted(proof).unwrap(), "token", None).await.map_err(|error| error.description)
    };
    let now = world.provider.vault.unix_seconds();
    let with = |name: &str, value: Value| proof(&world, &key, "token", |_, claims| claims[name] = value);
    for (name, value, good) in [
        ("iat", json!(now - 60), true),
        ("iat", json!(now - 61), false),
        ("iat", json!(now + 60), true),
        ("iat", json!(now + 61), false),
        ("iat", Value::Null, false),
        ("jti", json!(long(200)), true),
        ("jti", json!(long(201)), false),
        ("jti", json!(""), false),
        ("htu", json!("https://id.example.ru/oauth2/token#part"), true),
        ("htu", json!("https://id.example.ru/oauth2/token/"), false),
        ("htu", Value::Null, false),
    ] {
        assert_eq!(ask(&with(name, value.clone())).await.is_ok(), good, "{name} {value}");
    }
    let early = with("iat", json!(now + 60));
    assert_eq!(
        ask(&early).await.unwrap(),
        ask(&with("iat", json!(now))).await.unwrap(),
        "by the thumbprint of its key"
    );
    tokio::time::advance(Duration::from_secs(119)).await;
    assert!(ask(&early).await.unwrap_err().contains("used before"), "as long as it would be good");
    let bare = proof(&world, &key, "token", |_, _| {});
    assert!(world.provider.proof(posted(&bare).unwrap(), "token", Some("access")).await.is_err(), "no ath");
}

#[tokio::test(start_paused = true)]
async fn a_device_asks_every_four_seconds_and_a_half_at_most() {
    let world = world_with(TELEVISION);
    let tv = begun(&world, "tv").await.unwrap();
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:device_code&client_id=tv";
    let poll = async |wait: u64| {
        tokio::time::advance(Duration::from_millis(wait)).await;
        world.token(&format!("{grant}&device_code={}", tv.device)).await.map(drop)
    };
    assert_eq!(poll(0).await, Err("authorization_pending"));
    assert_eq!(poll(4_499).await, Err("slow_down"));
    assert_eq!(poll(4_501).await, Err("authorization_pending"));
    assert_eq!(world.token(grant).await, Err("invalid_request"), "no code at all");
    let whole = format!("{}x", tv.user);
    assert!(world.provider.device(&whole).await.unwrap().is_none(), "one letter more");
    let spaced = format!(" {} ", tv.user.to_ascii_lowercase().replace('-', ""));
    assert_eq!(world.provider.device(&spaced).await.unwrap().unwrap().user_code, tv.user);
    let (who, _) = world.signed_in(7).await;
    tokio::time::advance(Duration::from_secs(580)).await;
    assert_eq!(world.provider.decide_device(&tv.user, true, &who).await.unwrap(), DeviceAnswer::Done, "in time");
}

#[tokio::test(start_paused = true)]
async fn a_hint_ends_the_session_it_is_of_and_asks_about_any_other() {
    let world = world();
    let (signed_in, _) = world.signed_in(7).await;
    let Step::SignIn(request) = world.authorize(&query(""), None).await else { panic!("no sign-in") };
    let (again, _) = world.signed_in(7).await;
    let step = world.provider.resume(&request, Some(&again), &world.flow).await.unwrap();
    let tokens = world.token(&form(&answer(&step, "code").unwrap(), VERIFIER)).await.unwrap();
    let hint = tokens["id_token"].as_str().unwrap();
    let step = async |query: &str, who: Option<&crate::session::SignedIn>| {
        world.provider.end_session(&Params::parse(query.as_bytes()), who).await.unwrap()
    };
    let hinted = format!("id_token_hint={hint}");
    assert_eq!(step(&hinted, Some(&again)).await, LogoutStep::End { location: None });
    assert_eq!(step(&format!("{hinted}&client_id=app"), Some(&again)).await, LogoutStep::End { location: None });
    assert_eq!(step(&hinted, Some(&signed_in)).await, LogoutStep::Ask { location: None }, "another browser of theirs");
    assert_eq!(step(&hinted, None).await, LogoutStep::Ask { location: None });
    assert_eq!(step("", None).await, LogoutStep::Ask { location: None });
    for wrong in [format!("{hinted}&{hinted}"), "id_token_hint=x".to_owned(), format!("{hinted}&client_id=mine")] {
        assert!(matches!(step(&wrong, Some(&again)).await, LogoutStep::Refused(_)), "{wrong}");
    }
    let other = loose(&format!("&id_token_hint={hint}"));
    let refused = world.authorize(&other, Some(&again)).await;
    assert_eq!(error(&refused).as_deref(), Some("invalid_request"), "a hint that was made for another app");
}

#[tokio::test(start_paused = true)]
async fn a_way_out_keeps_the_query_that_it_has() {
    let world = world_with(
        r#"
        [[oidc.clients]]
        id = "query"
        secret = "0123456789abcdef"
        redirect_uris = ["https://query.example.ru/cb?x=1"]
        post_logout_redirect_uris = ["https://query.example.ru/bye?x=1"]
        pkce = "optional"
        consent = "never"
        id_token_alg = "ES256"
        "#,
    );
    let out = |more: &str| format!("client_id=query&post_logout_redirect_uri=https://query.example.ru/bye?x=1{more}");
    for (more, location) in [("", "bye?x=1"), ("&state=a%26b", "bye?x=1&state=a%26b")] {
        let step = world.provider.end_session(&Params::parse(out(more).as_bytes()), None).await.unwrap();
        assert_eq!(step, LogoutStep::End { location: Some(format!("https://query.example.ru/{location}")) });
    }
    let (signed_in, _) = world.signed_in(7).await;
    let asked = "client_id=query&redirect_uri=https://query.example.ru/cb?x=1&response_type=code&scope=openid";
    let Step::Reply(reply) = world.authorize(asked, Some(&signed_in)).await else { panic!("no reply") };
    assert!(reply.location().starts_with("https://query.example.ru/cb?x=1&code="), "{}", reply.location());
}

#[tokio::test(start_paused = true)]
async fn the_apps_of_a_session_are_told_by_name_for_as_long_as_it_lasts() {
    let world = world_with(TELEVISION);
    let (signed_in, _) = world.signed_in(7).await;
    let began = world.provider.vault.unix_ms();
    for id in ["loose", "app"] {
        second().await;
        world.provider.used(&world.provider.clients.get(id).unwrap(), &signed_in).await.unwrap();
    }
    let named = async || {
        let apps = world.provider.apps_of(&signed_in).await.unwrap();
        apps.into_iter().map(|app| (app.name, app.since - began)).collect::<Vec<_>>()
    };
    assert_eq!(named().await, [("App".to_owned(), 2_000), ("loose".to_owned(), 1_000)]);
    tokio::time::advance(Duration::from_secs(86_400 - 3)).await;
    assert_eq!(named().await.len(), 2);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert!(named().await.is_empty());
}

#[test]
fn parameters_are_read_as_oauth_has_them() {
    let params = Params::parse(b"a=1&b=&c=x+y&a=2&resource=r&resource=s");
    assert_eq!(
        (params.get("a"), params.get("b"), params.get("c"), params.get("d")),
        (Some("1"), None, Some("x y"), None)
    );
    assert_eq!(params.all("a").collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((params.all("b").count(), params.all("resource").count()), (0, 2));
    for (text, fine) in [
        ("", true),
        ("a=1&b=1", true),
        ("resource=r&resource=r", true),
        ("a=1&a=1", false),
        ("a=&b=1&a=", false),
        ("resource=r&a=1&resource=r&a=1", false),
    ] {
        assert_eq!(Params::parse(text.as_bytes()).none_twice().is_ok(), fine, "{text}");
    }
    assert_eq!(params.without(&["a", "resource"]).encoded(), "b=&c=x+y");
    assert_eq!(params.without(&["resource"]).with("a", "3&").encoded(), "b=&c=x+y&a=3%26");
    let many: String = (0..80).map(|number| format!("p{number}=1&")).collect();
    let many = Params::parse(many.as_bytes());
    assert_eq!((many.get("p63"), many.get("p64")), (Some("1"), None));
    assert_eq!(super::params::words(Some(" a  b a ")), ["a", "b"]);
    assert!(super::params::words(None).is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_clients_find_is_what_is_there() {
    let found = world().provider.discovery("https://id.example.ru/base");
    crate::snapshot::assert_snapshot("oidc/snapshots/discovery.json", &serde_json::to_string_pretty(&found).unwrap());
}
