//! Visitors of an app: sent to `/authorize`, perhaps signed in by a scan, and back with a code, for which the app gets tokens
//! and asks who it is. Speaks to any OpenID Connect provider that asks its visitors nothing.

use super::connect::{Answer, Connector, Http, Kept};
use super::plan::{Client, Target};
use crate::base::id;
use crate::base::id::Fingerprint;
use crate::base::rng::Rng;
use axum::body::Body;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use url::{Position, Url};

/// From `/authorize` to an answer: sign-in, and what a provider has of its own between.
const MOST_REDIRECTS: usize = 8;

/// What a program asks of a server, and keeps for the next time.
const KEPT: usize = 64;

const DISCOVERY: &str = "/.well-known/openid-configuration";

pub struct App {
    client: Client,
    endpoints: Endpoints,
    connector: Arc<Connector>,
    /// To each of the servers.
    servers: Vec<Kept>,
}

/// Paths only: they are asked of each server in turn.
struct Endpoints {
    authorize: Url,
    token: Url,
    userinfo: Url,
}

impl Endpoints {
    fn read(discovery: &[u8]) -> Option<Self> {
        let found: Value = serde_json::from_slice(discovery).ok()?;
        let url = |name: &str| Url::parse(found[name].as_str()?).ok();
        Some(Self {
            authorize: url("authorization_endpoint")?,
            token: url("token_endpoint")?,
            userinfo: url("userinfo_endpoint")?,
        })
    }
}

/// Where a visitor stands.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// To be signed in, for this request of the app.
    SignIn(String),
    Code(String),
}

impl App {
    /// Asks the first server where its endpoints are.
    pub async fn discover(client: Client, targets: &[Target], connector: Arc<Connector>) -> Result<Self, String> {
        let servers: Vec<Kept> = targets.iter().map(|target| Kept::new(target.address, KEPT)).collect();
        let Some(server) = servers.first() else { return Err("no server".to_owned()) };
        let answer = server.ask(&connector, || Request::get(DISCOVERY).body(Body::empty())).await?;
        let endpoints = Endpoints::read(&answer.body)
            .ok_or_else(|| format!("{DISCOVERY}: status {}, and no endpoints in it", answer.status.as_u16()))?;
        Ok(Self { client, endpoints, connector, servers })
    }

    /// Sends a browser to the provider. What is to be kept for the answer is its [`Asked`].
    pub async fn authorize(&self, browser: &mut Browser, rng: &Rng) -> Result<(Asked, Step), String> {
        let (state, verifier) = (id::encode(&rng.bytes::<16>()), id::encode(&rng.bytes::<32>()));
        let mut url = self.endpoints.authorize.clone();
        url.query_pairs_mut()
            .append_pair("client_id", &self.client.id)
            .append_pair("redirect_uri", self.client.redirect_uri.as_str())
            .append_pair("response_type", "code")
            .append_pair("scope", "openid profile")
            .append_pair("state", &state)
            .append_pair("nonce", &id::encode(&rng.bytes::<16>()))
            .append_pair("code_challenge", &id::encode(Fingerprint::of(verifier.as_bytes()).bytes()))
            .append_pair("code_challenge_method", "S256");
        let asked = Asked { state, verifier };
        let step = self.follow(browser, url, &asked).await?;
        Ok((asked, step))
    }

    /// Back from the sign-in, by the address that it gave.
    pub async fn signed_in(&self, browser: &mut Browser, redirect: &str, asked: &Asked) -> Result<String, String> {
        let url = self.endpoints.authorize.join(redirect).map_err(|error| format!("redirect: {error}"))?;
        match self.follow(browser, url, asked).await? {
            Step::Code(code) => Ok(code),
            Step::SignIn(_) => Err("signed in, and asked to sign in again".to_owned()),
        }
    }

    async fn follow(&self, browser: &mut Browser, mut url: Url, asked: &Asked) -> Result<Step, String> {
        for _ in 0..MOST_REDIRECTS {
            let answer = browser.get(&url).await?;
            let said = answer.headers.get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = said.filter(|_| answer.status.is_redirection()) else {
                return Err(format!("{}: status {}", url.path(), answer.status.as_u16()));
            };
            url = url.join(location).map_err(|error| format!("location: {error}"))?;
            if let Some(step) = self.step(&url, asked) {
                return step;
            }
        }
        Err("too many redirects".to_owned())
    }

