//! MAX knows no e-mail address. An app that needs one may have us ask (`email = "ask"`, `"required"`): the address is kept for the
//! person and that app, as their consent is, and is never said to be verified.

use super::authorize::{Step, question};
use super::{Provider, claims};
use crate::base::id::Fingerprint;
use crate::config::{Client, Email};
use crate::session::SignedIn;
use crate::store::{Key, Space, Unavailable, Vault};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use url::Host;

/// Longest address (RFC 5321 §4.5.3.1.3), and longest part before the `@`.
pub const LONGEST: usize = 254;
const LOCAL: usize = 64;

/// How long an address is kept after it was last needed, and how often that is noted.
const LIFE: Duration = Duration::from_secs(365 * 86_400);
const NOTED: i64 = 30 * 86_400_000;

/// As it is kept. `None`: they do not want to give one.
#[derive(Serialize, Deserialize)]
struct Kept {
    email: Option<String>,
    /// Unix milliseconds.
    at: i64,
}

/// What was typed is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoAddress;

/// An app that asks for addresses, for the person's own page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppEmail {
    pub client: String,
    pub name: String,
    pub email: Option<String>,
}

/// An address as typed; nothing where nothing was. Strict: what is told to apps must be harmless wherever it is shown or sent.
pub fn read(text: &str) -> Result<Option<String>, NoAddress> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let (local, domain) = text.rsplit_once('@').ok_or(NoAddress)?;
    let word = |part: &str| {
        let atext = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte);
        !part.is_empty() && part.bytes().all(atext)
    };
    // A name of another alphabet as DNS has it.
    let Ok(Host::Domain(domain)) = Host::parse(domain) else { return Err(NoAddress) };
    let named = |label: &str| {
        let plain = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        plain && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = domain.rsplit('.').next().unwrap_or_default();
    // Those that we make up are nobody's to give (RFC 2606 §2).
    let fine = local.len() <= LOCAL
        && local.split('.').all(word)
        && domain.contains('.')
        && domain.split('.').all(named)
        && last != "invalid"
        && !last.bytes().all(|byte| byte.is_ascii_digit());
    let address = format!("{local}@{domain}");
    if fine && address.len() <= LONGEST { Ok(Some(address)) } else { Err(NoAddress) }
}

impl Client {
    /// People are asked for an address.
    fn asks(&self) -> bool {
        matches!(self.email, Email::Ask | Email::Required)
    }
}

impl Provider {
    /// What a client is told as `email`, where its request asks for it.
    pub(super) async fn address(
        &self,
        client: &Client,
        sub: &str,
        asked: (&[String], &[String]),
        subject: &str,
    ) -> Result<Option<String>, Unavailable> {
        if !claims::is_asked(client, asked, "email", "email") {
            return Ok(None);
        }
        Ok(match client.email {
            Email::None => None,
            Email::Synthetic => Some(format!("{subject}@{}", self.email_domain)),
            Email::Ask | Email::Required => self.kept_email(client, sub).await?.and_then(|kept| kept.email),
        })
    }

    /// What is still to be asked before a code is given: what is known already, to begin with.
    pub(super) async fn email_to_ask(
        &self,
        client: &Client,
        sub: &str,
        asked: (&[String], &[String]),
        anew: bool,
    ) -> Result<Option<Option<String>>, Unavailable> {
        if !client.asks() || !claims::is_asked(client, asked, "email", "email") {
            return Ok(None);
        }
        let Some(kept) = self.kept_email(client, sub).await? else { return Ok(Some(None)) };
        let settled = !anew && (kept.email.is_some() || client.email == Email::Ask);
        if settled && self.vault.unix_ms().saturating_sub(kept.at) > NOTED {
            self.keep_email(client, sub, kept.email).await?;
            return Ok(None);
        }
        Ok(if settled { None } else { Some(kept.email) })
    }

    /// What somebody typed for the app that waits.
    pub async fn email_given(
        &self,
        id: &str,
        typed: &str,
        signed_in: Option<&SignedIn>,
        flow: &Fingerprint,
    ) -> Result<Step, Unavailable> {
        let Some(mut pending) = self.pending(id, flow).await? else { return Ok(Step::Gone) };
        let Some(client) = self.client(&pending.request.client).await? else { return Ok(Step::Gone) };
        let client = client.as_ref();
        // Whoever was not asked yet whether the app may know them is asked that first.
        let theirs = signed_in.filter(|signed_in| pending.agreed_by(&signed_in.session.sub) && client.asks());
        if let Some(signed_in) = theirs.filter(|signed_in| self.permits(client, signed_in)) {
            match read(typed) {
                Ok(email) if email.is_some() || client.email == Email::Ask => {
                    self.keep_email(client, &signed_in.session.sub, email).await?;
                    pending.email_given = true;
                }
                _ => {
                    let typed = Some(typed.chars().take(LONGEST).collect());
                    return Ok(Step::Email { question: question(id, &pending, client), typed, wrong: true });
                }
            }
        }
        self.next(id.to_owned(), pending, signed_in).await
    }

