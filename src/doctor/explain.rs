//! `--explain CODE`: the troubleshooting page's words on one finding. The page is the one place where they stand.

use super::store;
use crate::proxies::Lang;
use std::borrow::Cow;

const PAGE: &str = include_str!("../../docs/troubleshooting.md");

fn sections() -> impl Iterator<Item = &'static str> {
    PAGE.split("\n## ").skip(1)
}

fn heading(section: &'static str) -> &'static str {
    section.lines().next().unwrap_or_default()
}

/// Every code that there is something to say about.
pub fn codes() -> impl Iterator<Item = &'static str> {
    sections().map(heading).chain(store::StoreCode::ALL.iter().map(|code| code.name()))
}

/// The section of a code, or what is wrong with the code.
pub fn explain(code: &str, lang: Lang) -> Result<Cow<'static, str>, String> {
    let asked = code.trim().to_ascii_lowercase();
    if let Some(section) = sections().find(|section| heading(section) == asked) {
        return Ok(section.trim_end().into());
    }
    if let Some(text) = store::explain(&asked, lang) {
        return Ok(text.into());
    }
    let near = |name: &&'static str| strsim::jaro_winkler(&asked, name);
    let nearest = codes().max_by(|a, b| near(a).total_cmp(&near(b))).unwrap_or_default();
    Err(format!("no finding is called {code}; the nearest is {nearest}: max-auth doctor --explain {nearest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_explained_and_a_slip_is_met_with_the_nearest() {
        let text = explain("ws-frames-held", Lang::En).unwrap();
        assert!(text.starts_with("ws-frames-held\n") && text.contains("**Why.**") && !text.contains("## "), "{text}");
        let wrong = explain("bufered", Lang::En).unwrap_err();
        assert!(wrong.contains("nearest is buffered"), "{wrong}");
        let wrong = explain("store-evictions", Lang::En).unwrap_err();
        assert!(wrong.contains("nearest is store-eviction:"), "{wrong}");
        let text = explain("store-eviction", Lang::Ru).unwrap();
        assert!(text.contains("вытеснение") && text.contains("docs/storage.md"), "{text}");
    }
}
