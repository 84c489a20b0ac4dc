//! Safe mode: after a start, until enough blocks have been reported; or by hand, until ended by
//! hand. Only counts and times in here; what is forbidden meanwhile, others decide.

use super::settings::Settings;
use crate::Millis;

/// Where the start-up is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The namespace is not loaded; nothing counts yet.
    Loading,
    /// Too few blocks or nodes.
    Waiting,
    /// The thresholds were reached at this time.
    Extension(Millis),
    /// Over.
    Off,
}

/// What is compared with the thresholds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Census {
    /// Complete blocks.
    pub(super) total: u64,
    /// Complete blocks with the minimum of replicas.
    pub(super) safe: u64,
    /// Living datanodes.
    pub(super) nodes: usize,
}

/// Both kinds of safe mode.
#[derive(Debug)]
pub(super) struct SafeMode {
    phase: Phase,
    manual: bool,
    threshold: f64,
    extension: Millis,
    nodes_min: usize,
    host: String,
}

impl SafeMode {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            phase: Phase::Loading,
            manual: false,
            threshold: settings.safemode_threshold,
            extension: settings.safemode_extension_ms,
            nodes_min: settings.safemode_min_datanodes,
            host: settings.host.clone(),
        }
    }

    /// Any kind of safe mode.
    pub(super) fn is_on(&self) -> bool {
        self.manual || self.in_startup()
    }

    /// The start-up kind.
    pub(super) fn in_startup(&self) -> bool {
        self.phase != Phase::Off
    }

    /// Image and edits are not all in: what is unknown now may be known later.
    pub(super) fn is_loading(&self) -> bool {
        self.phase == Phase::Loading
    }

    /// Image and edits are in. With nothing to wait for it is over at once.
    pub(super) fn loaded(&mut self, now: Millis, census: Census) {
        if self.is_loading() {
            self.phase = Phase::Waiting;
            self.check(now, census);
        }
    }

    /// Moves on when the thresholds are met and the extension has passed (no blocks need none), and
    /// back when they no longer are.
    pub(super) fn check(&mut self, now: Millis, census: Census) {
        if matches!(self.phase, Phase::Loading | Phase::Off) {
            return;
        }
        self.phase = match (self.met(census), self.phase) {
            (false, _) => Phase::Waiting,
            (true, Phase::Extension(since)) => Phase::Extension(since),
            (true, _) => Phase::Extension(now),
        };
        if let Phase::Extension(since) = self.phase
            && (census.total == 0 || now >= since.saturating_add(self.extension))
        {
            self.phase = Phase::Off;
        }
    }

    pub(super) fn enter(&mut self) {
        self.manual = true;
    }

    /// Ends both kinds by hand.
    pub(super) fn leave(&mut self) {
        self.manual = false;
        if !self.is_loading() {
            self.phase = Phase::Off;
        }
    }

    fn needed(&self, census: Census) -> u64 {
        (census.total as f64 * self.threshold) as u64
    }

    fn met(&self, census: Census) -> bool {
        census.safe >= self.needed(census) && census.nodes >= self.nodes_min
    }

    /// The explanation in Java's words; `None` when safe mode is off.
    pub(super) fn details(&self, now: Millis, census: Census) -> Option<String> {
        let host = &self.host;
        if self.manual {
            return Some(format!(
                "It was turned on manually. Use \"hdfs dfsadmin -safemode leave\" to turn safe \
                 mode off. NamenodeHostName:{host}"
            ));
        }
        if !self.in_startup() {
            return None;
        }
        let blocks = self.blocks_text(census);
        let nodes = self.nodes_text(census);
        let end = match self.phase {
            Phase::Extension(since) => {
                let left = since.saturating_add(self.extension).saturating_sub(now) / 1000;
                format!(
                    "In safe mode extension. Safe mode will be turned off automatically in {left} \
                     seconds."
                )
            }
            _ => "Safe mode will be turned off automatically once the thresholds have been \
                  reached."
                .to_owned(),
        };
        Some(format!("{blocks}{nodes}{end} NamenodeHostName:{host}"))
    }

    fn blocks_text(&self, census: Census) -> String {
        let Census { total, safe, .. } = census;
        let threshold = self.threshold;
        match self.needed(census).checked_sub(safe).filter(|missing| *missing > 0) {
            None => format!(
                "The reported blocks {safe} has reached the threshold {threshold:.4} of total \
                 blocks {total}. "
            ),
            Some(missing) => format!(
                "The reported blocks {safe} needs additional {missing} blocks to reach the \
                 threshold {threshold:.4} of total blocks {total}.\n"
            ),
        }
    }

    fn nodes_text(&self, census: Census) -> String {
        let (live, least) = (census.nodes, self.nodes_min);
        match least.checked_sub(live).filter(|missing| *missing > 0) {
            _ if least == 0 => "The minimum number of live datanodes is not required. ".to_owned(),
            None => format!(
                "The number of live datanodes {live} has reached the minimum number {least}. "
            ),
            Some(missing) => format!(
                "The number of live datanodes {live} needs an additional {missing} live datanodes \
                 to reach the minimum number {least}.\n"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namenode::Config;

    fn safe_mode(extension: Millis, nodes: usize) -> SafeMode {
        let config = Config {
            safemode_extension: extension,
            safemode_datanodes_min: nodes,
            hostname: "h".into(),
            ..Config::default()
        };
        SafeMode::new(&Settings::from(&config))
    }

    fn census(safe: u64, total: u64, nodes: usize) -> Census {
        Census { total, safe, nodes }
    }

    #[test]
    fn an_empty_namespace_leaves_at_once() {
        let mut mode = safe_mode(30_000, 0);
        assert!(mode.is_on());
        mode.check(5, census(0, 0, 0));
        assert!(mode.is_loading());
        mode.loaded(5, census(0, 0, 0));
        assert!(!mode.is_on());
        assert_eq!(mode.details(5, census(0, 0, 0)), None);
    }

    #[test]
    fn thresholds_then_extension_then_off() {
        let mut mode = safe_mode(30_000, 0);
        mode.loaded(0, census(0, 2000, 0));
        // floor(2000 x 0.999) = 1998
        mode.check(1, census(1997, 2000, 0));
        assert_eq!(mode.phase, Phase::Waiting);
        mode.check(2, census(1998, 2000, 0));
        assert_eq!(mode.phase, Phase::Extension(2));
        mode.check(30_001, census(2000, 2000, 0));
        assert!(mode.is_on());
        mode.check(30_002, census(2000, 2000, 0));
        assert!(!mode.is_on());
        // Losing replicas later does not bring it back.
        mode.check(30_003, census(0, 2000, 0));
        assert!(!mode.is_on());
    }

    #[test]
    fn falling_below_the_threshold_ends_the_extension() {
        let mut mode = safe_mode(30_000, 1);
        mode.loaded(0, census(1, 1, 1));
        assert_eq!(mode.phase, Phase::Extension(0));
        mode.check(10, census(1, 1, 0));
        assert_eq!(mode.phase, Phase::Waiting);
        mode.check(40_000, census(1, 1, 1));
        assert_eq!(mode.phase, Phase::Extension(40_000));
    }

    #[test]
    fn no_extension_leaves_with_the_last_report() {
        let mut mode = safe_mode(0, 0);
        mode.loaded(0, census(0, 1, 0));
        mode.check(7, census(1, 1, 0));
        assert!(!mode.is_on());
    }

    #[test]
    fn by_hand_it_stays_until_left() {
        let mut mode = safe_mode(0, 0);
        mode.loaded(0, census(0, 0, 0));
        mode.enter();
        mode.check(1_000_000, census(1, 1, 1));
        assert!(mode.is_on() && !mode.in_startup());
        mode.leave();
        assert!(!mode.is_on());
    }

    #[test]
    fn texts_are_java_s() {
        let mut mode = safe_mode(30_000, 2);
        mode.loaded(0, census(0, 12, 0));
        assert_eq!(
            mode.details(0, census(0, 12, 1)).unwrap(),
            "The reported blocks 0 needs additional 11 blocks to reach the threshold 0.9990 of \
             total blocks 12.\nThe number of live datanodes 1 needs an additional 1 live datanodes \
             to reach the minimum number 2.\nSafe mode will be turned off automatically once the \
             thresholds have been reached. NamenodeHostName:h"
        );
        mode.check(5_000, census(12, 12, 2));
        assert_eq!(
            mode.details(10_000, census(12, 12, 2)).unwrap(),
            "The reported blocks 12 has reached the threshold 0.9990 of total blocks 12. The \
             number of live datanodes 2 has reached the minimum number 2. In safe mode extension. \
             Safe mode will be turned off automatically in 25 seconds. NamenodeHostName:h"
        );
        let mut mode = safe_mode(30_000, 0);
        mode.loaded(0, census(1, 1, 0));
        assert_eq!(
            mode.details(0, census(1, 1, 0)).unwrap(),
            "The reported blocks 1 has reached the threshold 0.9990 of total blocks 1. The minimum \
             number of live datanodes is not required. In safe mode extension. Safe mode will be \
             turned off automatically in 30 seconds. NamenodeHostName:h"
        );
        mode.enter();
        assert_eq!(
            mode.details(0, census(1, 1, 0)).unwrap(),
            "It was turned on manually. Use \"hdfs dfsadmin -safemode leave\" to turn safe mode \
             off. NamenodeHostName:h"
        );
    }
}
