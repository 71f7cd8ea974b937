//! What the service manager is told (`sd_notify`): that clients are served, that it ends, and that it gets on.
//!
//! Without a service manager nobody is told anything.
use crate::broker::{Broker, Lag};
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// Microseconds for which something may wait for the disk while the broker still counts as getting on.
const STUCK_US: u64 = 30_000_000;

/// To be called once every listener takes connections.
pub fn tell_ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("serving clients")]);
}

/// To be called before clients are told to go.
pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("clients are told")]);
}

/// Half of what the service manager waits for, if it watches.
pub fn pause_between_signs_of_life() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 2).filter(|pause| !pause.is_zero())
}

/// Gives a sign of life again and again, as long as the broker gets on. It is a task among those of the connections, so
/// that it comes to its turn only if they do.
pub async fn show_life(broker: Arc<Broker>, pause: Duration) {
    let mut ticks = tokio::time::interval(pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if gets_on(&broker) {
            tell(&[NotifyState::Watchdog]);
        } else {
            let waited_ms = broker.lag().oldest_us / 1000;
            tracing::error!(waited_ms, "nothing has been committed; the service manager gets no sign of life");
            tell(&[NotifyState::Status("not committing")]);
        }
    }
}

/// Takes the locks that each publish and each new connection takes, and looks whether commits go through.
fn gets_on(broker: &Broker) -> bool {
    let (_, _) = (broker.sessions(), broker.subscriptions());
    !is_stuck(broker.lag(), broker.is_short_of_space())
}

/// A full disk is no standstill: it is told to publishers, and starting again would not empty it.
fn is_stuck(lag: Lag, is_short_of_space: bool) -> bool {
    !is_short_of_space && lag.oldest_us > STUCK_US
}

fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told; see NOTIFY_SOCKET");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commits_that_do_not_go_through_count_as_a_standstill() {
        let waiting = |oldest_us| Lag { submissions: 1, bytes: 64, oldest_us };
        assert!(!is_stuck(Lag::default(), false));
        assert!(!is_stuck(waiting(STUCK_US), false), "a slow disk is no standstill");
        assert!(is_stuck(waiting(STUCK_US + 1), false));
        assert!(!is_stuck(waiting(STUCK_US + 1), true), "a full disk is told to publishers instead");
    }
}
