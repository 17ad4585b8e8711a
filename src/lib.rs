//! Sign in with MAX by QR code.
pub fn run() {}
