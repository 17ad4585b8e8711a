//! Every source and every error of the settings.

use super::*;

fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_sources(Some((Path::new("site.toml"), file)), variables, &Flags::default())
        .map(|loaded| loaded.config)
        .map_err(|invalid| invalid.to_string())
}

fn error(file: &str, variables: &[(&str, &str)]) -> String {
    load(file, variables).err().expect("an error")
}

#[test]
fn the_embedded_file_is_complete_and_valid() {
    let config = load("", &[]).unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:3001");
    assert_eq!(config.server.allowed_origins[0].to_string(), "http://127.0.0.1:3001");
    assert_eq!(config.upstream.endpoints[0].dialect, Dialect::Binary);
    assert_eq!(config.login.ttl, Duration::from_secs(600));
}

#[test]
fn the_environment_wins_over_the_file_and_may_be_toml_or_plain_text() {
    let config = load(
        "[server]\npublic_url = \"https://a.example\"\n[login]\nstarts_per_minute = 5",
        &[
            ("MAX_AUTH_SERVER_PUBLIC_URL", "https://linkoo.dev"),
            ("MAX_AUTH_LOGIN_STARTS_PER_MINUTE", "0"),
            ("MAX_AUTH_UPSTREAM_ENDPOINTS", "[{ url = \"ws://127.0.0.1:8791/websocket\", dialect = \"json\" }]"),
            ("MAX_AUTH_PORT_3001_TCP", "tcp://10.0.0.1:3001"),
            ("MAX_AUTH_SERVICE_HOST", "10.0.0.1"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.allowed_origins[0].to_string(), "https://linkoo.dev");
    assert_eq!(config.login.starts_per_minute, 0);
    assert_eq!(config.upstream.endpoints[0].dialect, Dialect::Json);
}

#[test]
fn every_error_says_where_and_what_was_expected() {
    for (file, expected) in [
        (
            "\n[server]\nlisten_on = \"x\"",
            "site.toml, line 3: unknown key `server.listen_on`; did you mean `server.listen`?",
        ),
        ("[sever]\nlisten = \"x\"", "site.toml, line 2: unknown key `sever.listen`; did you mean `server.listen`?"),
        ("listen = \"x\"", "site.toml, line 1: unknown key `listen`"),
        ("[server]\nlisten = 3001", "site.toml, line 2: `server.listen`: 3001 is not a text"),
        ("[server]\nlisten = \"nowhere\"", "not an address with a port"),
        ("[server", "site.toml, line 1:"),
        ("[login]\nttl = 600", "is not a duration such as"),
        ("[login]\nttl = \"0s\"", "must be longer than 0"),
        ("[login]\npassword = \"maybe\"", "\"maybe\" is none of \"refuse\", \"ask\""),
        ("[login]\nmax_active = -1", "is not a number from 0"),
        ("[server]\ntrusted_proxies = [\"10.0.0.0/99\"]", "neither an address nor a network"),
        ("[server]\npublic_url = \"example.ru\"", "expected something like \"https://example.ru\""),
        ("[server]\npublic_url = \"https://example.ru/login\"", "server.base_path"),
        ("[server]\nbase_path = \"api\"", "is not a path"),
        ("[server]\nallowed_origins = [\"https://a.example/x\"]", "scheme, host and port"),
        ("[server]\nops_listen = \"127.0.0.1:3001\"", "the operator's must be another"),
        ("[upstream]\nendpoints = []", "needs one endpoint"),
        ("[upstream]\nendpoints = [{ url = \"https://x\", dialect = \"json\" }]", "must begin with wss://"),
        ("[upstream]\nendpoints = [{ url = \"wss://x\" }]", "dialect is missing"),
        ("[upstream]\napp_version = \"latest\"", "is not a version"),
        ("[store]\nkind = \"postgres\"", "is none of \"memory\""),
        ("[log]\nlevel = \"loud\"", "is none of"),
    ] {
        let error = error(file, &[]);
        assert!(error.contains(expected), "{file:?} gave {error:?}");
    }
    assert!(
        error("", &[("MAX_AUTH_SERVER_LISTN", "x")])
            .contains("MAX_AUTH_SERVER_LISTN: unknown key `server.listn`; did you mean `server.listen`?")
    );
}

#[test]
fn a_variable_of_an_unknown_section_names_the_nearest_key() {
    let error = error("", &[("MAX_AUTH_SERVRE_LISTEN", "x")]);
    assert!(
        error.contains("MAX_AUTH_SERVRE_LISTEN: unknown key `servre.listen`; did you mean `server.listen`?"),
        "{error}"
    );
}

#[test]
fn all_errors_are_told_at_once() {
    let error = error("[login]\nttl = 1\npassword = \"x\"\n[log]\nformat = \"xml\"", &[]);
    assert_eq!(error.lines().count(), 3, "{error}");
}

#[test]
fn errors_come_in_the_order_of_the_lines() {
    let file = "[log]\nlevel = \"loud\"\n[login]\nttl = 1\nunknown = 2\n[server]\nlisten = \"nowhere\"";
    let error = error(file, &[("MAX_AUTH_LOGIN_GRACE", "1")]);
    let places: Vec<_> = error.lines().map(|line| line.split(": ").next().unwrap()).collect();
    let expected = ["site.toml, line 2", "site.toml, line 4", "site.toml, line 5", "site.toml, line 7"];
    assert_eq!(places[..4], expected, "{error}");
    assert_eq!(places[4..], ["environment variable MAX_AUTH_LOGIN_GRACE"], "{error}");
}

#[test]
fn without_a_public_address_this_machine_may_sign_in_and_nobody_else() {
    let origins = |listen: &str| {
        let config = load(&format!("[server]\nlisten = \"{listen}\""), &[]).unwrap();
        let origins: Vec<_> = config.server.allowed_origins.iter().map(ToString::to_string).collect();
        (config.server.public_url.to_string(), origins)
    };
    let here = ["http://127.0.0.1:3001".to_owned(), "http://localhost:3001".to_owned()];
    for everywhere in ["0.0.0.0:3001", "[::]:3001", "127.0.0.1:3001"] {
        assert_eq!(origins(everywhere), ("http://127.0.0.1:3001/".to_owned(), here.to_vec()), "{everywhere}");
    }
    let there = "http://192.0.2.7:3001".to_owned();
    assert_eq!(origins("192.0.2.7:3001"), (format!("{there}/"), vec![there]));

    let mut server =
        load("[server]\nlisten = \"127.0.0.1:0\"\npublic_url = \"https://example.ru\"", &[]).unwrap().server;
    server.listens_at("127.0.0.1:4711".parse().unwrap());
    assert_eq!(server.public_url.as_str(), "https://example.ru/", "what was given stays");
}

#[test]
fn texts_are_laid_over_ours_and_unknown_ones_refused() {
    let config =
        load("[texts.ru.shared]\nbutton = \"Войти\"", &[("MAX_AUTH_TEXTS_EN", "{ shared = { title = \"In\" } }")]);
    let texts = config.unwrap().texts;
    assert_eq!(texts.of(Locale::Ru).shared.button, "Войти");
    assert_eq!(texts.of(Locale::En).shared.title, "In");
    let error = error("[texts.ru.shared]\nbuton = \"Войти\"\n[texts.en]\nwidgets = {}", &[]);
    for line in [
        "site.toml, line 1: `texts.ru`: unknown text `shared.buton`; did you mean `shared.button`?",
        "site.toml, line 3: `texts.en`: unknown text `widgets`",
    ] {
        assert!(error.contains(line), "{error}");
    }
}
