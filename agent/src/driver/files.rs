//! Puts files in force: staged, checked, swapped; and back again.
//!
//! A unit with a command that checks its files has at most one check under way (`checks`). Files
//! that were accepted are put in force when they are still what is wanted; refused ones are not
//! tried again. The loop never waits for a check.

use std::sync::Arc;

use hdfs_edge::keys::Change;

use super::{Driver, Message, Told, Wanted, Wants};
use crate::actuators::generations::{Files, GenerationError, Meta, Staged, digest_of_all};
use crate::actuators::process;
use crate::core::{Event, Outcome, Token, UnitId};
use crate::engine::change::Marks;
use crate::engine::diff;

/// Staged files, and whether their check is over.
#[derive(Debug)]
pub(super) struct Checked {
    files: Arc<Files>,
    staged: Staged,
    accepted: bool,
}

impl<W: Wants> Driver<W> {
    /// What the disk knows of configurations that did good.
    pub(super) fn recall(&mut self) {
        for id in 0..self.groups.len() {
            let generations = &self.units[id].generations;
            generations.clean();
            self.refused[id] = generations.refused();
            if let Some(meta) = generations.good().and_then(|number| generations.meta(number)) {
                let marks = meta.marks();
                self.core.step(0, &Event::Good(id, marks.restart, marks.reload));
            }
        }
    }

    pub(super) fn good(&mut self, id: UnitId) {
        let generations = &self.units[id].generations;
        if let Some(number) = generations.current()
            && let Err(error) = generations.mark_good(number)
        {
            tracing::warn!(unit = self.units[id].name, "{error}");
        }
        self.wants.told(id, Told::Good);
    }

    pub(super) fn roll_back(&mut self, id: UnitId) {
        let (unit, generations) = (&self.units[id].name, &self.units[id].generations);
        let Some(number) = generations.good() else {
            tracing::error!(unit, "no good generation is left to go back to");
            return;
        };
        match generations.roll_back(number) {
            Ok(()) => {
                tracing::error!(
                    unit,
                    number,
                    "does no good with its new configuration; rolled back"
                );
                let refused = digest_of_all(&self.wanted[id].files);
                if let Err(error) = generations.mark_refused(Some(&refused)) {
                    tracing::warn!(unit, "{error}");
                }
                self.refused[id] = Some(refused);
                self.wants.told(id, Told::RolledBack(number));
            }
            Err(error) => tracing::error!(unit, "{error}"),
        }
    }

    /// Looks at the wanted state; what is wrong changes nothing and is told once.
    pub(super) fn reread(&mut self) -> Option<Outcome> {
        match self.wants.read() {
            Ok(wanted) => {
                self.complaint = None;
                self.want(wanted)
            }
            Err(complaint) => {
                if self.complaint.as_ref() != Some(&complaint) {
                    tracing::error!(
                        "the new configuration is refused, nothing changes: {complaint}"
                    );
                }
                self.complaint = Some(complaint);
                None
            }
        }
    }

    /// Puts files in force and tells the core. A unit whose files cannot be written keeps all of
    /// its old state; the next rescan tries again.
    pub(super) fn want(&mut self, wanted: Vec<Wanted>) -> Option<Outcome> {
        for (id, wanted) in wanted.into_iter().enumerate() {
            if wanted.absent {
                continue;
            }
            let refused = self.refused[id].as_ref();
            let refused = refused.is_some_and(|refused| *refused == digest_of_all(&wanted.files));
            // A start with what is known to do no good starts with what did good.
            let instead = match refused && self.wanted[id].absent {
                true => self.last_good(id, &wanted),
                false => None,
            };
            if refused && instead.is_none() && !self.wanted[id].absent {
                continue;
            }
            let known_bad = refused && instead.is_some();
            let wanted = instead.unwrap_or(wanted);
            match self.commit(id, &wanted) {
                Ok(true) if known_bad => {}
                Ok(true) => self.settle(id),
                Ok(false) => continue,
                Err(error) => {
                    // A full disk is met at every try, and told once.
                    let told = Some((wanted.token, error.clone()));
                    if self.complained[id] != told {
                        self.complain(id, wanted.token, error);
                    }
                    continue;
                }
            }
            let (token, reload) = (wanted.token, wanted.reload);
            self.wanted[id] = wanted;
            if self.units[id].program.is_none() {
                continue;
            }
            for event in [Event::Reloadable(id, reload), Event::Wanted(id, token)] {
                if let Some(outcome) = self.feed(event) {
                    return Some(outcome);
                }
            }
        }
        None
    }

    /// Says why files are not in force.
    fn complain(&mut self, id: UnitId, wanted: Token, reason: String) {
        tracing::error!(unit = self.units[id].name, "{reason}");
        self.complained[id] = Some((wanted, reason.clone()));
        self.wants.told(id, Told::Refused(reason));
    }

    /// What is wanted is in force: nothing is held against anything any more.
    fn settle(&mut self, id: UnitId) {
        let refused = self.forgive(id);
        if self.complained[id].take().is_some() || refused {
            self.wants.told(id, Told::Settled);
        }
    }

    /// What did the unit good last, in place of what did not.
    fn last_good(&mut self, id: UnitId, instead_of: &Wanted) -> Option<Wanted> {
        let generations = &self.units[id].generations;
        let number = generations.good()?;
        let (meta, files) = (generations.meta(number)?, generations.files(number).ok()?);
        self.wants.told(id, Told::RolledBack(number));
        Some(Wanted {
            files: files.into(),
            token: meta.restart,
            reload: meta.reload,
            index: meta.index,
            stored: meta.stored,
            validate: None,
            ..instead_of.clone()
        })
    }