    /// The apps that this person was asked for an address by.
    pub async fn emails_of(&self, who: &SignedIn) -> Result<Vec<AppEmail>, Unavailable> {
        let asked = self.clients.iter().filter(|client| client.asks()).map(async |client| {
            let kept = self.kept_email(client, &who.session.sub).await?;
            Ok(kept.map(|kept| AppEmail { client: client.id.clone(), name: client.name.clone(), email: kept.email }))
        });
        Ok(try_join_all(asked).await?.into_iter().flatten().collect())
    }

    /// Another address for an app, or none: what it is told from now on.
    pub async fn change_email(
        &self,
        who: &SignedIn,
        client: &str,
        typed: &str,
    ) -> Result<Result<(), NoAddress>, Unavailable> {
        let Some(client) = self.clients.get(client).filter(|client| client.asks()) else { return Ok(Err(NoAddress)) };
        let client = client.as_ref();
        let sub = &who.session.sub;
        // Only whoever was asked: nobody fills the store with what no app wants to know.
        if self.kept_email(client, sub).await?.is_none() {
            return Ok(Err(NoAddress));
        }
        match read(typed) {
            Ok(email) => self.keep_email(client, sub, email).await.map(Ok),
            Err(no) => Ok(Err(no)),
        }
    }

    async fn kept_email(&self, client: &Client, sub: &str) -> Result<Option<Kept>, Unavailable> {
        self.vault.get(self.email_key(client, sub)).await
    }

    async fn keep_email(&self, client: &Client, sub: &str, email: Option<String>) -> Result<(), Unavailable> {
        let kept = Kept { email, at: self.vault.unix_ms() };
        self.vault.put(self.email_key(client, sub), &kept, LIFE).await
    }

    /// Keyed, as consent is.
    fn email_key(&self, client: &Client, sub: &str) -> Key {
        let person = self.vault.pseudonym(format!("person\0{sub}").as_bytes());
        Vault::key(Space::Consent, &["email", &person, &client.id])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_read_strictly_and_as_dns_has_it() {
        for (typed, read_as) in [
            ("", None),
            ("  \t", None),
            (" ivan.petrov+app@Example.RU ", Some("ivan.petrov+app@example.ru")),
            ("o'neil@mail.example.ru", Some("o'neil@mail.example.ru")),
            ("ivan@почта.рф", Some("ivan@xn--80a1acny.xn--p1ai")),
        ] {
            assert_eq!(read(typed), Ok(read_as.map(str::to_owned)), "{typed:?}");
        }
        let (long, label) = ("a".repeat(LOCAL + 1), "b".repeat(64));
        for typed in [
            "ivan",
            "@example.ru",
            "ivan@",
            "ivan@localhost",
            "ivan@127.0.0.1",
            "ivan@[::1]",
            "ivan@example.ru, other@example.ru",
            "ivan@other@example.ru",
            "Иван@example.ru",
            "iv an@example.ru",
            "ivan\r\nbcc@example.ru",
            "<ivan@example.ru>",
            "\"ivan\"@example.ru",
            ".ivan@example.ru",
            "ivan.@example.ru",
            "i..n@example.ru",
            "ivan@example..ru",
            "ivan@.example.ru",
            "ivan@example.ru.",
            "ivan@-example.ru",
            "ivan@exa_mple.ru",
            "ivan@example.ru/path",
            "abc@max.invalid",
            "abc@MAX.INVALID",
            &format!("{long}@example.ru"),
            &format!("ivan@{label}.ru"),
            &format!("ivan@{}ru", "abcdefgh.".repeat(28)),
        ] {
            assert_eq!(read(typed), Err(NoAddress), "{typed:?}");
        }
        let longest = format!("{}@{}ru", "a".repeat(LOCAL), "abcdefgh.".repeat(20));
        assert_eq!(read(&longest), Ok(Some(longest.clone())));
    }
}
