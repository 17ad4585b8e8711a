//! What is known of proxies, as data: one product in one file of `products/`. `doctor` finds faults and prints lines by
//! it, `setup` builds whole files of the same lines, so the two cannot disagree.

mod elsewhere;
mod fact;
mod finding_code;
mod language;
mod position;
mod product;
mod products;
mod signature;
#[cfg(test)]
mod tests;

pub use elsewhere::{APP, CLIENT_SIDE, UNKNOWN, UNMEASURED};
pub use fact::Fact;
pub use finding_code::{FindingCode, PathPart, Severity};
use http::HeaderMap;
pub use language::{Lang, Text};
pub use position::ProxyPosition;
pub use product::{ForgedAtVerify, Layer, Product, Template};
use products::PRODUCTS;
pub use signature::{Attribution, Conclusion, Signature, Spoils, Want};

/// The proxy that the doctor knows by the header that it takes out, and whose configuration it can read.
pub const NGINX: Layer = Layer(&products::nginx::PRODUCT);

/// What is not a product.
const ELSEWHERE: [Layer; 3] = [APP, CLIENT_SIDE, UNKNOWN];

/// All that a finding can be about.
pub fn layers() -> impl Iterator<Item = Layer> {
    PRODUCTS.iter().map(|product| Layer(product)).chain(ELSEWHERE)
}

/// The lines that fix `code` in `layer`; where nothing is known of that layer, what is true of any.
pub fn fixes(code: FindingCode, layer: Layer, position: ProxyPosition) -> Vec<&'static Fact> {
    let of = |layer: Layer| -> Vec<&'static Fact> {
        let facts = layer.product().all_facts().filter(|fact| fact.fixes.contains(&code));
        let inner = position == ProxyPosition::Inner;
        facts.filter(|fact| fact.only.is_none_or(|only| (only == ProxyPosition::Inner) == inner)).collect()
    };
    let known = of(layer);
    if known.is_empty() { of(UNKNOWN) } else { known }
}

/// The rows of streams with the layers that own them, the products' own first.
pub fn signatures() -> impl Iterator<Item = (Layer, &'static Signature)> {
    layers().flat_map(|layer| layer.product().signatures.iter().map(move |row| (layer, row)))
}

/// Whether `row` was seen on real chains.
pub fn is_measured(row: &Signature) -> bool {
    let general = UNKNOWN.product().signatures;
    let unmeasured = &general[general.len() - UNMEASURED..];
    !unmeasured.iter().any(|other| std::ptr::eq(other, row))
}

impl Layer {
    /// This one, or where nobody is known, the other.
    pub fn or(self, other: Self) -> Self {
        if self == UNKNOWN { other } else { self }
    }

    /// Not a product.
    pub fn is_elsewhere(self) -> bool {
        ELSEWHERE.contains(&self)
    }
}

/// Whether it is a product that no header gives away.
pub fn is_nameless(layer: Layer) -> bool {
    let product = layer.product();
    !layer.is_elsewhere() && product.answer_marks.is_empty() && product.request_marks.is_empty()
}

/// The products that hold small writes back for want of TCP_NODELAY.
pub fn delays_small_writes() -> impl Iterator<Item = Layer> {
    layers().filter(|layer| layer.product().delays_small_writes)
}

/// The files that `setup` can write, as they are listed.
pub fn templates() -> impl Iterator<Item = (Layer, &'static Template)> {
    layers().flat_map(|layer| layer.product().templates.iter().map(move |template| (layer, template)))
}

/// Headers that many proxies add, beside those of the products.
const COMMON_MARKS: [&str; 9] = [
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-server",
    "x-forwarded-port",
    "x-real-ip",
    "forwarded",
    "x-amz-cf-id",
    "x-cache",
];

/// Headers of a request by which max-auth tells proxies apart, each once.
pub fn request_marks() -> impl Iterator<Item = &'static str> {
    let products = PRODUCTS.iter().flat_map(|product| product.request_marks.iter().chain(product.request_hints));
    COMMON_MARKS.into_iter().chain(products.copied().filter(|mark| !COMMON_MARKS.contains(mark)))
}

/// The layer that names itself in an answer.
pub fn named_in_answer(headers: &HeaderMap) -> Layer {
    let bears = |(header, word): &(&str, &str)| {
        headers.get_all(*header).iter().any(|value| names_it(word, &String::from_utf8_lossy(value.as_bytes())))
    };
    let named = PRODUCTS.iter().find(|product| product.answer_marks.iter().any(bears));
    named.map_or(UNKNOWN, |product| Layer(product))
}

/// The same of one header's value.
pub fn named_in(header: &str, value: &str) -> Layer {
    let bears = |(name, word): &(&str, &str)| *name == header && names_it(word, value);
    let named = PRODUCTS.iter().find(|product| product.answer_marks.iter().any(bears));
    named.map_or(UNKNOWN, |product| Layer(product))
}

/// The layers that left all their headers in a request. Whose headers are among those of another that is there, too, was
/// not told by them.
pub fn named_in_request(has: impl Fn(&str) -> bool) -> Vec<Layer> {
    let marked = |product: &&&Product| !product.request_marks.is_empty();
    let there: Vec<&Product> = PRODUCTS
        .iter()
        .filter(marked)
        .filter(|product| product.request_marks.iter().all(|mark| has(mark)))
        .copied()
        .collect();
    let explained = |product: &Product| {
        there.iter().any(|other| {
            other.request_marks.len() > product.request_marks.len()
                && product.request_marks.iter().all(|mark| other.request_marks.contains(mark))
        })
    };
    there.iter().filter(|product| !explained(product)).map(|product| Layer(product)).collect()
}

/// As a word of its own: "ats" is also in "heats".
fn names_it(word: &str, value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    word.is_empty() || value.split(|c: char| !c.is_ascii_alphanumeric()).any(|part| part == word)
}

/// A layer by its name.
#[cfg(test)]
pub fn layer(name: &str) -> Layer {
    layers().find(|layer| layer.name() == name).unwrap()
}
