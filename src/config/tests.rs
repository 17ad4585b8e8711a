//! Every source and every error of the settings.

use super::*;

impl Config {
    /// For tests: of a file and nothing else.
    pub fn of(file: &str) -> Self {
        Self::from_sources(Some((Path::new("test.toml"), file)), std::iter::empty(), &Flags::default()).unwrap().config
    }
}

pub(super) fn load(file: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::from_sources(Some((Path::new("site.toml"), file)), variables, &Flags::default())
        .map(|loaded| loaded.config)
        .map_err(|invalid| invalid.to_string())
}

pub(super) fn error(file: &str, variables: &[(&str, &str)]) -> String {
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

#[test]
fn every_key_reaches_its_field() {
    let file = r#"
[server]
listen = "127.0.0.2:4001"
ops_listen = "127.0.0.3:4002"
public_url = "https://example.ru"
base_path = "/a-b_c.d~1/max"
trusted_proxies = ["10.0.0.0/8", "192.0.2.1"]
allowed_origins = ["https://app.example.ru", "https://example.ru:8443"]
public_health = true
stop_timeout = "1500ms"
[upstream]
endpoints = [
  { url = "wss://a.example/ws", dialect = "json" },
  { url = "ws://127.0.0.1:1/ws", dialect = "binary" },
]
app_version = "26.10.1"
ca_file = "roots.pem"
answer_timeout = "2s"
give_up_after = "3m"
[login]
first_message_timeout = "4s"
poll_interval = "6s"
ttl = "7m"
grace = "8s"
grace_phone = "9s"
max_active = 11
starts_per_minute = 12
password = "ask"
[session]
ttl = "13h"
phone = false
[store]
path = "state"
[audit]
to = "journald"
path = "who.jsonl"
people = "masked"
[traces]
endpoint = "http://127.0.0.1:4318/v1/traces"
percent = 7
[log]
level = "trace"
format = "json"
"#;
    let Config { server, upstream, login, session, store, audit, traces, log, .. } = load(file, &[]).unwrap();
    let text = |list: &[Origin]| list.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(server.listen.to_string(), "127.0.0.2:4001");
    assert_eq!(server.ops_listen.to_string(), "127.0.0.3:4002");
    assert_eq!((server.public_url.as_str(), server.public_url_given), ("https://example.ru/", true));
    assert_eq!(server.base_path, "/a-b_c.d~1/max");
    let networks: Vec<String> = server.trusted_proxies.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["10.0.0.0/8", "192.0.2.1/32"]);
    let origins = ["https://app.example.ru", "https://example.ru:8443"];
    assert_eq!(text(&server.allowed_origins), origins, "what is listed is all");
    assert_eq!((server.stop_timeout, server.public_health), (Duration::from_millis(1500), true));

    let endpoints: Vec<_> = upstream.endpoints.iter().map(|one| (one.url.as_str(), one.dialect)).collect();
    assert_eq!(endpoints, [("wss://a.example/ws", Dialect::Json), ("ws://127.0.0.1:1/ws", Dialect::Binary)]);
    assert_eq!(upstream.app_version, "26.10.1");
    assert_eq!(upstream.ca_file.as_deref(), Some(Path::new("roots.pem")));
    assert_eq!(upstream.answer_timeout, Duration::from_secs(2));
    assert_eq!(upstream.give_up_after, Duration::from_secs(180));

    assert_eq!((audit.to, audit.people), (AuditTo::Journald, AuditPeople::Masked));
    assert_eq!(audit.path, Path::new("who.jsonl"));
    let endpoint = traces.endpoint.as_ref().map(Url::as_str);
    assert_eq!((endpoint, traces.percent), (Some("http://127.0.0.1:4318/v1/traces"), 7));

    assert_eq!(login.first_message_timeout, Duration::from_secs(4));
    assert_eq!(login.poll_interval, Duration::from_secs(6));
    assert_eq!(login.ttl, Duration::from_secs(420));
    assert_eq!((login.grace, login.grace_phone), (Duration::from_secs(8), Duration::from_secs(9)));
    assert_eq!((login.max_active, login.starts_per_minute), (11, 12));
    assert_eq!(login.password, PasswordPolicy::Ask);

    assert_eq!((session.ttl, session.phone), (Duration::from_secs(13 * 3600), false));
    assert_eq!(store.path, Path::new("state"));
    assert_eq!((log.level, log.format), (tracing::Level::TRACE, LogFormat::Json));
}

