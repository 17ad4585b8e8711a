//! gunicorn, which runs the application that proxies to max-auth.

use crate::proxies::fact::fact;
use crate::proxies::finding_code::FindingCode::OneWorker;
use crate::proxies::product::Product;

pub static PRODUCT: Product = Product {
    answer_marks: &[("server", "gunicorn")],
    drops_upgrades: true,
    application_server: true,
    facts: &[fact(
        "threads",
        "threads = 32",
        "or --threads 32: each held stream takes one; by default there is one worker that answers one request at a time",
        &[OneWorker],
    )],
    ..Product::new("gunicorn", "gunicorn.conf.py, beside the application or where --config says")
};
