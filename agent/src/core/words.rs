//! What goes into the supervisor, and what comes out of it.

/// Milliseconds of a steady clock.
pub type Millis = u64;

/// Index of a unit in the supervisor's list.
pub type UnitId = usize;

/// Identity of a configuration as far as it matters for a restart. Equal tokens, no restart.
pub type Token = u64;

/// Exit code of a daemon that was given something it cannot work with.
pub const EXIT_USAGE: i32 = 2;

/// How a unit is treated. All times in milliseconds.
#[derive(Debug, Clone)]
pub struct Policy {
    /// First pause before a restart.
    pub backoff_ms: Millis,
    /// Longest pause before a restart.
    pub backoff_ms_max: Millis,
    /// How much longer each pause is than the one before; twice as long without.
    pub backoff_ms_step: Option<Millis>,
    /// A unit that ran this long starts over with the first pause.
    pub reset_after_ms: Millis,
    /// Failures in a row before the first "ready" of all, after which the supervisor gives up.
    pub failures_max: u32,
    /// From the polite signal to the hard one.
    pub stop_timeout_ms: Millis,
    /// How long a restart for new configuration may hold back the next unit's.
    pub ready_patience_ms: Millis,
    /// Units of a lower rank stop first.
    pub stop_rank: u8,
    /// Deaths before "ready" with a new configuration, after which the last good one comes back;
    /// 0 means that no configuration is on trial.
    pub trial_failures: u32,
    /// Whether the last good one comes back at all.
    pub goes_back: bool,
    /// How long a process must run before its configuration counts as good.
    pub good_after_ms: Millis,
    /// Whether `failures_max` counts after the first "ready" of all too.
    pub exhausts: bool,
}

impl Policy {
    /// The pauses before restarts.
    pub fn backoff(&self) -> super::Backoff {
        super::Backoff::new(self.backoff_ms, self.backoff_ms_max).stepping(self.backoff_ms_step)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            backoff_ms: 200,
            backoff_ms_max: 10_000,
            backoff_ms_step: None,
            reset_after_ms: 10_000,
            failures_max: 10,
            stop_timeout_ms: 15_000,
            ready_patience_ms: 30_000,
            stop_rank: 0,
            trial_failures: 0,
            goes_back: true,
            good_after_ms: 0,
            exhausts: false,
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with a code.
    Code(i32),
    /// By a signal.
    Signal(i32),
}

/// What the driver tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The unit's configuration on disk is now the one of this token.
    Wanted(UnitId, Token),
    /// What a reload is enough for is now this on disk. Comes before the `Wanted` it belongs to.
    Reloadable(UnitId, Token),
    /// A configuration its program was well with, known from the disk, and its reload part.
    Good(UnitId, Token, Token),
    /// Whether something it waits for is not there yet.
    Held(UnitId, bool),
    /// It was held for longer than it may be.
    Late(UnitId),
    /// It says that it runs with another configuration than the one in force (`false`), or with
    /// that one.
    Agrees(UnitId, bool),
    /// The operator wants it restarted.
    Restart(UnitId),
    /// The daemon read its files again, or could not.
    Reloaded(UnitId, bool),
    /// The process asked for runs.
    Started(UnitId),
    /// The process asked for could not be made.
    SpawnFailed(UnitId),
    /// The process is gone.
    Exited(UnitId, Exit),
    /// Answer to a probe: able to do its work, or not (yet).
    Health(UnitId, bool),
    /// Stop everything. Twice: at once.
    Stop,
    /// Time passed.
    Tick,
}

/// What the driver is to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the unit's process. Answered by `Started` or `SpawnFailed`.
    Spawn(UnitId),
    /// Ask the process to stop.
    Terminate(UnitId),
    /// Kill the process and all it started.
    Kill(UnitId),
    /// Ask whether it is healthy. Answered by `Health`.
    Probe(UnitId),
    /// Tell the daemon to read its files again. Answered by `Reloaded`.
    Reload(UnitId),
    /// What is on disk does it good; remember that.
    Good(UnitId),
    /// What is on disk does it no good; put the last good files back.
    RollBack(UnitId),
    /// All units are ready for the first time.
    AllReady,
    /// A line for the operator.
    Note(UnitId, Note),
    /// Everything has stopped; leave with this result.
    Finish(Outcome),
}

/// Something the operator should read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The process ended on its own; it comes back after the pause.
    Died(Exit, Millis),
    /// It is stopped to take up new configuration.
    Restarting,
    /// It could not read its files again and is restarted for them.
    ReloadFailed,
    /// It runs with another configuration than the one in force and is told again.
    Differs,
    /// It does so even after a restart.
    Stubborn,
    /// It runs and is ready again.
    Ready,
    /// It did not stop in time.
    Killed,
}

/// How it all ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Stopped as asked.
    Stopped,
    /// A unit refused its configuration.
    Refused(UnitId),
    /// A unit never came up.
    GaveUp(UnitId),
}