#[test]
fn what_is_shown_says_where_each_value_came_from() {
    let flags = Flags { config: None, listen: Some("127.0.0.1:9".to_owned()) };
    let variables = [("MAX_AUTH_LOG_LEVEL".to_owned(), "debug".to_owned())];
    let file = Some((Path::new("site.toml"), "[login]\n\nttl = \"5m\""));
    let loaded = Config::from_sources(file, variables.into_iter(), &flags).unwrap();
    assert!(!loaded.default_listen);
    let shown = loaded.shown;
    for line in [
        "listen = \"127.0.0.1:9\"  # flag --listen",
        "ttl = \"5m\"  # site.toml, line 3",
        "level = \"debug\"  # environment variable MAX_AUTH_LOG_LEVEL",
        "format = \"text\"  # default",
    ] {
        assert_eq!(shown.lines().filter(|shown| *shown == line).count(), 1, "{line} in\n{shown}");
    }
    assert!(shown.starts_with("[audit]\npath = "), "{shown}");
    let sections: Vec<&str> = shown.split("\n\n").map(|section| section.lines().next().unwrap()).collect();
    assert_eq!(
        sections,
        [
            "[audit]",
            "[driver.bot]",
            "[driver.mini_app]",
            "[identity]",
            "[log]",
            "[login]",
            "[oidc]",
            "[server]",
            "[session]",
            "[store]",
            "[texts]",
            "[traces]",
            "[upstream]"
        ]
    );
    let again = Config::from_sources(None, std::iter::empty(), &Flags::default()).unwrap();
    assert!(again.default_listen);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let flags = Flags { config: Some("/nowhere/site.toml".into()), listen: None };
    let error = Config::load(&flags).err().expect("an error").to_string();
    assert!(error.starts_with("/nowhere/site.toml: cannot be read: "), "{error}");
}

#[test]
fn durations_have_units_and_bounds() {
    let ttl = |text: &str| load(&format!("[login]\nttl = {text}"), &[]).map(|config| config.login.ttl);
    for (text, millis) in [
        ("\"1ms\"", 1),
        ("\"2s\"", 2_000),
        ("\"3m\"", 180_000),
        ("\"4h\"", 14_400_000),
        ("\"5d\"", 432_000_000),
        ("\"366d\"", 366 * 86_400_000),
    ] {
        assert_eq!(ttl(text), Ok(Duration::from_millis(millis)), "{text}");
    }
    for (text, why) in [
        ("\"0ms\"", "must be longer than 0"),
        ("\"367d\"", "is longer than a year"),
        ("\"10\"", "is not a duration"),
        ("\"s\"", "is not a duration"),
        ("\"\"", "is not a duration"),
        ("\"1w\"", "is not a duration"),
        ("\"-1s\"", "is not a duration"),
        ("\"99999999999999999999s\"", "is not a duration"),
        ("\"18446744073709551615d\"", "is not a duration"),
    ] {
        let error = ttl(text).expect_err(text);
        assert!(error.contains(why), "{text}: {error}");
    }
}

#[test]
fn values_at_their_edges() {
    let wrong = |file: &str| load(file, &[]).is_err();
    assert_eq!(load("[login]\nmax_active = 4294967295", &[]).unwrap().login.max_active, 4_294_967_295);
    assert!(wrong("[login]\nmax_active = 4294967296"));
    assert_eq!(load("[login]\nmax_active = 0", &[]).unwrap().login.max_active, 0);
    for path in ["/", "/a/", "/a//b", "/a b", "/а", "/a?b"] {
        assert!(wrong(&format!("[server]\nbase_path = \"{path}\"")), "{path}");
    }
    assert_eq!(load("[server]\nbase_path = \"/a\"", &[]).unwrap().server.base_path, "/a");
    for url in
        ["ftp://example.ru", "https://", "https://u@example.ru", "https://example.ru/?a", "https://example.ru/#a"]
    {
        assert!(wrong(&format!("[server]\npublic_url = \"{url}\"")), "{url}");
    }
    for version in ["", "1.2.x", "1234567890.1234567890.1234567890."] {
        assert!(wrong(&format!("[upstream]\napp_version = \"{version}\"")), "{version:?}");
    }
    let longest = "12345678901234567890123456789.12";
    assert_eq!(load(&format!("[upstream]\napp_version = \"{longest}\""), &[]).unwrap().upstream.app_version, longest);
    for endpoint in ["3", "{ dialect = \"json\" }", "{ url = \"wss://x\", dialect = \"json\", tls = 1 }"] {
        assert!(wrong(&format!("[upstream]\nendpoints = [{endpoint}]")), "{endpoint}");
    }
    assert!(load("[upstream]\nca_file = \"\"", &[]).unwrap().upstream.ca_file.is_none());
    assert!(error("[store]\npath = \"\"", &[]).contains("`store.path`: needs a directory"));
    assert!(error("[session]\nphone = \"yes\"", &[]).contains("is neither true nor false"));
    assert!(error("[server]\ntrusted_proxies = \"10.0.0.1\"", &[]).contains("is not a list"));
    // Two free ports are two addresses.
    assert!(!wrong("[server]\nlisten = \"127.0.0.1:0\"\nops_listen = \"127.0.0.1:0\""));
}

