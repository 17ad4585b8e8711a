//! What an app is told of a person: by scope, and by name. What is not known is left out, never null or empty.

use crate::base::driver_name::DriverName;
use crate::config::{Client, Groups, Person, Subject};
use crate::session::SignedIn;
use crate::store::Vault;
use serde_json::{Map, Value, json};

/// Authentication context class (OpenID Connect Core §2): who asked MAX.
pub const fn acr(driver: DriverName) -> &'static str {
    match driver {
        DriverName::AccountQr => "urn:max-auth:account-qr",
        DriverName::Bot => "urn:max-auth:bot",
        DriverName::MiniApp => "urn:max-auth:mini-app",
    }
}

/// Authentication methods (the same): how. The official drivers ask for a number that the browser shows.
pub const fn amr(driver: DriverName) -> &'static [&'static str] {
    match driver {
        DriverName::AccountQr => &["max_qr"],
        DriverName::Bot => &["max_bot"],
        DriverName::MiniApp => &["max_mini_app"],
    }
}

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

/// As allow-lists and groups look at somebody.
pub fn person(who: &SignedIn) -> Person<'_> {
    Person { id: &who.session.sub, phone: who.phone.as_deref() }
}

/// What the client knows a person by. Pairwise ones cannot be compared between sectors, nor led back to an account.
pub fn subject(client: &Client, max_id: &str, vault: &Vault) -> String {
    match client.subject {
        Subject::Public => max_id.to_owned(),
        Subject::Pairwise => vault.pseudonym(format!("subject\0{}\0{max_id}", client.sector).as_bytes()),
    }
}

/// Whether a claim is among what was asked for, by its scope or by its name.
pub fn is_asked(client: &Client, (scope, by_name): (&[String], &[String]), claim: &str, of: &str) -> bool {
    let given = scope.iter().any(|scope| scope == of);
    given || (client.scopes.contains(of) && by_name.iter().any(|name| name == claim))
}

/// Everything that the client may know: what its scopes give, and what it asked for by name and might have had by a scope.
pub fn claims(
    client: &Client,
    who: &SignedIn,
    asked: (&[String], &[String]),
    (groups, email): (&Groups, Option<&str>),
    subject: &str,
) -> Map<String, Value> {
    let session = &who.session;
    let value = |claim: &str| -> Option<Value> {
        Some(match claim {
            "name" => json!(session.name),
            "given_name" => json!(session.first_name.as_ref()?),
            "family_name" => json!(session.last_name.as_ref()?),
            // Of the subject: a number of MAX's would let apps compare their users.
            "preferred_username" => match client.subject {
                Subject::Public => json!(format!("max{}", session.sub.replace([':', '_'], "-"))),
                Subject::Pairwise => json!(username(subject)),
            },
            "picture" => json!(session.picture.as_ref()?),
            "updated_at" => json!(session.auth_time / 1000),
            "email" => json!(email?),
            // Never true: whoever links accounts by address must not be led to trust one that nobody looked at.
            "email_verified" => email.map(|_| json!(false))?,
            "phone_number" => json!(who.phone.as_ref()?),
            "phone_number_verified" => who.phone.as_ref().map(|_| json!(true))?,
            "groups" => json!(groups.of(&person(who))),
            "max_id" => json!(session.sub),
            _ => return None,
        })
    };
    let mut all = Map::from_iter([("sub".to_owned(), json!(subject))]);
    let told = CLAIMS.iter().filter(|(claim, of)| is_asked(client, asked, claim, of));
    all.extend(told.filter_map(|(claim, _)| Some(((*claim).to_owned(), value(claim)?))));
    all
}

/// Letters and digits alone behind the prefix: Gitea and others refuse a name with two of `-_.` in a row, or one at its end.
fn username(subject: &str) -> String {
    let plain = subject.chars().filter(char::is_ascii_alphanumeric).take(10);
    format!("max-{}", plain.collect::<String>().to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::username;

    #[test]
    fn a_name_made_of_a_subject_is_one_that_apps_take() {
        assert_eq!(username("-_Ab-C_9deFGHIJKLm-"), "max-abc9defghi");
    }
}
