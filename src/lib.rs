//! Sign in with MAX by QR code.

mod max;

pub fn run() {}
