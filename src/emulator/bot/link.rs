//! Deep links: `https://max.ru/BOT?start=…` and `?startapp=…`.

use url::Url;

/// Characters of a payload; a longer one is dropped, not cut.
const START: usize = 128;
const START_APP: usize = 512;

/// What a link leads to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// The dialogue; with the payload, where there is one.
    Start(Option<String>),
    /// The mini-app.
    App(Option<String>),
}

/// The payload of `start` that MAX passes on.
pub(super) fn start_payload(text: &str) -> Option<String> {
    kept(text, START)
}

/// The same for `startapp`.
pub(super) fn app_payload(text: &str) -> Option<String> {
    kept(text, START_APP)
}

fn kept(text: &str, most: usize) -> Option<String> {
    (!text.is_empty() && text.chars().count() <= most).then(|| text.to_owned())
}

/// Where a link to this bot leads; `None` for any other link.
pub(super) fn read(link: &str, bot: &str) -> Option<Target> {
    let url = Url::parse(link.trim()).ok()?;
    if url.scheme() != "https" || url.host_str() != Some("max.ru") {
        return None;
    }
    let mut path = url.path_segments()?.filter(|part| !part.is_empty());
    if !path.next()?.eq_ignore_ascii_case(bot) {
        return None;
    }
    // The old form, /BOT/start/PAYLOAD.
    if let Some(word) = path.next() {
        return (word == "start").then(|| Target::Start(path.next().and_then(start_payload)));
    }
    for (name, value) in url.query_pairs() {
        match &*name {
            "start" => return Some(Target::Start(start_payload(&value))),
            "startapp" => return Some(Target::App(app_payload(&value))),
            _ => {}
        }
    }
    Some(Target::Start(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_the_dialogue_or_to_the_mini_app_of_this_bot() {
        let some = |text: &str| Some(text.to_owned());
        for (link, target) in [
            ("https://max.ru/shop_bot?start=abc_1", Some(Target::Start(some("abc_1")))),
            ("https://max.ru/Shop_Bot/start/abc", Some(Target::Start(some("abc")))),
            (" https://max.ru/shop_bot ", Some(Target::Start(None))),
            ("https://max.ru/shop_bot?start=", Some(Target::Start(None))),
            ("https://max.ru/shop_bot?utm=1&startapp=a%20b", Some(Target::App(some("a b")))),
            ("https://max.ru/shop_bot?startapp", Some(Target::App(None))),
            ("https://max.ru/other_bot?start=abc", None),
            ("https://max.ru/shop_bot/about", None),
            ("https://max.ru/", None),
            ("http://max.ru/shop_bot?start=abc", None),
            ("https://max.ru.example/shop_bot?start=abc", None),
            ("shop_bot", None),
        ] {
            assert_eq!(read(link, "shop_bot"), target, "{link}");
        }
    }

    #[test]
    fn a_payload_that_is_too_long_is_dropped() {
        let link = |word: &str, length: usize| format!("https://max.ru/b?{word}={}", "x".repeat(length));
        assert_eq!(read(&link("start", 128), "b"), Some(Target::Start(Some("x".repeat(128)))));
        assert_eq!(read(&link("start", 129), "b"), Some(Target::Start(None)));
        assert_eq!(read(&link("startapp", 512), "b"), Some(Target::App(Some("x".repeat(512)))));
        assert_eq!(read(&link("startapp", 513), "b"), Some(Target::App(None)));
    }
}
