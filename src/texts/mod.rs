//! Every word that a visitor reads, in Russian and English: the table is `web/texts.js`, which browsers read as a module
//! and this module as JSON. `[texts]` of the configuration is laid over it.

pub mod checklist;

use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A module whose one object is JSON.
const TABLE: &str = include_str!("../../web/texts.js");

/// Before the object.
const EXPORT: &str = "export const TEXTS = ";

/// Longest text that may be put in place of ours, in bytes: the longest of ours has some 300.
const TEXT_MAX: usize = 1000;

/// The visitor's language; Russian unless said otherwise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Locale {
    #[default]
    Ru,
    En,
}

impl Locale {
    pub const ALL: [Self; 2] = [Self::Ru, Self::En];

    /// A language tag such as `ru` or `en-GB`. Where Russian is read, Russian; the same table as in `web/browser.js`.
    pub fn parse(tag: &str) -> Self {
        let language = tag.split(['-', '_']).next().unwrap_or_default();
        let russian = ["ru", "be", "uk", "kk"].iter().any(|known| language.eq_ignore_ascii_case(known));
        if russian { Self::Ru } else { Self::En }
    }

    /// The tag.
    pub fn tag(self) -> &'static str {
        match self {
            Self::Ru => "ru",
            Self::En => "en",
        }
    }
}

/// Part of one language's table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Section {
    Shared,
    Widget,
    Client,
    App,
}

impl Section {
    fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Widget => "widget",
            Self::Client => "client",
            Self::App => "app",
        }
    }
}

/// One language, as far as the server says it.
#[derive(Debug, Deserialize)]
pub struct Words {
    pub shared: Shared,
    pub client: Client,
    pub events: Events,
    pub bot: Bot,
    pub app: App,
    pub pages: Pages,
}

/// What the widget and the pages without JavaScript say alike.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Shared {
    pub button: String,
    pub title: String,
    pub for_site: String,
    pub connecting: String,
    pub code: String,
    pub finishing: String,
    pub refreshing: String,
    pub left: String,
    pub step1: String,
    pub step2: String,
    pub step3: String,
    pub warning: String,
    pub open: String,
    pub open_here: String,
    pub scan: String,
    pub text_code: String,
    pub send_it: String,
    pub pick: String,
    pub other_way: String,
    /// By driver: its name, and what will happen on the phone.
    pub ways: BTreeMap<String, [String; 2]>,
    pub password_title: String,
    pub password_text: String,
    pub password_send: String,
    pub password_wrong: String,
    pub retry: String,
    pub error_title: String,
}

/// What the browser says by itself; some of it the server can say as well.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Client {
    pub busy: String,
    pub rate_limited: String,
    pub login_expired: String,
}

/// What the server says over the stream.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Events {
    pub waiting: String,
    pub approved: String,
    /// By the code of the event `error`.
    pub errors: BTreeMap<String, String>,
}

/// What the site's bot says in MAX; `{site}`, `{browser}` and `{minutes}` are put in.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Bot {
    pub question: String,
    pub browser: String,
    pub pick: String,
    pub just_ask: String,
    pub yes: String,
    pub not_me: String,
    pub done: String,
    pub wrong: String,
    pub stopped: String,
    pub expired: String,
    pub used: String,
    pub locked: String,
    pub contact: String,
    pub send_contact: String,
    pub without_contact: String,
    pub contact_wrong: String,
    pub hello: String,
}

/// What the mini-app says before its script does.
#[derive(Debug, Deserialize)]
pub struct App {
    pub checking: String,
}