    /// Files that did no good may be tried again. Says whether there are any.
    pub(super) fn forgive(&mut self, id: UnitId) -> bool {
        let found = self.refused.get_mut(id).and_then(Option::take).is_some();
        if found && let Err(error) = self.units[id].generations.mark_refused(None) {
            tracing::warn!(unit = self.units[id].name, "{error}");
        }
        found
    }

    /// Stages, checks and swaps. Says whether these files are in force now; while their check runs
    /// they are not.
    fn commit(&mut self, id: UnitId, wanted: &Wanted) -> Result<bool, String> {
        let generations = &self.units[id].generations;
        if generations.put(&wanted.files)
            && (generations.holds(&wanted.files) || self.drifted(id, wanted.report_drift))
        {
            return Ok(true);
        }
        if let Some(check) = self.checks[id].take() {
            if !check.accepted {
                // One check at a time: what comes of it is first.
                self.checks[id] = Some(check);
                return Ok(false);
            }
            if check.files == wanted.files {
                return self.publish(id, check.staged, wanted).map(|()| true);
            }
        }
        let staged = self.units[id].generations.stage(&wanted.files).map_err(text)?;
        let Some((command, patience)) = wanted.validate.clone() else {
            return self.publish(id, staged, wanted).map(|()| true);
        };
        let (messages, folder) = (self.messages.clone(), staged.folder().to_owned());
        self.checks[id] = Some(Checked { files: wanted.files.clone(), staged, accepted: false });
        tokio::spawn(async move {
            let verdict = process::check(&command, &folder, patience).await;
            let _ = messages.send(Message::Checked(id, verdict)).await;
        });
        Ok(false)
    }

    /// Files in force were changed by somebody; says whether they stay so.
    fn drifted(&mut self, id: UnitId, stays: bool) -> bool {
        let unit = &self.units[id];
        let kept = if stays { "they stay so" } else { "they are written again" };
        let drift = format!("{}; {kept}", unit.generations.drift().join(", "));
        if self.drifts[id].as_ref() != Some(&drift) {
            tracing::warn!(unit = unit.name, "files were changed by somebody else: {drift}");
            self.wants.told(id, Told::Drift(drift.clone()));
        }
        self.drifts[id] = stays.then_some(drift);
        stays
    }

    /// The command has spoken about staged files. Says whether to look at the wanted state again.
    pub(super) fn checked(&mut self, id: UnitId, verdict: Result<(), String>) -> bool {
        let Some(check) = self.checks[id].take() else { return false };
        match verdict {
            Ok(()) => self.checks[id] = Some(Checked { accepted: true, ..check }),
            Err(reason) => {
                // What a command says about a secret file may quote it.
                let secret = check.files.values().any(|file| file.secret);
                let masked = "its command refuses the files (its reason is masked)";
                let reason = if secret { masked.to_owned() } else { reason };
                self.units[id].generations.clean();
                self.refused[id] = Some(digest_of_all(&check.files));
                self.complain(id, self.wanted[id].token, reason);
            }
        }
        true
    }

    fn publish(&mut self, id: UnitId, staged: Staged, wanted: &Wanted) -> Result<(), String> {
        let unit = &self.units[id];
        let generations = &unit.generations;
        let current = generations.current();
        let (old, new) = generations.replaced_by(&wanted.files);
        let before = current.and_then(|number| generations.meta(number)).map(|meta| meta.marks());
        let marks = Marks { restart: wanted.token, reload: wanted.reload };
        let action = match before.map(|before| before.to(marks)) {
            None => "start",
            Some(Change::None) => "none",
            Some(Change::Reload) => "reload",
            Some(Change::Restart) => "restart",
        };
        let meta = Meta {
            index: wanted.index,
            stored: wanted.stored,
            reason: action.to_owned(),
            restart: marks.restart,
            reload: marks.reload,
            ..Meta::default()
        };
        let good = generations.good().and_then(|good| generations.meta(good));
        let number = generations.publish(staged, &wanted.files, meta).map_err(text)?;
        // What asks for nothing is as good as what it follows.
        if good.is_some_and(|good| good.marks() == marks) {
            generations.mark_good(number).map_err(text)?;
        }
        if action == "none" {
            self.agreements[id].as_good(generations.link());
        }
        tracing::info!(unit = unit.name, number, "has a new configuration");
        let diff = diff::diff(&old, &new);
        self.drifts[id] = None;
        self.wants.told(id, Told::Committed { number, action, diff });
        // Nobody waits for this: see the order of a commit.
        let (generations, messages) = (self.units[id].generations.clone(), self.messages.clone());
        tokio::task::spawn_blocking(move || {
            let done = generations.sync(number);
            let _ = messages.blocking_send(Message::Synced(id, number, done));
        });
        Ok(())
    }

    /// A generation is in force durably; older ones can go.
    pub(super) fn synced(&self, id: UnitId, number: u64, done: Result<(), GenerationError>) {
        let unit = &self.units[id];
        match done {
            Ok(()) => unit.generations.prune(number),
            Err(error) => tracing::error!(
                unit = unit.name,
                number,
                "a power failure would bring back older configuration: {error}"
            ),
        }
    }
}

fn text(error: GenerationError) -> String {
    error.to_string()
}
