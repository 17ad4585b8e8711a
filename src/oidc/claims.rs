//! What an app is told of a person: by scope, and by name. What is not known is left out, never null or empty.

use super::vault::Vault;
use crate::config::{Client, Email, Groups, Person, Subject};
use crate::session::{SessionId, SignedIn};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Authentication context and method (OpenID Connect Core §2): the QR code of an account of MAX.
pub const ACR: &str = "urn:max-auth:account-qr";
pub const AMR: [&str; 1] = ["max_qr"];

/// Every claim and the scope that gives it.
pub const CLAIMS: [(&str, &str); 12] = [
    ("name", "profile"),
    ("given_name", "profile"),
    ("family_name", "profile"),
    ("preferred_username", "profile"),
    ("picture", "profile"),
    ("updated_at", "profile"),
    ("email", "email"),
    ("email_verified", "email"),
    ("phone_number", "phone"),
    ("phone_number_verified", "phone"),
    ("groups", "groups"),
    ("max_id", "max:id"),
];

/// Who signed in when, as codes and tokens carry it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Authentication {
    /// MAX's number of the account.
    pub max_id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Unix milliseconds of the scan.
    pub at: i64,
    pub session: SessionId,
}

impl Authentication {
    pub fn of(signed_in: &SignedIn) -> Self {
        let session = &signed_in.session;
        Self {
            max_id: session.sub.clone(),
            name: session.name.clone(),
            first_name: session.first_name.clone(),
            last_name: session.last_name.clone(),
            picture: session.picture.clone(),
            phone: signed_in.phone.clone(),
            at: session.auth_time,
            session: signed_in.id.clone(),
        }
    }

    pub fn person(&self) -> Person<'_> {
        Person { id: &self.max_id, phone: self.phone.as_deref() }
    }
}

/// What the client knows a person by. Pairwise ones cannot be compared between sectors, nor led back to an account.
pub fn subject(client: &Client, max_id: &str, vault: &Vault) -> String {
    match client.subject {
        Subject::Public => max_id.to_owned(),
        Subject::Pairwise => vault.pseudonym(format!("subject\0{}\0{max_id}", client.sector).as_bytes()),
    }
}

/// Everything that the client may know: what its scopes give, and what it asked for by name and might have had by a scope.
pub fn claims(
    client: &Client,
    who: &Authentication,
    (scope, by_name): (&[String], &[String]),
    (groups, email_domain): (&Groups, &str),
    subject: &str,
) -> Map<String, Value> {
    let has = |claim: &str, of: &str| {
        let given = scope.iter().any(|scope| scope == of);
        given || (client.scopes.contains(of) && by_name.iter().any(|name| name == claim))
    };
    let value = |claim: &str| -> Option<Value> {
        Some(match claim {
            "name" => json!(who.name),
            "given_name" => json!(who.first_name.as_ref()?),
            "family_name" => json!(who.last_name.as_ref()?),
            // Of the subject: a number of MAX's would let apps compare their users.
            "preferred_username" => match client.subject {
                Subject::Public => json!(format!("max{}", who.max_id)),
                Subject::Pairwise => json!(format!("max-{}", subject.get(..10)?.to_ascii_lowercase())),
            },
            "picture" => json!(who.picture.as_ref()?),
            "updated_at" => json!(who.at / 1000),
            "email" if client.email == Email::Synthetic => json!(format!("{subject}@{email_domain}")),
            // Never true: whoever links accounts by address must not be led to trust one that reaches nobody.
            "email_verified" if client.email == Email::Synthetic => json!(false),
            "phone_number" => json!(who.phone.as_ref()?),
            "phone_number_verified" => who.phone.as_ref().map(|_| json!(true))?,
            "groups" => json!(groups.of(&who.person())),
            "max_id" => json!(who.max_id),
            _ => return None,
        })
    };
    let mut all = Map::from_iter([("sub".to_owned(), json!(subject))]);
    let told = CLAIMS.iter().filter(|(claim, of)| has(claim, of));
    all.extend(told.filter_map(|(claim, _)| Some(((*claim).to_owned(), value(claim)?))));
    all
}