/// What is served without JavaScript.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Pages {
    pub code_next: String,
    pub get_code: String,
    pub without_script: String,
    pub password_too_long: String,
    pub gone: String,
    pub return_to_refused: String,
    pub grant_refused: String,
    pub signed_out: String,
    pub signed_out_text: String,
    pub signed_in: String,
    pub signed_in_to: String,
    pub signed_in_by: String,
    pub go_to_site: String,
    pub sign_out: String,
    pub sign_out_everywhere: String,
    pub your_apps: String,
    pub your_sessions: String,
    pub this_browser: String,
    pub some_browser: String,
    pub since: String,
    pub ask_title: String,
    pub ask_text: String,
    pub ask_on: String,
    pub scope_id: String,
    pub scope_profile: String,
    pub scope_phone: String,
    pub scope_groups: String,
    pub scope_max_id: String,
    pub scope_offline: String,
    pub device_title: String,
    pub device_text: String,
    pub device_code: String,
    pub device_note: String,
    pub device_unknown: String,
    pub device_done: String,
    pub device_done_text: String,
    pub device_refused: String,
    pub device_refused_text: String,
    pub agree: String,
    pub decline: String,
    pub denied_title: String,
    pub denied_text: String,
    pub other_account: String,
    pub back_to_app: String,
    pub app_failed_title: String,
    pub app_failed_text: String,
    pub later_title: String,
    pub later_text: String,
    pub too_many_title: String,
    pub too_many_text: String,
    pub try_in: String,
    pub seconds: String,
    pub sign_out_failed_title: String,
    pub sign_out_failed_text: String,
    pub wrong_title: String,
    pub wrong_text: String,
    pub other_site_text: String,
    pub go_back: String,
    pub email_title: String,
    pub email_optional: String,
    pub email_required: String,
    pub email_label: String,
    pub email_wrong: String,
    pub email_without: String,
    pub email_note: String,
    pub email_save: String,
    pub your_emails: String,
    pub request_gone: String,
    pub leave_title: String,
    pub leave_text: String,
    pub left_title: String,
    pub sending: String,
    pub sending_back: String,
    pub nobody_waits: String,
    pub back_to_site: String,
    pub apps: String,
}

/// Both languages.
#[derive(Debug)]
pub struct Texts {
    table: Map<String, Value>,
    ru: Words,
    en: Words,
}

impl Texts {
    /// Ours, with what the configuration says instead: for each language a table of the same shape, as far as it goes.
    pub fn with(instead: &[(Locale, Value)]) -> Result<Self, String> {
        let mut table = table()?;
        for (locale, texts) in instead {
            let Some(ours) = table.get_mut(locale.tag()) else { continue };
            let known = paths(ours, "");
            lay_over(ours, texts, "", &known)?;
        }
        let words = |locale: Locale| {
            let words = table.get(locale.tag()).cloned().unwrap_or_default();
            serde_json::from_value(words).map_err(|error| format!("web/texts.js, {}: {error}", locale.tag()))
        };
        Ok(Self { ru: words(Locale::Ru)?, en: words(Locale::En)?, table })
    }

    /// Ours as they are.
    #[cfg(test)]
    pub fn ours() -> std::sync::Arc<Self> {
        std::sync::Arc::new(Self::with(&[]).unwrap())
    }

    pub fn of(&self, locale: Locale) -> &Words {
        match locale {
            Locale::Ru => &self.ru,
            Locale::En => &self.en,
        }
    }

    /// What the browser's modules import as `TEXTS`: the sections they use, as a line in front of them.
    pub fn declaration(&self, sections: &[Section]) -> String {
        let language = |locale: Locale| {
            let all = self.table.get(locale.tag());
            let some = sections.iter().filter_map(|section| {
                let texts = all?.get(section.name())?;
                Some((section.name().to_owned(), texts.clone()))
            });
            (locale.tag().to_owned(), Value::Object(some.collect()))
        };
        let texts = Value::Object(Locale::ALL.into_iter().map(language).collect());
        format!("const TEXTS = {texts};\n")
    }

    /// These texts of one language, by name alone.
    pub fn some_of(&self, locale: Locale, names: &[(&str, &[&str])]) -> Value {
        let texts = names.iter().flat_map(|(section, names)| {
            let section = self.table.get(locale.tag()).and_then(|all| all.get(*section));
            names.iter().filter_map(move |name| Some(((*name).to_owned(), section?.get(*name)?.clone())))
        });
        Value::Object(texts.collect())
    }
}

fn table() -> Result<Map<String, Value>, String> {
    let json = TABLE.split_once(EXPORT).map(|(_, rest)| rest.trim_end().trim_end_matches(';')).unwrap_or_default();
    serde_json::from_str(json).map_err(|error| format!("web/texts.js: {error}"))
}

/// Every key that holds a text or a pair of them: `widget.errors.busy`.
fn paths(value: &Value, above: &str) -> Vec<String> {
    let Value::Object(table) = value else { return vec![above.to_owned()] };
    table.iter().flat_map(|(key, value)| paths(value, &below(above, key))).collect()
}

fn below(above: &str, key: &str) -> String {
    if above.is_empty() { key.to_owned() } else { format!("{above}.{key}") }
}

