//! Apps, groups and allow-lists as a file has them, row by row: what is taken, what is refused and by which key.

use super::super::tests::{error, load};
use super::*;
use crate::config::{Person, secret_hash};

const SECRET_HASH: &str = "secret_hash = \"sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"\n";

/// One client: what every one needs, and more.
fn client(more: &str) -> Result<Client, String> {
    let file = format!(
        "[[oidc.clients]]\nid = \"app\"\nredirect_uris = [\"https://app.example.ru/cb\"]\n{more}\n[groups]\nadmins = [\"max:7\"]"
    );
    load(&file, &[]).map(|config| config.oidc.clients[0].clone())
}

/// Why one is not taken.
fn wrong(more: &str) -> String {
    client(more).err().unwrap_or_else(|| panic!("{more} is taken"))
}

fn fine(more: &str) -> Client {
    client(&format!("{SECRET_HASH}{more}")).unwrap()
}

fn refused(more: &str) -> String {
    wrong(&format!("{SECRET_HASH}{more}"))
}

#[test]
fn a_preset_says_what_its_app_needs() {
    let told = |name: &str| {
        let client = fine(&format!("preset = \"{name}\""));
        let scopes = client.scopes.iter().filter(|scope| !["openid", "profile", "email"].contains(&scope.as_str()));
        let scopes: Vec<&str> = scopes.map(String::as_str).collect();
        let refresh = client.grants.contains(&GrantType::RefreshToken);
        assert!(client.grants.contains(&GrantType::AuthorizationCode));
        format!("{name} {} {refresh} {:?} {}", client.pkce_optional, client.email, scopes.join(","))
    };
    let all = [
        "authjs false false None ",
        "gitea true false Synthetic groups",
        "gitlab false false None ",
        "grafana false true Synthetic groups",
        "keycloak true false None ",
        "mod_auth_openidc false true None groups",
        "nextcloud true false None groups",
        "oauth2-proxy false true Synthetic groups",
        "portainer true false None ",
        "synapse false false None ",
    ];
    for expected in all {
        assert_eq!(told(expected.split(' ').next().unwrap()), expected);
    }
    let other = fine(
        "preset = \"grafana\"\nemail = \"none\"\npkce = \"optional\"\nscopes = [\"phone\"]\ngrants = [\"device_code\"]",
    );
    assert_eq!((other.email, other.pkce_optional), (Email::None, true), "what is said wins");
    assert_eq!(other.scopes.iter().map(String::as_str).collect::<Vec<_>>(), ["openid", "phone"]);
    assert_eq!(other.grants, [GrantType::DeviceCode]);
    assert!(refused("preset = \"grafan\"").contains("preset"));
}

