//! What a client of `[[oidc.clients]]` may say, and what follows where it says nothing.

use super::super::tests::{error, load};
use super::*;
use crate::base::id::Fingerprint;
use crate::config::secret_hash;

const APP: &str = r#"
id = "app"
secret = "0123456789abcdef"
redirect_uris = ["https://app.example.ru/cb"]
"#;

fn read(text: &str) -> Result<Client, String> {
    let groups = load("[groups]\nadmins = [\"max:7\"]", &[]).unwrap().groups;
    client(&toml::from_str(text).unwrap(), &groups)
}

/// [`APP`], and these lines.
fn app(more: &str) -> Result<Client, String> {
    read(&format!("{APP}{more}"))
}

/// A client without a secret.
fn public(more: &str) -> Result<Client, String> {
    read(&format!("id = \"app\"\nredirect_uris = [\"https://app.example.ru/cb\"]\n{more}"))
}

fn scopes(client: &Client) -> String {
    client.scopes.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_client_that_says_little_gets_what_is_usual() {
    let client = app("").unwrap();
    assert_eq!((client.id.as_str(), client.name.as_str(), client.sector.as_str()), ("app", "app", "app"));
    assert_eq!(client.redirect_uris, ["https://app.example.ru/cb"]);
    assert!(!client.is_public() && !client.pkce_optional && client.allow.is_everybody());
    assert_eq!(scopes(&client), "email openid profile");
    assert_eq!(client.grants, [GrantType::AuthorizationCode]);
    assert_eq!((client.subject, client.email, client.consent), (Subject::Pairwise, Email::None, Consent::Remember));
    assert_eq!(client.id_token_alg, SigningAlgorithm::Rs256);
    assert!(client.post_logout_redirect_uris.is_empty() && client.resources.is_empty());
}

#[test]
fn every_key_of_a_client_reaches_its_field() {
    let client = app(r#"
name = "An app"
pkce = "optional"
scopes = ["groups", "offline_access"]
grants = ["refresh_token", "authorization_code"]
subject = "public"
sector = "apps"
email = "synthetic"
consent = "never"
post_logout_redirect_uris = ["https://app.example.ru/bye"]
id_token_alg = "EdDSA"
allow = ["group:admins"]
resources = ["https://api.example.ru"]
"#)
    .unwrap();
    assert_eq!((client.name.as_str(), client.sector.as_str()), ("An app", "apps"));
    assert!(client.pkce_optional && !client.allow.is_everybody());
    assert_eq!(scopes(&client), "groups offline_access openid", "openid is always among them");
    assert_eq!(client.grants, [GrantType::RefreshToken, GrantType::AuthorizationCode]);
    assert_eq!((client.subject, client.email, client.consent), (Subject::Public, Email::Synthetic, Consent::Never));
    assert_eq!(client.id_token_alg, SigningAlgorithm::EdDsa);
    assert_eq!(app("id_token_alg = \"ES256\"").unwrap().id_token_alg, SigningAlgorithm::Es256);
    assert_eq!(client.post_logout_redirect_uris, ["https://app.example.ru/bye"]);
    assert_eq!(client.resources, ["https://api.example.ru"]);
}

#[test]
fn a_preset_says_what_its_app_needs_and_whoever_writes_more_wins() {
    for (name, pkce_optional, groups, refresh, email) in [
        ("authjs", false, false, false, Email::None),
        ("gitea", true, true, false, Email::Synthetic),
        ("gitlab", false, false, false, Email::None),
        ("grafana", false, true, true, Email::Synthetic),
        ("keycloak", true, false, false, Email::None),
        ("mod_auth_openidc", false, true, true, Email::None),
        ("nextcloud", true, true, false, Email::None),
        ("oauth2-proxy", false, true, true, Email::Synthetic),
        ("portainer", true, false, false, Email::None),
        ("synapse", false, false, false, Email::None),
    ] {
        let client = app(&format!("preset = \"{name}\"")).unwrap();
        assert_eq!((client.pkce_optional, client.email), (pkce_optional, email), "{name}");
        assert_eq!(scopes(&client), if groups { "email groups openid profile" } else { "email openid profile" });
        assert_eq!(client.grants.contains(&GrantType::RefreshToken), refresh, "{name}");
        assert_eq!(client.grants[0], GrantType::AuthorizationCode, "{name}");
    }
    let written = "preset = \"gitea\"\npkce = \"required\"\nscopes = []\nemail = \"none\"";
    let client = app(written).unwrap();
    assert_eq!((client.pkce_optional, client.email, scopes(&client).as_str()), (false, Email::None, "openid"));
    let grants = app("preset = \"grafana\"\ngrants = [\"authorization_code\"]").unwrap().grants;
    assert_eq!(grants, [GrantType::AuthorizationCode]);
    assert!(app("preset = \"office\"").err().unwrap().starts_with("`preset`: \"office\" is none of \"authjs\""));
}

#[test]
fn what_a_client_may_not_say_is_told_with_its_key() {
    let long = |text: &str, count| text.repeat(count);
    for (text, why) in [
        ("redirect_uri = []".to_owned(), "unknown key `redirect_uri`; did you mean `redirect_uris`?"),
        (format!("name = \"{}\"", long("ф", 81)), "`name`: expected a name of at most 80 characters"),
        ("name = \"\"".to_owned(), "`name`: expected a name"),
        ("name = \"a\\tb\"".to_owned(), "`name`: expected a name"),
        ("name = 3".to_owned(), "`name`: 3 is not a text"),
        ("pkce = \"never\"".to_owned(), "`pkce`: \"never\" is none of"),
        ("scopes = [\"openid\", \"mail\"]".to_owned(), "`scopes`: \"mail\" is none of openid, profile"),
        ("grants = [\"password\"]".to_owned(), "`grants`: \"password\" is none of"),
        ("subject = \"x\"".to_owned(), "`subject`: "),
        ("email = \"real\"".to_owned(), "`email`: "),
        (
            "email = \"ask\"\nscopes = [\"profile\"]".to_owned(),
            "`email`: people are asked for what the app may not know",
        ),
        (
            "email = \"required\"\nscopes = [\"profile\"]".to_owned(),
            "`email`: people are asked for what the app may not know",
        ),
        (
            "email = \"required\"\ngrants = [\"device_code\"]".to_owned(),
            "`email`: \"required\" cannot be asked for on a device",
        ),
        ("consent = \"ask\"".to_owned(), "`consent`: "),
        ("id_token_alg = \"none\"".to_owned(), "`id_token_alg`: "),
        ("allow = [\"group:b\"]".to_owned(), "`allow`: there is no group"),
        ("resources = [\"api\"]".to_owned(), "`resources`: \"api\" is not an absolute address"),
        ("resources = [\"https://a.example/#x\"]".to_owned(), "`resources`: "),
        (format!("resources = [\"https://a.example/{}\"]", long("a", 483)), "`resources`: "),
        (
            "post_logout_redirect_uris = [\"/bye\"]".to_owned(),
            "`post_logout_redirect_uris`: \"/bye\" is not an address",
        ),
    ] {
        let told = app(&text).err().expect(&text);
        assert!(told.starts_with(why), "{text}: {told}");
    }
    assert!(app(&format!("name = \"{}\"", long("ф", 80))).is_ok());
    assert!(app(&format!("resources = [\"https://a.example/{}\"]", long("a", 482))).is_ok());

    let uris = "name = \"App\"\nsecret = \"0123456789abcdef\"\nredirect_uris = [\"https://app.example.ru/cb\"]";
    let with_id = |id: &str| read(&format!("id = \"{id}\"\n{uris}"));
    for id in ["a", "A-b_c.9", &long("a", 100)] {
        assert_eq!(with_id(id).unwrap().id, id);
    }
    for id in ["", "a b", "а", &long("a", 101)] {
        assert!(with_id(id).err().unwrap().starts_with("`id`: expected letters"), "{id}");
    }
    assert_eq!(read(uris).err().unwrap(), "`id` is missing");
    assert_eq!(read("id = \"app\"\nauth = \"none\"").err().unwrap(), "`redirect_uris` is missing");
}

#[test]
fn a_client_has_one_secret_or_says_that_it_has_none() {
    let is_secret = |client: Result<Client, String>, secret: &str| match client.unwrap().auth {
        ClientAuth::Secret(hash) => hash.bytes() == Fingerprint::of(secret.as_bytes()).bytes(),
        ClientAuth::Keys(_) | ClientAuth::None => false,
    };
    let hash = format!("secret_hash = \"{}\"", secret_hash("0123456789abcdef"));
    assert!(is_secret(app(""), "0123456789abcdef") && is_secret(app("auth = \"post\""), "0123456789abcdef"));
    assert!(is_secret(public(&hash), "0123456789abcdef"));
    assert!(is_secret(public(&format!("{hash}\nauth = \"basic\"")), "0123456789abcdef"));
    assert!(public("auth = \"none\"").unwrap().is_public() && !public(&hash).unwrap().is_public());
    for (client, why) in [
        (app(&hash), "`secret` and `secret_hash` are both given"),
        (app("auth = \"none\""), "`auth`: \"none\" is a client without a secret"),
        (public(&format!("{hash}\nauth = \"none\"")), "`auth`: \"none\" is a client without a secret"),
        (public(""), "`secret_hash` is missing"),
        (public("auth = \"basic\""), "`secret_hash` is missing"),
        (public("secret = \"0123456789abcde\""), "`secret`: shorter than 16 characters"),
        (public("secret_hash = \"sha256:AAAA\""), "`secret_hash`: expected \"sha256:\""),
        (public(&hash.replace("sha256:", "")), "`secret_hash`: expected \"sha256:\""),
        (public("auth = \"none\"\npkce = \"optional\""), "`pkce`: a client without a secret needs it"),
    ] {
        let told = client.err().expect(why);
        assert!(told.starts_with(why), "{told}");
    }
    assert!(public("auth = \"none\"\npkce = \"required\"").is_ok());
    assert!(public("auth = \"none\"\npreset = \"gitea\"").is_ok(), "what a preset says of apps with a secret");
}

#[test]
fn an_address_of_a_client_is_https_or_here_or_of_a_scheme_of_its_own() {
    let of = |text: &str| redirect_uri(&Value::String(text.to_owned()));
    let long = |length: usize| format!("https://a.example/{}", "a".repeat(length - 18));
    for text in [
        "https://a.example/cb?a=b",
        "http://127.0.0.1/cb",
        "http://[::1]:8080/cb",
        "http://localhost/cb",
        "ru.example.app:/cb",
        &long(1000),
    ] {
        assert_eq!(of(text).as_deref(), Ok(text), "as written");
    }
    for (text, why) in [
        ("/cb", "is not an address"),
        ("https://a.example/#b", "has a fragment"),
        ("https://*.a.example/", "has a *"),
        ("http://a.example/cb", "is not https"),
        ("http://127.0.0.2/cb", "is not https"),
        ("app:/cb", "has a scheme of its own without a dot"),
        ("https://user@a.example/", "has a user in it"),
        ("https://:word@a.example/", "has a user in it"),
        ("https://a.example/ф", "is longer than 1000 characters, or not ASCII"),
        ("https://a.example/a b", "is longer than 1000 characters, or not ASCII"),
        (&long(1001), "is longer than 1000 characters, or not ASCII"),
    ] {
        assert!(of(text).expect_err(text).contains(why), "{text}");
    }
}

#[test]
fn clients_are_a_list_of_which_each_has_another_id() {
    let none = Groups::default();
    let list = |text: &str| clients(&toml::from_str::<Table>(text).unwrap()["oidc"], &none);
    let one =
        |id: &str| format!("[[oidc]]\nid = \"{id}\"\nauth = \"none\"\nredirect_uris = [\"https://a.example/\"]\n");
    let many = |count: usize| (0..count).map(|number| one(&number.to_string())).collect::<String>();
    let ids = |list: Vec<Client>| list.into_iter().map(|client| client.id).collect::<Vec<_>>();
    assert_eq!(ids(list(&many(3)).unwrap()), ["0", "1", "2"]);
    assert_eq!(list(&many(1000)).unwrap().len(), 1000);
    for (text, why) in [
        (many(1001), "more than 1000 clients"),
        (one("a") + &one("b") + &one("a"), "a: there are two clients of that id"),
        (one("a") + "[[oidc]]\n", "client 2: `id` is missing"),
        (one("a") + "[[oidc]]\nid = \"b\"", "b: `redirect_uris` is missing"),
        ("oidc = 3".to_owned(), "is no list of tables"),
        ("oidc = [3]".to_owned(), "is no list of tables"),
    ] {
        let told = list(&text).err().expect(why);
        assert!(told.starts_with(why), "{told}");
    }
}

#[test]
fn the_section_s_own_keys_have_bounds() {
    let with = |line: &str| load(&format!("[oidc]\n{line}"), &[]).map(|config| config.oidc);
    let oidc = with(
        "issuer = \"https://id.example.ru/a\"\ntoken_ttl = \"7m\"\nrefresh_ttl = \"8d\"\nkey_life = \"9d\"\n\
         email_domain = \"a-1.invalid\"",
    )
    .unwrap();
    assert_eq!(oidc.issuer.as_deref(), Some("https://id.example.ru/a"));
    assert_eq!((oidc.token_ttl, oidc.refresh_ttl), (Duration::from_secs(420), Duration::from_secs(8 * 86_400)));
    assert_eq!((oidc.key_life, oidc.email_domain.as_str()), (Duration::from_secs(9 * 86_400), "a-1.invalid"));
    assert!(oidc.clients.is_empty() && with("issuer = \"\"").unwrap().issuer.is_none());
    for line in ["key_life = \"1h\"", "key_life = \"120d\"", "issuer = \"http://127.0.0.1:3001\""] {
        assert!(with(line).is_ok(), "{line}");
    }
    let domain = |length: usize| format!("email_domain = \"{}.invalid\"", "a".repeat(length - 8));
    assert!(with(&domain(100)).is_ok());
    for (line, why) in [
        ("key_life = \"59m\"", "`oidc.key_life`: is shorter than an hour"),
        ("key_life = \"121d\"", "`oidc.key_life`: is longer than 120 days"),
        (&domain(101), "is not a name under .invalid"),
        ("email_domain = \"example.ru\"", "is not a name under .invalid"),
        ("email_domain = \"A.invalid\"", "is not a name under .invalid"),
        ("email_domain = \"a_b.invalid\"", "is not a name under .invalid"),
        ("issuer = \"id.example.ru\"", "`oidc.issuer`: \"id.example.ru\": "),
        ("issuer = \"ftp://id.example.ru\"", "is not an address such as"),
        ("issuer = \"https://id.example.ru?a\"", "is not an address such as"),
        ("issuer = \"https://id.example.ru#a\"", "is not an address such as"),
        ("issuer = \"https://user@id.example.ru\"", "is not an address such as"),
        ("issuer = \"https://id.example.ru/\"", "must not end with a slash"),
    ] {
        let error = error(&format!("[oidc]\n{line}"), &[]);
        assert!(error.contains(why), "{line}: {error}");
    }
}
