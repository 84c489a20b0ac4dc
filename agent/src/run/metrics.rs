//! The status as Prometheus reads it.
//!
//! Times are seconds; a label `unit` says which unit. Names and labels are part of the outside:
//! dashboards rely on them.

use std::fmt::Write as _;
use std::time::{Instant, SystemTime};

use super::inputs::{Health, Heard};
use super::status::{Lock, UnitStatus};
use super::vault::Samples;

/// Families under way.
struct Page<'a> {
    text: String,
    units: Vec<&'a UnitStatus>,
}

impl Page<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str, samples: &[(String, f64)]) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in samples {
            let _ = match labels.as_str() {
                "" => writeln!(self.text, "{name} {value}"),
                _ => writeln!(self.text, "{name}{{{labels}}} {value}"),
            };
        }
    }

    /// One sample for every unit.
    fn each(&mut self, name: &str, kind: &str, help: &str, value: impl Fn(&UnitStatus) -> f64) {
        let sample = |unit: &UnitStatus| (format!("unit=\"{}\"", unit.name), value(unit));
        let samples: Vec<_> = self.units.iter().copied().map(sample).collect();
        self.family(name, kind, help, &samples);
    }

    /// Samples with one more label, for every unit.
    fn split(
        &mut self,
        [name, kind, help]: [&str; 3],
        label: &str,
        values: impl Fn(&UnitStatus) -> Vec<(&'static str, f64)>,
    ) {
        let mut samples = Vec::new();
        for unit in &self.units {
            for (which, value) in values(unit) {
                samples.push((format!("unit=\"{}\",{label}=\"{which}\"", unit.name), value));
            }
        }
        self.family(name, kind, help, &samples);
    }
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// The page.
pub(super) fn text(
    units: &[UnitStatus],
    (sources, heard): (&Health, &Heard),
    more: &[(&str, &str, Samples)],
) -> String {
    let mut page = Page { text: String::new(), units: units.iter().collect() };
    generations(&mut page);
    children(&mut page);
    let name = |source: &str| format!("source=\"{}\"", source.escape_default());
    let up: Vec<_> =
        sources.iter().map(|(source, error)| (name(source), flag(error.is_none()))).collect();
    page.family("agent_source_up", "gauge", "Whether a source answers.", &up);
    let age = |at: &SystemTime| at.elapsed().unwrap_or_default().as_secs_f64();
    let ages: Vec<_> = heard.iter().map(|(source, at)| (name(source), age(at))).collect();
    let help = "Time since a source that is watched answered last.";
    page.family("agent_watch_age_seconds", "gauge", help, &ages);
    locks(&mut page);
    for (name, help, samples) in more {
        page.family(name, "gauge", help, samples);
    }
    page.text
}

/// Only of units whose changes go over the hosts.
fn locks(page: &mut Page<'_>) {
    let of = |unit: &UnitStatus| Some((format!("unit=\"{}\"", unit.name), unit.figures.lock?));
    let locks: Vec<_> = page.units.iter().copied().filter_map(of).collect();
    let held =
        |(labels, (lock, _)): &(String, (Lock, _))| (labels.clone(), flag(*lock == Lock::Held));
    let waited = |(labels, (lock, since)): &(String, (Lock, Instant))| {
        let waits = *lock == Lock::Awaited;
        (labels.clone(), if waits { since.elapsed().as_secs_f64() } else { 0.0 })
    };
    let held: Vec<_> = locks.iter().map(held).collect();
    let waited: Vec<_> = locks.iter().map(waited).collect();
    page.family("agent_lock_held", "gauge", "Whether the unit holds a slot of its rollout.", &held);
    let help = "How long the unit has waited for its turn in its rollout until now.";
    page.family("agent_lock_wait_seconds", "gauge", help, &waited);
}

fn generations(page: &mut Page<'_>) {
    page.each("agent_generation", "gauge", "The generation in force.", |unit| {
        unit.generation.unwrap_or(0) as f64
    });
    page.each(
        "agent_generation_age_seconds",
        "gauge",
        "How long the generation in force has been so, since the agent started.",
        |unit| unit.figures.since.map_or(0.0, |since| since.elapsed().as_secs_f64()),
    );
    page.each("agent_watch_index", "gauge", "The KV index of the last render.", |unit| {
        unit.index as f64
    });
    page.split(
        ["agent_render_total", "counter", "Renders, by whether they could be used."],
        "result",
        |unit| vec![("ok", unit.renders.0 as f64), ("refused", unit.renders.1 as f64)],
    );
    page.each("agent_render_seconds_total", "counter", "Time spent in rendering.", |unit| {
        unit.figures.render.as_secs_f64()
    });
    page.each("agent_render_seconds", "gauge", "Time the last render took.", |unit| {
        unit.figures.render_last.as_secs_f64()
    });
    page.each(
        "agent_validate_failures_total",
        "counter",
        "Rendered configurations that were refused.",
        |unit| unit.figures.validate_failures as f64,
    );
    page.split(
        ["agent_apply_total", "counter", "Changes that took effect, by what they asked for."],
        "action",
        |unit| unit.figures.applied.iter().map(|(what, each)| (*what, each.0 as f64)).collect(),
    );
    page.split(
        ["agent_apply_seconds_total", "counter", "Time from a new generation to its effect."],
        "action",
        |unit| {
            unit.figures.applied.iter().map(|(what, each)| (*what, each.1.as_secs_f64())).collect()
        },
    );
    page.each("agent_missing_keys", "gauge", "Keys that the templates miss.", |unit| {
        unit.missing.len() as f64
    });
    page.each("agent_refused", "gauge", "Whether the newest configuration is refused.", |unit| {
        flag(unit.refused.is_some())
    });
    page.each(
        "agent_rolled_back",
        "gauge",
        "Whether an older generation had to come back.",
        |unit| flag(unit.rolled_back_to.is_some()),
    );
    page.each(
        "agent_last_good_in_use",
        "gauge",
        "Whether the last good generation runs since sources are away.",
        |unit| flag(unit.last_good_in_use),
    );
    page.each("agent_drift_total", "counter", "Changes of files by somebody else.", |unit| {
        unit.drifts as f64
    });
}

/// Only of units that run a program.
fn children(page: &mut Page<'_>) {
    let all = page.units.clone();
    page.units.retain(|unit| unit.program);
    page.each("agent_child_up", "gauge", "Whether the unit's process runs.", |unit| {
        flag(unit.pid.is_some())
    });
    page.each("agent_child_ready", "gauge", "Whether the unit can do its work.", |unit| {
        flag(unit.ready)
    });
    page.split(
        ["agent_child_restarts_total", "counter", "Restarts of the unit's process."],
        "reason",
        |unit| {
            let (asked, died) = unit.figures.restarts;
            vec![("asked", asked as f64), ("died", died as f64)]
        },
    );
    page.units = all;
}