#[test]
fn a_variable_that_is_no_setting_is_read_and_an_unknown_one_is_none() {
    assert!(environment("PATH").is_some_and(|path| path.contains('/')));
    assert_eq!(environment("MAX_AUTH_TESTS_NEVER_SET_THIS"), None);
}

#[test]
fn every_key_of_the_store_reaches_its_field() {
    let file = r#"
[store]
kind = "redis"
url = "redis://user:word@127.0.0.1:6379"
prefix = "a-b_c.D:0"
ca_file = "roots.pem"
key_file = "key"
path = "state"
"#;
    let store = load(file, &[]).unwrap().store;
    assert_eq!((store.kind, store.kind_given), (StoreKind::Redis, true));
    assert_eq!(store.url.as_ref().unwrap().expose(), "redis://user:word@127.0.0.1:6379");
    assert_eq!(store.prefix, "a-b_c.D:0");
    assert_eq!(store.ca_file.as_deref(), Some(Path::new("roots.pem")));
    assert_eq!(store.key_file.as_deref(), Some(Path::new("key")));
    assert_eq!(store.path, Path::new("state"));

    let ours = load("", &[]).unwrap().store;
    assert_eq!((ours.kind_given, ours.url.is_none(), ours.key_file.is_none()), (false, true, true));
    assert_eq!(load("[store]\nkind = \"file\"", &[]).unwrap().store.kind, StoreKind::File);
    assert_eq!(load("[store]\nkind = \"memory\"", &[]).unwrap().store.kind, StoreKind::Memory);
}

#[test]
fn redis_needs_an_address_and_a_key_and_its_keys_begin_with_a_short_name() {
    let redis = |more: &str| load(&format!("[store]\nkind = \"redis\"\n{more}"), &[]).err();
    let url = "url = \"redis://127.0.0.1\"";
    assert!(redis("key_file = \"key\"").unwrap().contains("`store.url`: is needed"));
    assert!(redis(url).unwrap().contains("`store.key_file`: is needed"));
    assert!(redis(&format!("{url}\nkey_file = \"key\"")).is_none());
    for (prefix, fine) in [
        ("", true),
        ("max-auth:", true),
        ("12345678901234567890123456789012", true),
        ("123456789012345678901234567890123", false),
        ("a b", false),
        ("ключ", false),
    ] {
        let told = load(&format!("[store]\nprefix = \"{prefix}\""), &[]);
        assert_eq!(told.is_ok(), fine, "{prefix:?}");
    }
}

#[test]
fn a_node_has_a_short_name() {
    let longest = "a".repeat(64);
    for (name, read) in [("", "node"), ("Sign-in_1.b", "Sign-in_1.b"), (longest.as_str(), longest.as_str())] {
        assert_eq!(load(&format!("[server]\nnode = \"{name}\""), &[]).unwrap().server.node, read);
    }
    for name in ["a b", "a~b", &"a".repeat(65)] {
        assert!(error(&format!("[server]\nnode = \"{name}\""), &[]).contains("is not a name such as"), "{name}");
    }
}

#[test]
fn two_addresses_of_ours_differ_in_host_or_port() {
    let fine = |listen: &str, ops: &str| {
        load(&format!("[server]\nlisten = \"{listen}\"\nops_listen = \"{ops}\""), &[]).is_ok()
    };
    assert!(fine("127.0.0.1:1", "127.0.0.1:2") && fine("127.0.0.1:1", "127.0.0.2:1"));
    assert!(fine("127.0.0.1:0", "127.0.0.2:0") && !fine("127.0.0.1:1", "127.0.0.1:1"));
}

#[test]
fn what_is_shown_hides_passwords_and_keeps_the_rest_of_an_address() {
    let shown = |url: &str| {
        let file = format!("[store]\nurl = \"{url}\"");
        let loaded =
            Config::from_sources(Some((Path::new("a"), &file)), std::iter::empty(), &Flags::default()).unwrap();
        loaded.shown.lines().find_map(|line| line.strip_prefix("url = ")).unwrap().to_owned()
    };
    for (url, told) in [
        ("redis://user:p@ss@host:1/2", "redis://***@host:1/2"),
        ("redis://host:1/2", "redis://host:1/2"),
        ("user@host", "user@host"),
    ] {
        assert_eq!(shown(url), format!("\"{told}\"  # a, line 2"));
    }
}

#[test]
fn a_free_section_takes_names_from_file_and_environment_and_others_do_not() {
    let config = load("[groups]\nadmins = [\"max:7\"]", &[("MAX_AUTH_GROUPS_EDITORS", "[\"max:8\"]")]).unwrap();
    let of = |id| config.groups.of(&Person { id, phone: None }).join(" ");
    assert_eq!((of("7"), of("8"), of("9")), ("admins".to_owned(), "editors".to_owned(), String::new()));
    assert!(error("[login]\nadmins = [\"max:7\"]", &[]).contains("unknown key `login.admins`"));
}