    /// What an address means, unless it is one more to go to.
    fn step(&self, url: &Url, asked: &Asked) -> Option<Result<Step, String>> {
        let param = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned());
        if url[..Position::AfterPath] == self.client.redirect_uri[..Position::AfterPath] {
            return Some(match param("code") {
                _ if param("state").as_deref() != Some(asked.state.as_str()) => Err("another state".to_owned()),
                Some(code) => Ok(Step::Code(code)),
                None => Err(param("error").unwrap_or_else(|| "neither code nor error".to_owned())),
            });
        }
        url.path().ends_with("/login").then(|| param("request")).flatten().map(|request| Ok(Step::SignIn(request)))
    }

    /// Tokens for the code, and whose they are.
    pub async fn redeem(&self, server: usize, code: &str, asked: &Asked) -> Result<(), String> {
        #[derive(Deserialize)]
        struct Tokens {
            access_token: String,
            id_token: String,
        }
        #[derive(Deserialize)]
        struct Person {
            sub: String,
        }
        let server = &self.servers[server % self.servers.len()];
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", self.client.redirect_uri.as_str())
            .append_pair("client_id", &self.client.id)
            .append_pair("code_verifier", &asked.verifier)
            .finish();
        let request = || {
            Request::post(self.endpoints.token.path())
                .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Body::from(form.clone()))
        };
        let answer = server.ask(&self.connector, request).await?;
        let tokens: Tokens = read(&answer, "token")?;
        let request = || {
            Request::get(self.endpoints.userinfo.path())
                .header(AUTHORIZATION, format!("Bearer {}", tokens.access_token))
                .body(Body::empty())
        };
        let answer = server.ask(&self.connector, request).await?;
        let person: Person = read(&answer, "userinfo")?;
        if person.sub.is_empty() || tokens.id_token.split('.').count() != 3 {
            return Err("tokens without a person".to_owned());
        }
        Ok(())
    }
}

fn read<'a, T: Deserialize<'a>>(answer: &'a Answer, what: &str) -> Result<T, String> {
    let fine = if answer.status == StatusCode::OK { serde_json::from_slice(&answer.body).ok() } else { None };
    fine.ok_or_else(|| format!("{what}: status {}", answer.status.as_u16()))
}

/// What an app keeps until its visitor is back.
pub struct Asked {
    state: String,
    verifier: String,
}

/// One connection, and the cookies that were set on it; their paths are passed over.
pub struct Browser {
    http: Http,
    cookies: BTreeMap<String, String>,
}

impl Browser {
    pub async fn open(connector: &Connector, target: &Target) -> Result<Self, String> {
        Ok(Self { http: connector.http(target.address).await?, cookies: BTreeMap::new() })
    }

    /// As a `Cookie` header has them.
    pub fn cookie(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    /// Takes `name=value`, and whatever attributes follow.
    pub fn keep(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }

    async fn get(&mut self, url: &Url) -> Result<Answer, String> {
        let mut request = Request::get(&url[Position::BeforePath..Position::AfterQuery]).header(ACCEPT, "text/html");
        if !self.cookies.is_empty() {
            request = request.header(COOKIE, self.cookie());
        }
        let request = request.body(Body::empty()).map_err(|error| error.to_string())?;
        let answer = self.http.ask_whole(request).await?;
        for cookie in answer.headers.get_all(SET_COOKIE).iter().filter_map(|cookie| cookie.to_str().ok()) {
            self.keep(cookie);
        }
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::tasks::Tasks;

    fn app() -> App {
        let url = |path: &str| format!("https://login.example.ru{path}").parse().unwrap();
        let endpoints = Endpoints { authorize: url("/a"), token: url("/t"), userinfo: url("/u") };
        let client = Client { id: "app".to_owned(), redirect_uri: "https://app.example.ru/cb".parse().unwrap() };
        App { client, endpoints, connector: Arc::new(Connector::new(1, Tasks::new())), servers: Vec::new() }
    }

    #[test]
    fn an_address_is_the_sign_in_an_answer_to_the_app_or_one_more_to_go_to() {
        let asked = Asked { state: "S".to_owned(), verifier: String::new() };
        let step = |url: &str| app().step(&url.parse().unwrap(), &asked);
        let code = |code: &str| Some(Ok(Step::Code(code.to_owned())));
        assert_eq!(step("https://app.example.ru/cb?code=C&state=S&iss=I"), code("C"));
        assert_eq!(step("https://app.example.ru/cb?code=C&state=other"), Some(Err("another state".to_owned())));
        assert_eq!(step("https://app.example.ru/cb?code=C"), Some(Err("another state".to_owned())));
        let denied = Some(Err("access_denied".to_owned()));
        assert_eq!(step("https://app.example.ru/cb?error=access_denied&state=S"), denied);
        assert_eq!(step("https://app.example.ru/cb?state=S"), Some(Err("neither code nor error".to_owned())));
        let sign_in = Some(Ok(Step::SignIn("R".to_owned())));
        assert_eq!(step("https://login.example.ru/x/login?request=R"), sign_in);
        for further in ["https://login.example.ru/login", "https://login.example.ru/oauth2/continue?request=R"] {
            assert_eq!(step(further), None, "{further}");
        }
    }
}