#[test]
fn a_client_proves_who_it_is_in_one_way() {
    assert!(!fine("").is_public() && !fine("auth = \"basic\"").is_public() && !fine("auth = \"post\"").is_public());
    let public = client("auth = \"none\"").unwrap();
    assert!(public.is_public() && !public.pkce_optional);
    assert!(client("auth = \"none\"\npkce = \"optional\"").is_err(), "PKCE is all it has");
    assert!(client("auth = \"none\"\npreset = \"gitea\"").is_ok(), "though a preset may do without");
    assert!(wrong("").contains("secret_hash"));
    assert!(refused("secret = \"0123456789abcdef\"").contains("one is enough"));
    assert!(refused("auth = \"none\"").contains("without a secret"));
    assert!(wrong("secret = \"0123456789abcde\"").contains("can be guessed"));
    assert!(client("secret = \"0123456789abcdef\"").unwrap().secret_in_clear && !fine("").secret_in_clear);
    for bad in ["", "AAAA", "sha256:", "sha256:AAAA", "md5:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
        assert!(wrong(&format!("secret_hash = \"{bad}\"")).contains("secret_hash"), "{bad}");
    }
    let hash = secret_hash("a secret");
    let ClientAuth::Secret(known) = client(&format!("secret_hash = \"{hash}\"")).unwrap().auth else { panic!() };
    assert!(known.matches(&crate::base::id::Fingerprint::of(b"a secret")));
    let key = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let keyed = |jwks: &str| client(&format!("auth = \"private_key_jwt\"\njwks = '{jwks}'"));
    assert!(matches!(keyed(key).unwrap().auth, ClientAuth::Keys(keys) if keys.len() == 1));
    for (jwks, why) in [
        ("{", "no JSON"),
        ("{}", "keys"),
        (r#"{"keys":[]}"#, "1 to 10"),
        (r#"{"keys":[{"kty":"oct","k":"AA"}]}"#, "key 1"),
        (&key.replace("}]}", "},{}]}"), "key 2"),
    ] {
        assert!(keyed(jwks).err().unwrap().contains(why), "{jwks}");
    }
    assert!(wrong("auth = \"private_key_jwt\"").contains("jwks"));
    assert!(wrong(&format!("jwks = '{key}'")).contains("private_key_jwt"));
    assert!(refused(&format!("auth = \"private_key_jwt\"\njwks = '{key}'")).contains("no secret"));
}

#[test]
fn what_a_client_may_not_have_is_refused_with_its_key() {
    for (more, key) in [
        ("name = \"\"", "name"),
        ("name = \"a\\nb\"", "name"),
        ("scopes = [\"everything\"]", "scopes"),
        ("grants = [\"password\"]", "grants"),
        ("subject = \"secret\"", "subject"),
        ("email = \"real\"", "email"),
        ("consent = \"always\"", "consent"),
        ("id_token_alg = \"none\"", "id_token_alg"),
        ("resources = [\"api\"]", "resources"),
        ("resources = [\"https://api.example.ru/#x\"]", "resources"),
        ("backchannel_logout_uri = \"app\"", "backchannel_logout_uri"),
        ("backchannel_logout_uri = \"https://app.example.ru/#x\"", "backchannel_logout_uri"),
        ("backchannel_logout_uri = \"https://u@app.example.ru/\"", "backchannel_logout_uri"),
        ("post_logout_redirect_uris = [\"app\"]", "post_logout_redirect_uris"),
        ("allow = [\"group:nobody\"]", "allow"),
        ("allow = [\"max:0\"]", "allow"),
        ("colour = \"red\"", "colour"),
    ] {
        assert!(refused(more).contains(key), "{more}: {}", refused(more));
    }
    let long = format!("resources = [\"https://api.example.ru/{}\"]", "x".repeat(500));
    assert!(refused(&long).contains("resources"));
    let all = fine(
        "resources = [\"https://api.example.ru/\"]\nallow = [\"group:admins\"]\nsector = \"s\"\nid_token_alg = \"EdDSA\"",
    );
    assert_eq!((all.resources.len(), all.sector.as_str(), all.id_token_alg), (1, "s", SigningAlgorithm::EdDsa));
    assert_eq!((fine("").sector.as_str(), fine("").name.as_str()), ("app", "app"));
    let twice = "[[oidc.clients]]\nid = \"app\"\nauth = \"none\"\nredirect_uris = [\"https://a.ru/\"]\n";
    assert!(error(&twice.repeat(2), &[]).contains("two clients of that id"));
    for bad in ["", "a b", "a/b", &"x".repeat(101)] {
        let file = format!("[[oidc.clients]]\nid = \"{bad}\"\nauth = \"none\"\nredirect_uris = [\"https://a.ru/\"]");
        assert!(error(&file, &[]).contains("`id`"), "{bad}");
    }
}

#[test]
fn an_issuer_is_an_address_without_a_slash_at_its_end() {
    let issuer = |text: &str| load(&format!("[oidc]\nissuer = \"{text}\""), &[]).map(|config| config.oidc.issuer);
    for fine in ["https://id.example.ru", "https://example.ru/id", "http://127.0.0.1:3001"] {
        assert_eq!(issuer(fine).unwrap().as_deref(), Some(fine));
    }
    assert_eq!(issuer("").unwrap(), None);
    for bad in [
        "id.example.ru",
        "https://id.example.ru/",
        "https://id.example.ru?x=1",
        "https://id.example.ru#x",
        "https://u@id.example.ru",
        "ftp://id.example.ru",
        "mailto:x",
    ] {
        assert!(issuer(bad).unwrap_err().contains("oidc.issuer"), "{bad}");
    }
    for (key, bad) in [("key_life", "59m"), ("key_life", "2881h"), ("token_ttl", "0s"), ("email_domain", "example.ru")]
    {
        assert!(error(&format!("[oidc]\n{key} = \"{bad}\""), &[]).contains(key), "{key}");
    }
}

#[test]
fn somebody_is_meant_by_number_phone_or_group() {
    let allow = |who: &str| {
        let file = format!("[session]\nallow = [\"{who}\"]\n[groups]\nadmins = [\"max:7\", \"phone:+79990000000\"]");
        load(&file, &[])
    };
    let permits = |who: &str, id: &str, phone: Option<&str>| {
        let config = allow(who).unwrap();
        config.session.allow.permits(&Person { id, phone }, &config.groups)
    };
    for (who, id, phone, expected) in [
        ("max:7", "7", None, true),
        ("max:7", "77", None, false),
        ("phone:+79990000000", "1", Some("+79990000000"), true),
        ("phone:+79990000000", "1", None, false),
        ("group:admins", "7", None, true),
        ("group:admins", "1", Some("+79990000000"), true),
        ("group:admins", "1", Some("+79990000001"), false),
    ] {
        assert_eq!(permits(who, id, phone), expected, "{who} {id} {phone:?}");
    }
    for bad in [
        "max:",
        "max:07",
        "max:x",
        "max:12345678901234567890",
        "phone:79990000000",
        "phone:+",
        "phone:+7999x",
        "phone:+1234567890123456",
        "group:",
        "group:a b",
        "group:nobody",
        "7",
        "",
    ] {
        assert!(allow(bad).is_err(), "{bad}");
    }
    assert!(error("[groups]\n\"a b\" = [\"max:7\"]", &[]).contains("letters, digits"));
    assert!(error("[groups]\nadmins = [\"group:admins\"]\n", &[]).contains("no groups"));
    let phones = |file: &str| load(file, &[]).unwrap();
    assert!(phones("[groups]\na = [\"phone:+79990000000\"]").groups.name_phones());
    assert!(!phones("[groups]\na = [\"max:7\"]").groups.name_phones());
    assert!(phones("[session]\nallow = [\"phone:+79990000000\"]").session.allow.names_phones());
    assert!(!phones("[session]\nallow = [\"max:7\"]").session.allow.names_phones());
}
