//! What a configuration allows that a careful operator might not have meant: right, and weaker than it could be.

use super::{Client, Config, Consent, Email, Merge, PasswordPolicy, Receive, StoreKind, Subject};
use crate::base::driver_name::DriverName;
use url::Url;

impl Config {
    /// For `config check`: each with the key to change.
    pub fn weaknesses(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut say = |weak: bool, text: String| {
            if weak {
                found.push(text);
            }
        };
        say(
            self.session.allow.is_everybody(),
            "session.allow names nobody: every MAX account may sign in to the site and pass /verify".to_owned(),
        );
        say(
            !is_safe(&self.server.public_url),
            format!("server.public_url {} is not https: cookies can be read on the way", self.server.public_url),
        );
        say(
            self.server.trusted_proxies.iter().any(|net| net.prefix_len() == 0),
            "server.trusted_proxies believes everybody: any visitor can claim any address and host".to_owned(),
        );
        say(
            self.session.backchannel_logout_uri.as_deref().is_some_and(is_open),
            "session.backchannel_logout_uri is http: who signs out can be read on the way".to_owned(),
        );
        say(self.login.starts_per_minute == 0, "login.starts_per_minute = 0: no limit for one address".to_owned());
        say(
            self.login.password == PasswordPolicy::Ask,
            "login.password = \"ask\": visitors learn to type their MAX password on a page that is not MAX's"
                .to_owned(),
        );
        let forgetful = self.store.kind == StoreKind::Memory;
        say(
            forgetful && self.store.key_file.is_none() && self.oidc.clients.iter().any(is_pairwise),
            "store.kind = \"memory\" without store.key_file: after a restart every person is somebody new to the apps \
             (subject = \"pairwise\")"
                .to_owned(),
        );
        say(
            self.oidc.documents.as_ref().is_some_and(|documents| documents.allow.is_everybody()),
            "oidc.client_id_metadata_allow names nobody: every MAX account may sign in to apps that nobody registered"
                .to_owned(),
        );
        let official = self.official.as_ref();
        let has = |driver| self.login.drivers.contains(&driver);
        say(
            official.is_some_and(|official| !official.mini_app.match_code),
            "driver.mini_app.match_code = false: whoever sends a person a link is signed in as them by one \"yes\""
                .to_owned(),
        );
        say(
            official.is_some() && has(DriverName::AccountQr),
            "login.drivers has account_qr beside the bot: whoever begins a login chooses, and by account_qr no number on the screen \
             stands between a relayed code and the person"
                .to_owned(),
        );
        say(
            official.is_some_and(|official| official.bot.token_is_open),
            "driver.bot.token_file can be read by other users of this machine (chmod 600): whoever has the token is the bot".to_owned(),
        );
        say(
            official.is_some_and(|official| official.merge == Merge::All),
            "identity.merge = true: nobody at MAX promises that an account's number is the bot's number of the same person; \
             where it is not, somebody signs in as somebody else"
                .to_owned(),
        );
        say(
            official.is_some_and(|official| official.merge == Merge::Off) && has(DriverName::Bot) && has(DriverName::MiniApp),
            "identity.merge = false with both bot and mini_app: a person who uses one today and the other tomorrow is two people \
             to the site; \"official\" makes them one"
                .to_owned(),
        );
        say(
            official.is_some_and(|official| official.bot.receive == Receive::Poll) && has(DriverName::Bot),
            "driver.bot.receive = \"poll\": MAX means it for development, and one asker at a time".to_owned(),
        );
        found.extend(self.oidc.clients.iter().flat_map(of_client));
        found
    }
}

fn is_pairwise(client: &Client) -> bool {
    client.subject == Subject::Pairwise
}

/// Read by whoever is on the way.
fn is_open(uri: &str) -> bool {
    Url::parse(uri).is_ok_and(|url| url.scheme() == "http" && !is_safe(&url))
}

fn of_client(client: &Client) -> Vec<String> {
    let cases = [
        (client.allow.is_everybody(), "allow names nobody: every MAX account may sign in to it"),
        (
            client.pkce_optional && !client.is_public(),
            "pkce = \"optional\": a code that leaks is worth more (RFC 9700 §2.1.1)",
        ),
        (client.secret_in_clear, "secret is in the file in clear: secret_hash is enough (max-auth keys client-secret)"),
        (client.consent == Consent::Never, "consent = \"never\": people are not asked before it learns who they are"),
        (
            matches!(client.email, Email::Ask | Email::Required),
            "email: people type what they like: the app must let nobody in by an address alone",
        ),
        (client.subject == Subject::Public, "subject = \"public\": it can compare its users with those of other apps"),
        (
            client.backchannel_logout_uri.as_deref().is_some_and(is_open),
            "backchannel_logout_uri is http: who signs out can be read on the way",
        ),
    ];
    let said = cases.into_iter().filter(|(weak, _)| *weak);
    said.map(|(_, text)| format!("oidc.clients {:?}: {text}", client.id)).collect()
}

/// Nobody is in between.
fn is_safe(url: &Url) -> bool {
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    url.scheme() == "https" || local
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAREFUL: &str = r#"
        [server]
        public_url = "https://example.ru"
        [session]
        allow = ["max:7"]
        [[oidc.clients]]
        id = "app"
        secret_hash = "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        redirect_uris = ["https://app.example.ru/cb", "http://127.0.0.1/cb"]
        backchannel_logout_uri = "https://app.example.ru/out"
        allow = ["max:7"]
    "#;

    #[test]
    fn a_careful_configuration_has_none_and_each_weakness_names_its_key() {
        assert_eq!(Config::of(CAREFUL).weaknesses(), [] as [String; 0]);
        for (from, to, key) in [
            ("[session]\n        allow = [\"max:7\"]", "", "session.allow"),
            ("https://example.ru", "http://example.ru", "server.public_url"),
            ("[session]", "trusted_proxies = [\"0.0.0.0/0\"]\n[session]", "server.trusted_proxies"),
            (
                "[session]",
                "[session]\nbackchannel_logout_uri = \"http://app.example.ru/out\"",
                "session.backchannel_logout_uri",
            ),
            ("[session]", "[login]\nstarts_per_minute = 0\n[session]", "login.starts_per_minute"),
            ("[session]", "[login]\npassword = \"ask\"\n[session]", "login.password"),
            ("[session]", "[store]\nkind = \"memory\"\n[session]", "store.kind"),
            ("[session]", "[oidc]\nclient_id_metadata_documents = true\n[session]", "oidc.client_id_metadata_allow"),
            ("/out\"\n        allow = [\"max:7\"]", "/out\"", "\"app\": allow"),
            ("id = \"app\"", "id = \"app\"\npkce = \"optional\"", "\"app\": pkce"),
            (
                "secret_hash = \"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"",
                "secret = \"0123456789abcdef\"",
                "\"app\": secret is",
            ),
            ("id = \"app\"", "id = \"app\"\nconsent = \"never\"", "\"app\": consent"),
            ("id = \"app\"", "id = \"app\"\nemail = \"ask\"", "\"app\": email"),
            ("id = \"app\"", "id = \"app\"\nemail = \"required\"", "\"app\": email"),
            ("id = \"app\"", "id = \"app\"\nsubject = \"public\"", "\"app\": subject"),
            ("https://app.example.ru/out", "http://app.example.ru/out", "\"app\": backchannel_logout_uri"),
        ] {
            let changed = CAREFUL.replace(from, to);
            assert_ne!(changed, CAREFUL, "{key}");
            let found = Config::of(&changed).weaknesses();
            assert!(found.len() == 1 && found[0].contains(key), "{key}: {found:?}");
        }
    }
}
