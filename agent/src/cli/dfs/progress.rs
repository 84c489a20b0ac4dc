//! A bar for long transfers, on a terminal only.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressStyle};

/// Shorter transfers are over before anybody reads a bar.
const LONG: u64 = 16 << 20;

/// A transfer's progress; shows nothing for short ones and where nobody looks.
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A transfer of `length` bytes, or of an unknown number.
    pub(super) fn new(name: &str, length: Option<u64>) -> Self {
        let long = length.is_none_or(|length| length >= LONG);
        if !long || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = length.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
        let template = "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
        if let (Some(_), Ok(style)) = (length, ProgressStyle::with_template(template)) {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        Self(Some(bar))
    }

    /// More bytes went through.
    pub(super) fn add(&self, bytes: usize) {
        if let Some(bar) = &self.0 {
            bar.inc(bytes as u64);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
