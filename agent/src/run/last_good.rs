//! What is done when the sources say nothing, or nothing that can be used: a unit goes on with what
//! it has, and a host that boots starts its units with what last did them good.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Agent, FIRST_ANSWER, generations, ordered};
use crate::actuators::generations::Generations;
use crate::config::{AgentConfig, UnitConfig};
use crate::core::UnitId;
use crate::driver::{Told, Wanted};
use crate::engine::{self, Rendered};

impl Agent {
    /// Units nothing is known of start from the last generation that did them good.
    pub(super) fn fall_back(&mut self, reason: &str) {
        for (id, unit) in ordered(&self.config).into_iter().enumerate() {
            if !self.planned[id].wanted.absent {
                continue;
            }
            match last_good(&self.config, unit) {
                Ok(good) => {
                    tracing::error!(
                        unit = unit.name,
                        number = good.0,
                        "starts from its LAST GOOD generation: {reason}"
                    );
                    self.planned[id].wanted = good.1;
                    self.board.last_good(id, true);
                }
                Err(why) => {
                    tracing::error!(unit = unit.name, "cannot start: {reason}; {why}");
                    self.board.told(id, &Told::Refused(format!("cannot start: {reason}; {why}")));
                }
            }
        }
    }

    /// A unit whose newest configuration is refused starts with its last good one, as it would have
    /// gone on running with it. What comes late, such as secrets, has its moment first.
    pub(super) fn start_refused(&mut self) {
        if std::mem::replace(&mut self.fell_back, true) {
            return;
        }
        let moment = FIRST_ANSWER.saturating_sub(self.clock.elapsed());
        if self.planned.iter().all(|planned| !planned.wanted.absent) {
            return;
        }
        if moment.is_zero() {
            return self.fall_back("its newest configuration is refused");
        }
        self.fell_back = false;
        let changed = self.changed.clone();
        tokio::spawn(async move {
            tokio::time::sleep(moment).await;
            changed.notify_one();
        });
    }

    /// Refuses a store that had values for the unit and has none any more. That is an accident of
    /// whoever emptied it, or of a store that lost its data; a daemon with nothing but defaults
    /// would serve another cluster.
    pub(super) fn doubt_nothing(&self, id: UnitId, unit: &UnitConfig, rendered: &mut Rendered) {
        if rendered.stored > 0 {
            return;
        }
        let wanted = &self.planned[id].wanted;
        let stored = if wanted.absent {
            let generations = generations(&self.config, unit);
            let meta = generations.current().and_then(|number| generations.meta(number));
            meta.map_or(0, |meta| meta.stored)
        } else {
            wanted.stored
        };
        if stored > 0 {
            rendered.missing.insert(format!(
                "all {stored} keys that the store had for {}; if that is meant, keep one of them",
                unit.name
            ));
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

/// The last good generation of a unit, if it is young enough.
fn last_good(config: &AgentConfig, unit: &UnitConfig) -> Result<(u64, Wanted), String> {
    let generations = generations(config, unit);
    let number = generations.good().ok_or("there is no last good generation")?;
    let wanted = from_disk(&generations, unit, number)?;
    let meta = generations.meta(number).unwrap_or_default();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let age = now.saturating_sub(Duration::from_secs(meta.time));
    if age > config.last_good_max_age {
        return Err(format!(
            "its last good generation {number} is {age:?} old, more than last_good_max_age"
        ));
    }
    Ok((number, wanted))
}

/// The state that a generation on the disk asks for.
pub(super) fn from_disk(
    generations: &Generations,
    unit: &UnitConfig,
    number: u64,
) -> Result<Wanted, String> {
    let meta = generations.meta(number).ok_or("what its generation is, is unknown")?;
    let files = generations.files(number).map_err(|error| error.to_string())?;
    Ok(Wanted {
        files: files.into(),
        token: meta.restart,
        reload: meta.reload,
        health: unit.ready.as_ref().map(|ready| ready.http.clone()),
        index: meta.index,
        stored: meta.stored,
        ..Wanted::default()
    })
}
