//! People who are asked for an address on their way to an app.

use super::tests::{VERIFIER, World, answer, world_with};
use super::*;
use crate::base::id::{self, Fingerprint};
use crate::session::SignedIn;
use serde_json::Value;

const CLIENTS: &str = r#"
    [[oidc.clients]]
    id = "may"
    name = "May"
    secret = "0123456789abcdef"
    redirect_uris = ["https://app.example.ru/cb"]
    id_token_alg = "ES256"
    email = "ask"
    [[oidc.clients]]
    id = "must"
    secret = "0123456789abcdef"
    redirect_uris = ["https://app.example.ru/cb"]
    id_token_alg = "ES256"
    email = "required"
"#;

fn query(client: &str, more: &str) -> String {
    let challenge = id::encode(Fingerprint::of(VERIFIER.as_bytes()).bytes());
    format!(
        "client_id={client}&redirect_uri=https%3A%2F%2Fapp.example.ru%2Fcb&response_type=code&code_challenge={challenge}\
         &code_challenge_method=S256{more}"
    )
}

const EMAIL: &str = "&scope=openid%20email";

/// The request that a question is about, what is in its field, and whether that was wrong.
fn asked(step: &Step) -> (String, Option<String>, bool) {
    let Step::Email { question, typed, wrong } = step else { panic!("no question for an address: {step:?}") };
    (question.request.clone(), typed.clone(), *wrong)
}

impl World {
    async fn goes_on(&self, request: &str, who: &SignedIn) -> Step {
        self.provider.resume(request, Some(who), &self.flow).await.unwrap()
    }

    async fn gives(&self, request: &str, typed: &str, who: &SignedIn) -> Step {
        self.provider.email_given(request, typed, Some(who), &self.flow).await.unwrap()
    }

    /// Signs in to a client, and is asked for an address.
    async fn comes_to(&self, client: &str, person: i64) -> (String, SignedIn) {
        let Step::SignIn(request) = self.authorize(&query(client, EMAIL), None).await else { panic!("no sign-in") };
        let (who, _) = self.signed_in(person).await;
        assert_eq!(asked(&self.goes_on(&request, &who).await), (request.clone(), None, false));
        (request, who)
    }

