//! What a login keeps while it waits, which is minutes.

use super::super::runner::SessionRunner;
use super::super::sign_in;
use super::{Arc, CommandSlot, Nobody, Site};
use std::mem::{size_of, size_of_val};

/// Bytes of the driver's future and of what it boxes, strings and buffers left out.
const CEILING: usize = 1228;

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figure is what one runs it for")]
async fn a_login_that_waits_keeps_no_room_for_steps_that_are_over() {
    let (site, commands) = (Site::new(0), CommandSlot::default());
    let connector = &site.driver.0;
    let hello = Arc::new(connector.hello(crate::signin::BrowserInfo::default()));
    let future = size_of_val(&sign_in(connector, hello, &Nobody, &commands));
    let connection = size_of::<SessionRunner>();
    println!("the future {future}, its connection {connection}, together {}", future + connection);
    assert!(future + connection <= CEILING, "{future} + {connection}");
}
