//! Pages for Prometheus of units whose programs are not ours, passed on with the agent's own.
//!
//! Each sample gets the label `unit`, unless it has one. A page that does not come in time is left
//! out, and `agent_unit_metrics_up` says so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use hyper::Method;

use crate::http::{Http, Request, Tls};

/// Prometheus itself waits ten seconds for the whole page.
const PATIENCE: Duration = Duration::from_secs(3);

/// The pages of these units (name, `host:port/path`) as one text.
pub(super) async fn all(units: &[(String, String)]) -> String {
    let pages = units.iter().map(|(unit, address)| async move { (unit, page(address).await) });
    let pages = futures::future::join_all(pages).await;
    let mut text = String::new();
    if !pages.is_empty() {
        text.push_str("# HELP agent_unit_metrics_up Whether a unit's own page was there.\n");
        text.push_str("# TYPE agent_unit_metrics_up gauge\n");
    }
    for (unit, page) in &pages {
        let up = u8::from(page.is_some());
        let _ = writeln!(text, "agent_unit_metrics_up{{unit=\"{unit}\"}} {up}");
    }
    let mut told = BTreeSet::new();
    for (unit, page) in &pages {
        label(page.as_deref().unwrap_or_default(), unit, &mut told, &mut text);
    }
    text
}

async fn page(address: &str) -> Option<String> {
    let (server, path) = address.split_at(address.find('/').unwrap_or(address.len()));
    let path = if path.is_empty() { "/" } else { path };
    let http = Http::new(server, &Tls::default()).ok()?;
    let answer = http.send(Request::new(Method::GET, path, PATIENCE)).await.ok()?;
    let answer = answer.accept(&[]).ok()?;
    String::from_utf8(answer.body.to_vec()).ok()
}

/// Copies samples with their label. What is said about a family is said once: units may have the
/// same ones.
fn label(page: &str, unit: &str, told: &mut BTreeSet<String>, text: &mut String) {
    for line in page.lines().map(str::trim) {
        if line.starts_with('#') {
            let about: Vec<&str> = line.split_whitespace().take(3).collect();
            let known = matches!(about.get(1), Some(&"HELP" | &"TYPE"));
            if known && told.insert(about.join(" ")) {
                let _ = writeln!(text, "{line}");
            }
            continue;
        }
        let Some(at) = line.find(['{', ' ']) else { continue };
        let (name, rest) = line.split_at(at);
        let _ = match rest.strip_prefix('{') {
            Some(labels) if labels.contains("unit=\"") => writeln!(text, "{line}"),
            Some(labels) => {
                let comma = if labels.trim_start().starts_with('}') { "" } else { "," };
                writeln!(text, "{name}{{unit=\"{unit}\"{comma}{labels}")
            }
            None => writeln!(text, "{name}{{unit=\"{unit}\"}}{rest}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Answer, Scripted};

    #[tokio::test]
    async fn pages_of_units_are_passed_on() {
        let page =
            "# HELP a help\n# TYPE a gauge\na 1\na{x=\"y\"} 2 123\nb{} 3\nc{unit=\"own\"} 4\n";
        let server = Scripted::start(move |_| Answer::json(200, page));
        let at = |path: &str| format!("{}/{path}", server.address());
        let units = [("u", at("prom")), ("v", at("prom")), ("gone", "127.0.0.1:1/prom".to_owned())];
        let units = units.map(|(unit, address)| (unit.to_owned(), address));
        let text = all(&units).await;
        for line in [
            "agent_unit_metrics_up{unit=\"u\"} 1",
            "agent_unit_metrics_up{unit=\"gone\"} 0",
            "a{unit=\"u\"} 1",
            "a{unit=\"v\",x=\"y\"} 2 123",
            "b{unit=\"u\"} 3",
            "c{unit=\"own\"} 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert_eq!(text.matches("# TYPE a gauge").count(), 1);
        assert_eq!(all(&[]).await, "");
    }
}
