//! What a file of `products/` says of its product, and `Layer`, which is one of these products or what else a finding can
//! be about.

use super::fact::Fact;
use super::language::Text;
use super::position::ProxyPosition;
use super::signature::{Signature, Spoils};
use std::fmt;

/// A whole configuration file with placeholders, for `max-auth setup`.
#[derive(Debug)]
pub struct Template {
    /// `max-auth setup TARGET`
    pub target: &'static str,
    pub text: &'static str,
    /// `Outer`: in front of another tier. `Inner`: reached by another proxy and not by visitors: no TLS, and its own
    /// default address.
    pub position: ProxyPosition,
    /// Comments behind a line are part of the line in some languages.
    pub comments_behind: bool,
    /// The usual path of the certificate, where it is not that of certbot.
    pub certificate: Option<&'static str>,
    /// "All addresses" is written as a port with a colon before it.
    pub colon_port: bool,
    /// Placeholders of this template alone.
    pub values: &'static [(&'static str, &'static str)],
}

impl Template {
    pub const fn new(target: &'static str, text: &'static str) -> Self {
        Self {
            target,
            text,
            position: ProxyPosition::Single,
            comments_behind: true,
            certificate: None,
            colon_port: false,
            values: &[],
        }
    }
}

/// What `/verify` shows of whether a visitor's `X-Auth-…` gets to the application.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForgedAtVerify {
    /// Nothing: they are taken away after the question, or nobody knows.
    SaysNothing,
    /// Names with `_` are dropped everywhere or nowhere; the others are replaced after the question.
    Underscores,
    /// They are taken away before the question: what arrives at it arrives at the application.
    All,
}

/// Everything that is known of a product.
#[derive(Debug)]
pub struct Product {
    /// As findings have it (`layer`): public, never renamed.
    pub name: &'static str,
    /// The product whose configuration and behaviour it shares: what is not said here is said there.
    pub fork_of: Option<&'static Product>,
    /// A header of an answer, and the word in it that names the product; any value where the word is empty.
    pub answer_marks: &'static [(&'static str, &'static str)],
    /// Headers that it adds to a request, all of them, as measured.
    pub request_marks: &'static [&'static str],
    /// Further headers that it may add to a request. They tell one proxy in front of max-auth from another.
    pub request_hints: &'static [&'static str],
    /// Where its lines go. `{base}` is the base path.
    pub place: &'static str,
    /// Two of it in a row are usual, and it matters which one a finding is about.
    pub has_tiers: bool,
    /// The name of its main file, in which a dump without markers is taken to be.
    pub main_file: &'static str,
    /// Who must act, where it is not simply "you, in NAME".
    pub operator: Option<Text>,
    pub facts: &'static [Fact],
    /// How it was seen to spoil streams.
    pub spoils: &'static [Spoils],
    /// Drops an upgrade unless a line says otherwise.
    pub drops_upgrades: bool,
    /// Runs an application, so that an application is on the path where it is; and holds a worker for each stream.
    pub application_server: bool,
    /// Leaves TCP_NODELAY off: the kernel holds each small write for 200 ms.
    pub delays_small_writes: bool,
    pub forged_at_verify: ForgedAtVerify,
    /// Rows of the doctor's table of streams that speak of this product; looked up before those of `elsewhere.rs`.
    pub signatures: &'static [Signature],
    pub templates: &'static [Template],
}

impl Product {
    /// A product of which nothing else is known.
    pub const fn new(name: &'static str, place: &'static str) -> Self {
        Self {
            name,
            fork_of: None,
            answer_marks: &[],
            request_marks: &[],
            request_hints: &[],
            place,
            has_tiers: false,
            main_file: "",
            operator: None,
            facts: &[],
            spoils: &[],
            drops_upgrades: false,
            application_server: false,
            delays_small_writes: false,
            forged_at_verify: ForgedAtVerify::SaysNothing,
            signatures: &[],
            templates: &[],
        }
    }

    /// A product that does as another does, and has its own name and paths.
    pub const fn fork(name: &'static str, of: &'static Self) -> Self {
        Self {
            fork_of: Some(of),
            has_tiers: of.has_tiers,
            spoils: of.spoils,
            drops_upgrades: of.drops_upgrades,
            application_server: of.application_server,
            delays_small_writes: of.delays_small_writes,
            forged_at_verify: of.forged_at_verify,
            ..Self::new(name, of.place)
        }
    }

    /// Its own lines, and those of what it was forked from under other names.
    pub fn all_facts(&self) -> impl Iterator<Item = &'static Fact> {
        let (own, inherited) = (self.facts, self.fork_of.map_or(&[][..], |of| of.facts));
        own.iter().chain(inherited.iter().filter(|fact| own.iter().all(|other| other.id != fact.id)))
    }

    pub fn fact(&self, id: &str) -> Option<&'static Fact> {
        self.all_facts().find(|fact| fact.id == id)
    }
}

/// What a finding is about: a product, or what else can be in the way (`elsewhere.rs`).
#[derive(Clone, Copy)]
pub struct Layer(pub(super) &'static Product);

impl Layer {
    pub fn name(self) -> &'static str {
        self.0.name
    }

    pub fn product(self) -> &'static Product {
        self.0
    }

    /// The product whose configuration and behaviour it has: nginx for a fork of nginx, else itself.
    pub fn engine(self) -> Self {
        self.0.fork_of.map_or(self, Self)
    }

    /// Where its lines go.
    pub fn place(self, position: ProxyPosition, base: &str) -> String {
        let (place, name) = (self.0.place.replace("{base}", base), self.0.name);
        match position {
            _ if !self.0.has_tiers => place,
            ProxyPosition::Outer => format!("{place}, outer {name}"),
            ProxyPosition::Inner => format!("{place}, inner {name}"),
            ProxyPosition::Both => format!("{place}, on both {name} tiers"),
            ProxyPosition::Unknown => format!("{place}, on each {name} tier that lacks it"),
            ProxyPosition::Single => place,
        }
    }
}

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Layer {}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}