fn lay_over(ours: &mut Value, theirs: &Value, path: &str, known: &[String]) -> Result<(), String> {
    match (ours, theirs) {
        (Value::Object(ours), Value::Object(theirs)) => theirs.iter().try_for_each(|(key, value)| {
            let path = below(path, key);
            let ours = ours.get_mut(key).ok_or_else(|| unknown(&path, known))?;
            lay_over(ours, value, &path, known)
        }),
        (Value::String(ours), Value::String(text)) => {
            *ours = fitting(text, path)?;
            Ok(())
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            ours.iter_mut().zip(theirs).try_for_each(|(ours, theirs)| lay_over(ours, theirs, path, known))
        }
        (Value::Object(_), _) => Err(format!("`{path}` is a table of texts")),
        (Value::Array(ours), _) => Err(format!("`{path}` is a list of {} texts", ours.len())),
        _ => Err(format!("`{path}` is a text")),
    }
}

fn fitting(text: &str, path: &str) -> Result<String, String> {
    if text.len() > TEXT_MAX || text.chars().any(char::is_control) {
        return Err(format!("`{path}` must have {TEXT_MAX} bytes at most and no line break"));
    }
    Ok(text.to_owned())
}

fn unknown(path: &str, known: &[String]) -> String {
    let near = |known: &String| strsim::jaro_winkler(path, known);
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    let nearest = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
    format!("unknown text `{path}`{nearest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn both_languages_say_the_same_things() {
        let table = table().unwrap();
        assert_eq!(paths(&table["ru"], ""), paths(&table["en"], ""));
        let blank = |locale: &str| -> Vec<String> {
            let has_text = |path: &String| {
                let text = path.split('.').fold(&table[locale], |value, key| &value[key]);
                text.as_str().is_some_and(|text| !text.is_empty())
                    || text[0].as_str().is_some_and(|text| !text.is_empty())
            };
            paths(&table[locale], "").into_iter().filter(|path| !has_text(path)).collect()
        };
        assert_eq!((blank("ru"), blank("en")), (vec![], vec![]));
        assert!(table["ru"]["widget"]["waiting"].as_str().unwrap().starts_with('Ж'));
        assert!(table["en"].to_string().is_ascii() || !table["en"].to_string().contains('ж'));
    }

    #[test]
    fn a_site_says_it_in_its_own_words() {
        let instead = json!({
            "shared": { "button": "Войти" },
            "widget": { "errors": { "busy": ["Занято", "Позже"] } },
        });
        let texts = Texts::with(&[(Locale::Ru, instead)]).unwrap();
        assert_eq!(texts.of(Locale::Ru).shared.button, "Войти");
        assert_eq!(texts.of(Locale::En).shared.button, "Sign in with MAX");
        let line = texts.declaration(&[Section::Widget]);
        assert!(line.starts_with("const TEXTS = {") && line.ends_with("};\n"), "{line}");
        assert!(line.contains("\"busy\":[\"Занято\",\"Позже\"]"), "{line}");
        assert!(!line.contains("\"pages\"") && !line.contains("\"shared\""));
    }

    #[test]
    fn what_is_no_text_of_ours_is_refused() {
        for (instead, why) in [
            (json!({"shared": {"buton": "x"}}), "unknown text `shared.buton`; did you mean `shared.button`?"),
            (json!({"sharde": {"button": "x"}}), "unknown text `sharde`"),
            (json!({"shared": "x"}), "`shared` is a table of texts"),
            (json!({"shared": {"button": 1}}), "`shared.button` is a text"),
            (json!({"shared": {"button": "a\nb"}}), "no line break"),
            (json!({"shared": {"button": "x".repeat(1001)}}), "1000 bytes at most"),
            (json!({"widget": {"errors": {"busy": ["x"]}}}), "`widget.errors.busy` is a list of 2 texts"),
        ] {
            let error = Texts::with(&[(Locale::En, instead)]).unwrap_err();
            assert!(error.starts_with(why) || error.contains(why), "{error}");
        }
        assert!(Texts::with(&[(Locale::En, json!({"shared": {"button": "x".repeat(1000)}}))]).is_ok());
    }

    #[test]
    fn a_language_is_one_of_two() {
        for (tag, locale) in [
            ("ru", Locale::Ru),
            ("be-BY", Locale::Ru),
            ("KK_kz", Locale::Ru),
            ("en-GB", Locale::En),
            ("de", Locale::En),
            ("", Locale::En),
        ] {
            assert_eq!(Locale::parse(tag), locale, "{tag}");
        }
        assert_eq!(Locale::ALL.map(Locale::tag), ["ru", "en"]);
    }
}
