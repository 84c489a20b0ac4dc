//! What the last render of a unit came to, file by file, so that a change of one key costs what
//! depends on that key.
//!
//! A file is a function of its block, its own values and of what its template looked at, and all of
//! that is compared; so what is remembered is what a render would give. Nothing else is assumed.

use std::collections::BTreeMap;

use super::helpers::Notes;
use super::layers::{Setting, Whole};
use super::{File, Inputs, Renderer};
use crate::config::{FileConfig, UnitConfig};

/// The last render of a unit.
#[derive(Debug, Default)]
pub struct Memo {
    unit: Option<UnitConfig>,
    inputs: Inputs,
    before: BTreeMap<String, Made>,
    now: BTreeMap<String, Made>,
}

/// One file, and what it was made of.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) file: Result<File, String>,
    pub(super) notes: Notes,
    settings: Option<BTreeMap<String, Setting>>,
    whole: Option<Whole>,
    /// The settings with their templates filled in.
    filled: Option<BTreeMap<String, Setting>>,
}

impl Memo {
    /// Forgets what a change outside the files' own inputs makes worthless.
    pub(super) fn begin(&mut self, unit: &UnitConfig, inputs: &Inputs) {
        let same_host = self.inputs.node == inputs.node && self.inputs.meta == inputs.meta;
        if self.unit.as_ref() != Some(unit) || !same_host {
            self.before.clear();
            self.unit = Some(unit.clone());
        }
        self.now.clear();
    }

    /// A file, made again only if anything that goes into it differs.
    pub(super) fn file(&mut self, renderer: &mut Renderer<'_>, file: &FileConfig) -> &Made {
        let layered = &renderer.layered;
        let (settings, whole) = (layered.files.get(&file.name), layered.whole.get(&file.name));
        let remembered = self.before.remove(&file.name).filter(|made| {
            let reads = &made.notes.reads;
            made.settings.as_ref() == settings
                && made.whole.as_ref() == whole
                && reads.iter().all(|read| read.same(&self.inputs, renderer.inputs))
        });
        let made = match remembered {
            Some(made) => {
                if let Some(filled) = &made.filled {
                    renderer.layered.files.insert(file.name.clone(), filled.clone());
                }
                made
            }
            None => {
                let (settings, whole) = (settings.cloned(), whole.cloned());
                let result = renderer.file(file);
                let filled = renderer.layered.files.get(&file.name);
                let filled = filled.filter(|filled| Some(*filled) != settings.as_ref()).cloned();
                Made { file: result, notes: renderer.asked.take(), settings, whole, filled }
            }
        };
        self.now.entry(file.name.clone()).or_insert(made)
    }

    /// What was made is what the next render compares with.
    pub(super) fn finish(&mut self, inputs: &Inputs) {
        self.before = std::mem::take(&mut self.now);
        self.inputs = inputs.clone();
    }
}
