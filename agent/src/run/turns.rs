//! A unit's part in a rollout, as the agent's loop sees it: what is proposed waits for its turn, is
//! then taken, and what comes of it is reported.
//!
//! Only a change that restarts a running program waits; with a change under way (`rolling`) the
//! next one stays proposed until that is over.

use std::sync::Arc;

use tokio::sync::Notify;

use super::inputs::Sources;
use super::rollout::{Rollouts, State};
use super::status::Lock;
use super::{Agent, generations, ordered};
use crate::config::{AgentConfig, UnitConfig};
use crate::core::UnitId;
use crate::core::rollout::Wish;
use crate::driver::{Told, Wanted};
use crate::engine::{self, Inputs, Wants};

/// A configuration that could be taken.
pub(super) struct Proposal {
    pub(super) wanted: Wanted,
    pub(super) author: Option<String>,
    pub(super) wants: Wants,
    pub(super) wish: Wish,
}

/// The tasks of all units with a `rollout` block.
pub(super) fn rollouts(config: &AgentConfig, sources: &Sources, changed: &Arc<Notify>) -> Rollouts {
    Rollouts::start(config, sources.consul().as_ref(), sources.node(), changed)
}

/// What a unit would wish for with these inputs.
pub(super) fn wish(config: &AgentConfig, unit: &UnitConfig, inputs: &Inputs) -> Wish {
    Wish { revision: engine::revision(config, unit, inputs), index: inputs.kv.index }
}

impl Agent {
    /// Whether the whole cluster is frozen.
    pub(super) fn cluster_frozen(&self, inputs: &Inputs) -> bool {
        let entry = inputs.kv.entries.get(&self.config.freeze_key());
        let reason = entry.map(|entry| String::from_utf8_lossy(&entry.value).trim().to_owned());
        self.board.cluster_frozen(reason.clone());
        reason.is_some()
    }

    /// Takes a configuration, or has it wait for its turn.
    pub(super) fn propose(&mut self, id: UnitId, unit: &UnitConfig, proposal: Proposal) {
        let restarts = || {
            let generations = generations(&self.config, unit);
            let in_force = generations.current().and_then(|number| generations.meta(number));
            in_force.is_some_and(|meta| meta.restart != proposal.wanted.token)
        };
        let runs = !self.planned[id].wanted.absent && unit.command.is_some();
        if self.rollouts.has(id) && runs && restarts() {
            self.planned[id].proposed = Some(proposal);
        } else {
            self.planned[id].proposed = None;
            self.take(id, proposal);
        }
    }

    fn take(&mut self, id: UnitId, proposal: Proposal) {
        let planned = &mut self.planned[id];
        planned.author = proposal.author;
        planned.wants = Some(proposal.wants);
        planned.wanted = proposal.wanted;
        self.board.last_good(id, false);
    }

    /// Goes as far as a unit can go now.
    pub(super) fn take_turn(
        &mut self,
        id: UnitId,
        unit: &UnitConfig,
        inputs: &Inputs,
        frozen: bool,
    ) {
        if !self.rollouts.has(id) {
            return;
        }
        let revision = engine::revision(&self.config, unit, inputs);
        self.rollouts.sees(id, &revision, self.board.active(id));
        let state = self.rollouts.state(id);
        let planned = &mut self.planned[id];
        if let Some(rolling) = &planned.rolling {
            if state != State::Done(rolling.revision.clone()) {
                self.show_rollout(id);
                return;
            }
            planned.rolling = None;
            self.rollouts.wish(id, None);
        }
        let wish = planned.proposed.as_ref().map(|proposed| proposed.wish.clone());
        match wish.filter(|_| !frozen) {
            None => self.rollouts.wish(id, None),
            Some(wish) if state == State::Granted(wish.revision.clone()) => {
                planned.rolling = Some(wish);
                if let Some(proposal) = planned.proposed.take() {
                    self.take(id, proposal);
                }
            }
            // While the task still ends the last change, it would take this for the same one.
            Some(wish) if !matches!(state, State::Done(_)) => self.rollouts.wish(id, Some(wish)),
            Some(_) => self.rollouts.wish(id, None),
        }
        self.show_rollout(id);
    }

    fn show_rollout(&self, id: UnitId) {
        let lock = match self.rollouts.state(id) {
            State::Waiting(_) => Lock::Awaited,
            State::Granted(_) => Lock::Held,
            State::Idle | State::Halted(_) | State::Done(_) => Lock::Free,
        };
        self.board.rollout(id, self.rollouts.told(id), lock);
    }

    /// What happened to a unit may be what its turn was for.
    pub(super) fn judge_turn(&mut self, id: UnitId, told: &Told) {
        let Some(planned) = self.planned.get(id).filter(|planned| planned.rolling.is_some()) else {
            return;
        };
        let in_force = || {
            let unit = ordered(&self.config).into_iter().nth(id)?;
            let generations = generations(&self.config, unit);
            generations.meta(generations.current()?)
        };
        let goes_back = ordered(&self.config)
            .get(id)
            .and_then(|unit| unit.rollout.as_ref())
            .is_some_and(|rollout| rollout.rollback);
        match told {
            Told::Good if in_force().is_some_and(|meta| meta.restart == planned.wanted.token) => {
                self.rollouts.report(id, Ok(()));
            }
            Told::RolledBack(number) => {
                let reason = format!("not well with its new configuration; back to {number}");
                self.rollouts.report(id, Err(reason));
            }
            Told::Refused(reason) => self.rollouts.report(id, Err(reason.clone())),
            Told::Ended(exit) if !goes_back && !self.stopping(id) => {
                self.rollouts.report(id, Err(format!("ended: {}", super::ended(*exit))));
            }
            _ => {}
        }
    }

    /// Whether the unit was asked to stop for its restart.
    fn stopping(&self, id: UnitId) -> bool {
        self.board.stopping(id)
    }
}
