//! HTTP: the URL table, the middleware order, the listeners, the graceful stop.

mod account;
mod answer;
mod app_page;
mod caching;
mod checklist;
mod connection;
mod connection_uses;
mod cookie;
mod error_pages;
mod extract;
mod files;
mod forward_auth;
#[cfg(any(fuzzing, test))]
pub mod fuzzing;
mod http1;
#[cfg(test)]
mod http1_tests;
mod line;
mod listener;
mod login_commands;
mod login_streams;
mod logins;
mod middleware;
mod modules;
mod no_script;
mod node_status;
mod oauth2;
mod oauth2_clients;
mod oauth2_device;
mod oauth2_email;
mod official;
mod ops;
mod origin;
mod pages;
mod parked;
mod probe;
mod proxy_fingerprint;
mod ready_head;
mod ready_page;
mod redeem;
mod refusals;
mod router;
mod sign_in;
mod timeouts;
mod upgrade;
mod visitor_network;
mod waiting;
mod ways;

pub use crate::transport::stream_stats::StreamStats;
pub use checklist::{Checklist, Inspection, Inspector, Verdict};
pub use files::{Extra, demo};
pub use listener::{Bound, Descriptors, bind};
pub use node_status::{NodeStatus, StatusSettings};
pub use official::OfficialPages;
pub use ops::{OPERATOR, Ops};
pub use router::{Parts, router};
