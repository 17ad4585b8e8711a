//! What the visitor, or the server, has to say to a driver while it runs.

use crate::base::secret::Secret;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// What a driver is told.
pub enum Command {
    /// The visitor is looking at the page: ask MAX now.
    Wake,
    /// The cloud password of the visitor's MAX account.
    Password(Secret),
    /// End the sign-in, and the MAX session with it.
    Stop,
}

/// Holds at most one command of each kind until the driver takes it. Not a channel: a channel's first block alone would
/// cost more memory than the login.
#[derive(Default)]
pub struct CommandSlot {
    pending: Mutex<PendingCommands>,
    arrived: Notify,
}

#[derive(Default)]
struct PendingCommands {
    stop: bool,
    password: Option<Secret>,
    wake: bool,
}

impl CommandSlot {
    /// The visitor is looking.
    pub fn wake(&self) {
        self.put(|pending| pending.wake = true);
    }

    /// The visitor has given the cloud password.
    pub fn password(&self, password: Secret) {
        self.put(|pending| pending.password = Some(password));
    }

    /// The sign-in is over, whatever MAX says.
    pub fn stop(&self) {
        self.put(|pending| pending.stop = true);
    }

    /// For the next driver of the same login: what was said to the one before is not for it.
    pub fn clear(&self) {
        *self.pending.lock().unwrap_or_else(PoisonError::into_inner) = PendingCommands::default();
    }

    fn put(&self, write: impl FnOnce(&mut PendingCommands)) {
        write(&mut self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        self.arrived.notify_one();
    }

    /// The next command. `Stop` comes first and only once.
    pub async fn next(&self) -> Command {
        loop {
            if let Some(command) = self.take() {
                return command;
            }
            self.arrived.notified().await;
        }
    }

    fn take(&self) -> Option<Command> {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut pending.stop) {
            return Some(Command::Stop);
        }
        if let Some(password) = pending.password.take() {
            return Some(Command::Password(password));
        }
        std::mem::take(&mut pending.wake).then_some(Command::Wake)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn stop_comes_first_and_each_command_once() {
        let slot = CommandSlot::default();
        slot.wake();
        slot.wake();
        slot.password(Secret::new("кот".to_owned()));
        slot.stop();
        assert!(matches!(slot.next().await, Command::Stop));
        assert!(matches!(slot.next().await, Command::Password(password) if password.expose() == "кот"));
        assert!(matches!(slot.next().await, Command::Wake));
        let nothing = tokio::time::timeout(std::time::Duration::from_secs(60), slot.next()).await;
        assert!(nothing.is_err(), "nothing twice");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken() {
        let slot = CommandSlot::default();
        let (command, ()) = tokio::join!(slot.next(), async { slot.wake() });
        assert!(matches!(command, Command::Wake));
    }
}
