//! Clients that nobody registered, from their document to their tokens.

use super::tests::{VERIFIER, World, answer, world_with};
use super::*;
use crate::base::id::{self, Fingerprint};
use std::collections::BTreeMap;
use std::sync::Mutex;
use url::Url;

const ID: &str = "https://app.example.ru/client.json";
const FINE: &str = r#"{"client_id":"https://app.example.ru/client.json","client_name":"Your bank","redirect_uris":["https://app.example.ru/cb"]}"#;

/// Documents by their addresses, and how often each was asked for.
#[derive(Default)]
struct Hosts {
    has: Mutex<BTreeMap<String, Document>>,
    asked: Mutex<Vec<String>>,
}

impl Hosts {
    fn put(&self, body: &str, max_age: Option<u64>) {
        self.has.lock().unwrap().insert(ID.to_owned(), Document { body: body.into(), max_age });
    }

    fn times(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Fetch for Hosts {
    fn fetch<'a>(&'a self, url: &'a Url) -> Fetched<'a> {
        self.asked.lock().unwrap().push(url.to_string());
        let found = self.has.lock().unwrap().get(url.as_str()).cloned();
        Box::pin(async move { found.ok_or_else(|| "it answered 404".to_owned()) })
    }
}

fn world() -> (World, Arc<Hosts>) {
    let on = "[oidc]\nclient_id_metadata_documents = true\nclient_id_metadata_allow = [\"max:7\"]\n\
              client_id_metadata_resources = [\"https://mcp.example.ru\"]";
    let hosts = Arc::<Hosts>::default();
    hosts.put(FINE, None);
    let mut world = world_with("");
    let settings = crate::config::Config::of(on).oidc.documents.unwrap();
    world.provider.documents = Some(Documents { settings, fetch: Arc::<Hosts>::clone(&hosts) });
    (world, hosts)
}

fn query(more: &str) -> String {
    let challenge = id::encode(Fingerprint::of(VERIFIER.as_bytes()).bytes());
    format!(
        "client_id=https%3A%2F%2Fapp.example.ru%2Fclient.json&redirect_uri=https%3A%2F%2Fapp.example.ru%2Fcb\
         &response_type=code&scope=openid%20profile%20groups&resource=https%3A%2F%2Fmcp.example.ru\
         &code_challenge={challenge}&code_challenge_method=S256{more}"
    )
}

fn form(code: &str) -> String {
    format!(
        "grant_type=authorization_code&code={code}&redirect_uri=https%3A%2F%2Fapp.example.ru%2Fcb\
         &code_verifier={VERIFIER}&client_id=https%3A%2F%2Fapp.example.ru%2Fclient.json"
    )
}

#[tokio::test(start_paused = true)]
async fn people_are_asked_each_time_and_see_the_host() {
    let (mut world, hosts) = world();
    // What they sign by that nobody configured.
    world.provider.keys = Arc::new(Keys::new(
        world.provider.vault.clone(),
        Duration::from_secs(86_400),
        vec![SigningAlgorithm::Es256, SigningAlgorithm::Rs256],
    ));
    // Before anybody began a sign-in there is no such client, and nobody can make us ask a host.
    assert_eq!(world.token(&form("x")).await, Err("invalid_client"));
    assert_eq!(hosts.times(), 0);
    let Step::SignIn(request) = world.authorize(&query(""), None).await else { panic!("no sign-in") };
    let (who, _) = world.signed_in(7).await;
    let step = world.provider.resume(&request, Some(&who), &world.flow).await.unwrap();
    let Step::Ask(question) = step else { panic!("a scan is no agreement here: {step:?}") };
    assert_eq!((question.client_name.as_str(), question.client_host.as_str()), ("app.example.ru", "app.example.ru"));
    assert_eq!(question.scope, ["openid", "profile"]);
    let step = world.provider.answered(&request, true, Some(&who), &world.flow).await.unwrap();
    let tokens = world.token(&form(&answer(&step, "code").unwrap())).await.unwrap();
    assert!(tokens["refresh_token"].is_string());
    let access = tokens["access_token"].as_str().unwrap();
    let claims = world.provider.userinfo(access, None).await.unwrap().unwrap();
    assert!(claims.contains_key("name") && !claims.contains_key("groups"));
    assert!(matches!(world.authorize(&query(""), Some(&who)).await, Step::Ask(_)), "again");
    let silent = world.authorize(&query("&prompt=none"), Some(&who)).await;
    assert_eq!(answer(&silent, "error").as_deref(), Some("consent_required"));
    assert_eq!(hosts.times(), 1, "the document was fresh");

    let (other, _) = world.signed_in(8).await;
    assert!(matches!(world.authorize(&query(""), Some(&other)).await, Step::Denied(_)), "allow");
    let plain = query("").replace("&code_challenge_method=S256", "").replace("code_challenge=", "x=");
    let plain = world.authorize(&plain, Some(&who)).await;
    assert_eq!(answer(&plain, "error").as_deref(), Some("invalid_request"), "never without PKCE");
}

#[tokio::test(start_paused = true)]
async fn a_document_is_asked_for_again_when_it_is_old_and_one_that_failed_not_at_once() {
    let (world, hosts) = world();
    let begins = async || world.authorize(&query(""), None).await;
    assert!(matches!(begins().await, Step::SignIn(_)));
    for (max_age, seconds, asked) in [(Some(0), 299, 1), (Some(1_000_000), 2, 2), (None, 86_397, 2), (None, 4, 3)] {
        hosts.put(FINE, max_age);
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert!(matches!(begins().await, Step::SignIn(_)), "{seconds}");
        assert_eq!(hosts.times(), asked, "{seconds}");
    }
    hosts.put(&FINE.replace("/client.json", "/other.json"), None);
    tokio::time::advance(Duration::from_secs(301)).await;
    for (seconds, asked) in [(0, 4), (59, 4), (2, 5)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        assert!(matches!(begins().await, Step::Page(_)), "the old document is good for no new sign-in");
        assert_eq!(hosts.times(), asked, "{seconds}");
    }
    hosts.put(FINE, None);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(matches!(begins().await, Step::SignIn(_)));
}

#[tokio::test(start_paused = true)]
async fn without_the_switch_an_address_is_no_client() {
    let (mut world, hosts) = world();
    assert_eq!(world.provider.discovery("x")["client_id_metadata_document_supported"], true);
    world.provider.documents = None;
    assert!(world.provider.discovery("x").get("client_id_metadata_document_supported").is_none());
    assert!(matches!(world.authorize(&query(""), None).await, Step::Page(_)));
    assert_eq!(hosts.times(), 0);
}
