//! Units whose configuration does not come in time at a start, or is no good: they start from the
//! last generation that did them good, rather than not at all. And what files in force, wherever
//! they came from, still use.

use std::sync::Arc;

use tokio::sync::Notify;

use super::{Agent, FIRST_ANSWER, generations, ordered};
use crate::engine;

/// Has the driver look again when the time for a first configuration is over.
pub(super) fn wake(changed: &Arc<Notify>) {
    let changed = changed.clone();
    tokio::spawn(async move {
        tokio::time::sleep(FIRST_ANSWER).await;
        changed.notify_one();
    });
}

impl Agent {
    /// Once, when that time is over: units without a configuration take their last good one.
    pub(super) fn late(&mut self) {
        if self.late || self.clock.elapsed() < FIRST_ANSWER {
            return;
        }
        self.late = true;
        if self.planned.iter().any(|planned| planned.wanted.absent) {
            let reason = format!("it has no usable configuration within {FIRST_ANSWER:?}");
            self.fall_back(&reason);
        }
    }

    /// Adds what the files in force were made of; whether that is all that is in use. It is not
    /// while a unit may still go back to older files.
    pub(super) fn add_wants_in_force(&self, wants: &mut engine::Wants) -> bool {
        let mut whole = true;
        for (planned, unit) in self.planned.iter().zip(ordered(&self.config)) {
            let generations = generations(&self.config, unit);
            let proven = unit.command.is_none() || generations.good() == generations.current();
            whole &= proven && planned.wants.is_some();
            if let Some(in_force) = &planned.wants {
                wants.extend(in_force);
            }
        }
        whole
    }
}
