//! The moments a connection's timeouts count from, and its one timer, which is armed late rather
//! than often: a busy connection never touches it.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Instant, Sleep};

/// See the module.
pub(super) struct Clock {
    timer: Pin<Box<Sleep>>,
    armed: Instant,
    budget_retry: Option<Instant>,
    pub(super) accepted: Instant,
    /// Last bytes from the peer, or last moment with a call in work.
    pub(super) active: Instant,
    /// The first byte of the unit that is not whole yet.
    pub(super) unit_since: Option<Instant>,
    /// The peer took no more of its replies.
    pub(super) blocked_since: Option<Instant>,
    /// The connection only waits for its last reply to be taken.
    pub(super) ending_since: Option<Instant>,
}

impl Clock {
    pub(super) fn new(first: Duration) -> Self {
        let accepted = Instant::now();
        let armed = accepted + first;
        Self {
            timer: Box::pin(tokio::time::sleep_until(armed)),
            // In the past, so that the first sleep registers the timer.
            armed: accepted,
            budget_retry: None,
            accepted,
            active: accepted,
            unit_since: None,
            blocked_since: None,
            ending_since: None,
        }
    }

    /// The budget had no room: look again then.
    pub(super) fn wait_for_budget(&mut self, retry: Instant) {
        self.budget_retry = Some(retry);
    }

    pub(super) fn is_waiting_for_budget(&self) -> bool {
        self.budget_retry.is_some()
    }

    /// Wakes the task at `deadline` or before.
    pub(super) fn arm(&mut self, context: &mut Context<'_>, now: Instant, deadline: Instant) {
        let deadline = self.budget_retry.take().map_or(deadline, |retry| retry.min(deadline));
        if self.armed <= now || deadline < self.armed {
            self.armed = deadline;
            self.timer.as_mut().reset(deadline);
            if self.timer.as_mut().poll(context).is_ready() {
                context.waker().wake_by_ref();
            }
        }
    }
}
