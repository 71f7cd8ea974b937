//! The timer of one connection.
use crate::types::Now;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Goes off at the earliest moment it was set to since it last did. A connection that waits for no moment holds no timer.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    at: Option<Now>,
    /// Whether the task will be woken when it goes off.
    is_awaited: bool,
}

impl Alarm {
    /// Sets it, if it would go off too late. One that goes off too early is set again then, which is cheaper than moving
    /// it with every packet.
    pub fn set(&mut self, deadline: Option<Now>, now: Now) {
        match deadline {
            Some(deadline) => self.bring_forward(deadline, now),
            None if self.at.is_none() => self.sleep = None,
            None => {}
        }
    }

    /// Sets it for a moment more.
    pub fn bring_forward(&mut self, deadline: Now, now: Now) {
        if self.at.is_some_and(|at| at <= deadline) {
            return;
        }
        self.at = Some(deadline);
        self.is_awaited = false;
        let instant = Instant::now() + Duration::from_millis(now.millis_until(deadline));
        match &mut self.sleep {
            Some(sleep) => sleep.as_mut().reset(instant),
            None => self.sleep = Some(Box::pin(sleep_until(instant))),
        }
    }

    /// Ready once it has gone off; it has to be set again then. To be polled by one task only.
    pub fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(sleep) = self.sleep.as_mut().filter(|_| self.at.is_some()) else { return Poll::Pending };
        // A look is cheaper than waiting anew.
        if self.is_awaited && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.is_awaited = true;
        ready!(sleep.as_mut().poll(context));
        self.at = None;
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    const START: Now = Now::from_millis(1_000_000);
    const LONG_MS: u64 = 3_600_000;

    async fn is_pending(alarm: &mut Alarm) -> bool {
        poll_fn(|context| Poll::Ready(alarm.poll(context).is_pending())).await
    }

    /// It goes off, and no earlier than after so many milliseconds.
    async fn rings_after(alarm: &mut Alarm, millis: u64) {
        let before = Instant::now();
        poll_fn(|context| alarm.poll(context)).await;
        assert!(before.elapsed() >= Duration::from_millis(millis));
    }

    fn timed(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async { tokio::time::timeout(Duration::from_millis(LONG_MS / 2), test).await.unwrap() });
    }

    #[test]
    fn it_goes_off_at_the_earliest_moment_once() {
        timed(async {
            let mut alarm = Alarm::default();
            alarm.set(Some(START.plus_millis(LONG_MS)), START);
            assert!(is_pending(&mut alarm).await);
            alarm.set(Some(START.plus_millis(20)), START);
            alarm.set(Some(START.plus_millis(LONG_MS)), START);
            alarm.set(None, START);
            rings_after(&mut alarm, 20).await;
            assert!(is_pending(&mut alarm).await, "it was not set again");
        });
    }

    #[test]
    fn it_is_set_again_and_again() {
        timed(async {
            let (mut alarm, mut now) = (Alarm::default(), START);
            for millis in [10, 5, 30] {
                alarm.set(Some(now.plus_millis(millis)), now);
                rings_after(&mut alarm, millis).await;
                now = now.plus_millis(millis);
            }
        });
    }

    #[test]
    fn without_a_moment_to_wait_for_there_is_no_timer() {
        timed(async {
            let mut alarm = Alarm::default();
            alarm.set(None, START);
            assert!(is_pending(&mut alarm).await && alarm.sleep.is_none());
            alarm.set(Some(START.plus_millis(1)), START);
            rings_after(&mut alarm, 1).await;
            alarm.set(None, START);
            assert!(alarm.sleep.is_none());
        });
    }

    /// A task that is woken by something else at the same moment is woken once for both.
    #[test]
    fn a_moment_that_passed_while_it_was_awaited_is_seen_at_a_look() {
        timed(async {
            let (mut alarm, mut other) = (Alarm::default(), Alarm::default());
            alarm.set(Some(START.plus_millis(5)), START);
            other.set(Some(START.plus_millis(10)), START);
            assert!(is_pending(&mut alarm).await);
            rings_after(&mut other, 10).await;
            assert!(!is_pending(&mut alarm).await);
        });
    }
}
