//! A sign of life for a person who waits: on standard error, where that is a terminal, once it has taken a second.

use std::io::{IsTerminal as _, Write, stderr};
use std::time::Duration;
use tokio::time::{Instant, interval_at};

const SECOND: Duration = Duration::from_secs(1);

/// From the line's beginning, with whatever stood there gone.
const ANEW: &str = "\r\u{1b}[K";

/// Does the work, and says what it is and for how long it has gone on. `unit` is "s", in the language of the rest.
pub async fn shown<T>(what: &str, unit: &str, work: impl Future<Output = T>) -> T {
    let mut terminal = stderr();
    let watched = terminal.is_terminal();
    drawn(what, unit, work, watched.then_some(&mut terminal as &mut (dyn Write + Send))).await
}

/// What is told in between begins on a line of its own.
pub fn clear() {
    if stderr().is_terminal() {
        draw(&mut stderr(), ANEW);
    }
}

fn draw(terminal: &mut dyn Write, text: &str) {
    // Whoever closed the terminal does not watch.
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}

async fn drawn<T>(
    what: &str,
    unit: &str,
    work: impl Future<Output = T>,
    terminal: Option<&mut (dyn Write + Send)>,
) -> T {
    let Some(terminal) = terminal else { return work.await };
    let began = Instant::now();
    let mut second = interval_at(began + SECOND, SECOND);
    let mut dirty = false;
    tokio::pin!(work);
    loop {
        tokio::select! {
            biased;
            done = &mut work => {
                if dirty {
                    draw(terminal, ANEW);
                }
                return done;
            }
            _ = second.tick() => {
                draw(terminal, &format!("{ANEW}  ... {what}, {} {unit}", began.elapsed().as_secs()));
                dirty = true;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    #[tokio::test(start_paused = true)]
    async fn after_a_second_it_says_how_long_and_cleans_up_behind_itself() {
        let mut seen = Vec::new();
        let work = async {
            sleep(Duration::from_millis(3500)).await;
            7
        };
        assert_eq!(drawn("asks", "s", work, Some(&mut seen)).await, 7);
        let seen = String::from_utf8(seen).unwrap();
        assert_eq!(
            seen,
            ["  ... asks, 1 s", "  ... asks, 2 s", "  ... asks, 3 s", ""].map(|line| format!("{ANEW}{line}")).concat()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_quick_says_nothing_nor_does_what_nobody_watches() {
        let mut seen = Vec::new();
        drawn("asks", "s", sleep(Duration::from_millis(900)), Some(&mut seen)).await;
        assert!(seen.is_empty());
        drawn("asks", "s", sleep(Duration::from_secs(9)), None).await;
    }
}
