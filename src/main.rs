//! The binary; everything is in the library.

use std::alloc::System;
use zeroizing_alloc::ZeroAlloc;

/// A MAX token passes through buffers of libraries that do not wipe them; here everything freed is wiped.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> std::process::ExitCode {
    max_auth::run()
}