    /// What the client is told for a code: by the ID token, and the access token.
    async fn told(&self, client: &str, step: &Step) -> (Value, String) {
        let code = answer(step, "code").expect("a code");
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri=https://app.example.ru/cb&code_verifier={VERIFIER}\
             &client_id={client}&client_secret=0123456789abcdef"
        );
        let tokens = self.token(&form).await.unwrap();
        let claims = tokens["id_token"].as_str().unwrap().split('.').nth(1).unwrap();
        (serde_json::from_slice(&id::decode(claims).unwrap()).unwrap(), tokens["access_token"].as_str().unwrap().into())
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_asked_for_once_and_never_said_to_be_verified() {
    let world = world_with(CLIENTS);
    let (request, who) = world.comes_to("may", 7).await;
    let step = world.gives(&request, "no address", &who).await;
    assert_eq!(asked(&step), (request.clone(), Some("no address".to_owned()), true));
    let step = world.gives(&request, " Ivan@Example.RU", &who).await;
    let (claims, token) = world.told("may", &step).await;
    assert_eq!(
        (&claims["email"], &claims["email_verified"]),
        (&"Ivan@example.ru".into(), &false.into()),
        "nobody looked at it"
    );
    assert_eq!(world.gives(&request, "ivan@example.ru", &who).await, Step::Gone, "once");

    let again = world.authorize(&query("may", EMAIL), Some(&who)).await;
    assert!(answer(&again, "code").is_some(), "not asked again: {again:?}");
    let silent = world.authorize(&query("may", &format!("{EMAIL}&prompt=none")), Some(&who)).await;
    assert!(answer(&silent, "code").is_some(), "{silent:?}");
    let without = world.authorize(&query("may", "&scope=openid"), Some(&who)).await;
    let (claims, _) = world.told("may", &without).await;
    assert!(claims.get("email").is_none() && claims.get("email_verified").is_none(), "the scope was not asked for");
    let by_name = "&scope=openid&claims=%7B%22id_token%22%3A%7B%22email%22%3Anull%7D%7D";
    let by_name = world.authorize(&query("may", by_name), Some(&who)).await;
    assert_eq!(world.told("may", &by_name).await.0["email"], "Ivan@example.ru");

    // What is changed or taken back holds at once.
    let userinfo = async || world.provider.userinfo(&token, None).await.unwrap().unwrap();
    let change = async |typed: &str| world.provider.change_email(&who, "may", typed).await.unwrap();
    assert!(change("no address").await.is_err());
    assert_eq!(userinfo().await["email"], "Ivan@example.ru");
    change("other@example.ru").await.unwrap();
    assert_eq!(userinfo().await["email"], "other@example.ru");
    change("").await.unwrap();
    assert!(userinfo().await.get("email").is_none() && userinfo().await.get("email_verified").is_none());
}

#[tokio::test(start_paused = true)]
async fn who_gives_none_is_let_in_where_it_is_not_required() {
    let world = world_with(CLIENTS);
    let (request, who) = world.comes_to("may", 7).await;
    let silent = world.authorize(&query("may", &format!("{EMAIL}&prompt=none")), Some(&who)).await;
    assert_eq!(answer(&silent, "error").as_deref(), Some("interaction_required"));
    let (claims, _) = world.told("may", &world.gives(&request, "", &who).await).await;
    assert!(claims.get("email").is_none() && claims.get("email_verified").is_none());
    let again = world.authorize(&query("may", EMAIL), Some(&who)).await;
    assert!(answer(&again, "code").is_some(), "they said no, and are not pestered: {again:?}");

    let (request, who) = world.comes_to("must", 7).await;
    assert_eq!(asked(&world.gives(&request, "", &who).await), (request.clone(), Some(String::new()), true));
    let refused = world.provider.answered(&request, false, Some(&who), &world.flow).await.unwrap();
    assert_eq!(answer(&refused, "error").as_deref(), Some("access_denied"));
    let (request, who) = world.comes_to("must", 7).await;
    let step = world.gives(&request, "ivan@example.ru", &who).await;
    assert_eq!(world.told("must", &step).await.0["email"], "ivan@example.ru");
    world.provider.change_email(&who, "must", "").await.unwrap().unwrap();
    let step = world.authorize(&query("must", EMAIL), Some(&who)).await;
    assert_eq!(asked(&step).1, None, "taken back, and asked for again");
}

#[tokio::test(start_paused = true)]
async fn who_is_asked_to_agree_anew_finds_their_address_in_the_field() {
    let world = world_with(CLIENTS);
    let (request, who) = world.comes_to("may", 7).await;
    world.gives(&request, "ivan@example.ru", &who).await;
    let step = world.authorize(&query("may", &format!("{EMAIL}&prompt=consent")), Some(&who)).await;
    let Step::Ask(question) = step else { panic!("no question: {step:?}") };
    // An address alone is no agreement.
    let early = world.gives(&question.request, "early@example.ru", &who).await;
    assert!(matches!(early, Step::Ask(_)), "{early:?}");
    let step = world.provider.answered(&question.request, true, Some(&who), &world.flow).await.unwrap();
    assert_eq!(asked(&step), (question.request.clone(), Some("ivan@example.ru".to_owned()), false));
    // Somebody else sat down: they have agreed to nothing.
    let (other, _) = world.signed_in(8).await;
    let step = world.gives(&question.request, "other@example.ru", &other).await;
    assert!(matches!(step, Step::Ask(_)), "{step:?}");
    let browser = Fingerprint::of(b"another");
    let stolen = world.provider.email_given(&question.request, "a@example.ru", Some(&who), &browser).await.unwrap();
    assert_eq!(stolen, Step::Gone);
    let nobody = world.provider.email_given(&question.request, "a@example.ru", None, &world.flow).await.unwrap();
    assert_eq!(nobody, Step::SignIn(question.request.clone()));
    let step = world.gives(&question.request, "new@example.ru", &who).await;
    assert_eq!(world.told("may", &step).await.0["email"], "new@example.ru");
}

#[tokio::test(start_paused = true)]
async fn people_see_and_change_only_what_they_were_asked_for() {
    let world = world_with(CLIENTS);
    let (request, who) = world.comes_to("may", 7).await;
    assert!(world.provider.emails_of(&who).await.unwrap().is_empty());
    for client in ["may", "app", "nobody"] {
        assert!(world.provider.change_email(&who, client, "ivan@example.ru").await.unwrap().is_err(), "{client}");
    }
    world.gives(&request, "ivan@example.ru", &who).await;
    let (other, _) = world.signed_in(8).await;
    assert!(world.provider.emails_of(&other).await.unwrap().is_empty());
    let told = world.provider.emails_of(&who).await.unwrap();
    let told: Vec<_> = told.iter().map(|app| (app.client.as_str(), app.email.as_deref())).collect();
    assert_eq!(told, [("may", Some("ivan@example.ru"))]);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_kept_for_a_year_after_its_last_use() {
    let world = world_with(CLIENTS);
    let (request, who) = world.comes_to("may", 7).await;
    world.gives(&request, "ivan@example.ru", &who).await;
    let day = Duration::from_secs(86_400);
    for (days, kept) in [(40, true), (340, true), (366, false)] {
        tokio::time::advance(day * days).await;
        let (who, _) = world.signed_in(7).await;
        let emails = world.provider.emails_of(&who).await.unwrap();
        assert_eq!(!emails.is_empty(), kept, "{days}");
        if kept {
            let step = world.authorize(&query("may", &format!("{EMAIL}&prompt=none")), Some(&who)).await;
            assert!(answer(&step, "code").is_some(), "{days}: {step:?}");
        }
    }
}
