//! The namenode's own web pages: overview, `/isActive`, `/topology`, `/startupProgress`, and the
//! image transfer (in `transfer.rs`).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use hdfs_edge::http::answer;
use hdfs_wire::proto::hdfs::DatanodeInfoProto;
use serde_json::json;

use crate::beans::{self, Snapshot};
use crate::server::Server;
use crate::{fsck, transfer};

/// The pages.
pub(crate) fn pages(server: Arc<Server>) -> Router {
    Router::new()
        .route("/", get(overview))
        .route("/index.html", get(|| async { Redirect::to("/") }))
        .route("/dfshealth.html", get(|| async { Redirect::to("/") }))
        .route("/isActive", get(is_active))
        .route("/topology", get(topology))
        .route("/startupProgress", get(startup_progress))
        .route("/fsck", get(fsck::page))
        .route("/imagetransfer", get(transfer::download).put(transfer::upload))
        .with_state(server)
}

/// Gathers on a thread that may wait for the namespace lock.
async fn snapshot(server: &Arc<Server>) -> Result<Snapshot, StatusCode> {
    let server = server.clone();
    tokio::task::spawn_blocking(move || Snapshot::take(&server))
        .await
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

async fn is_active() -> &'static str {
    "I am Active!"
}

async fn startup_progress(State(server): State<Arc<Server>>) -> Response {
    let ready = server.health.is_ready();
    let phase = |name: &str, text: &str| {
        json!({
            "name": name,
            "desc": text,
            "status": if ready { "COMPLETE" } else { "RUNNING" },
            "percentComplete": if ready { 1.0 } else { 0.0 },
            "elapsedTime": 0,
            "steps": [],
        })
    };
    let body = json!({
        "elapsedTime": 0,
        "percentComplete": if ready { 1.0 } else { 0.0 },
        "phases": [
            phase("LoadingFsImage", "Loading fsimage"),
            phase("LoadingEdits", "Loading edits"),
            phase("SavingCheckpoint", "Saving checkpoint"),
            phase("SafeMode", "Safe mode"),
        ],
    });
    answer("application/json; charset=utf-8", body.to_string())
}

async fn topology(State(server): State<Arc<Server>>) -> Result<Response, StatusCode> {
    let snapshot = snapshot(&server).await?;
    let mut racks: BTreeMap<&str, Vec<&DatanodeInfoProto>> = BTreeMap::new();
    for node in &snapshot.live {
        racks.entry(node.location()).or_default().push(node);
    }
    let mut text = String::new();
    for (rack, nodes) in &racks {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "Rack: {rack}");
        for node in nodes {
            let id = &node.id;
            let _ = writeln!(text, "   {}:{} ({})", id.ip_addr, id.xfer_port, id.host_name);
        }
        text.push('\n');
    }
    if racks.is_empty() {
        text.push_str("No DataNodes\n");
    }
    Ok(answer("text/plain; charset=utf-8", text))
}

async fn overview(State(server): State<Arc<Server>>) -> Result<Response, StatusCode> {
    let snapshot = snapshot(&server).await?;
    Ok(Html(overview_html(&server, &snapshot)).into_response())
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;\
padding:0 1rem;color:#1b1f24}h1{font-size:1.4rem}table{border-collapse:collapse;width:100%;\
margin:1rem 0}td,th{text-align:left;padding:.3rem .6rem;border-bottom:1px solid #d8dde3}\
th{font-weight:600}.num{text-align:right}.safe{background:#fff3cd;padding:.6rem;border-radius:4px}\
a{color:#0b5cad}";

fn overview_html(server: &Server, snapshot: &Snapshot) -> String {
    let Snapshot { figures, stats, live, dead, .. } = snapshot;
    let host = format!("{}:{}", server.settings.rpc.0, server.rpc_address.port());
    let mut text = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>namenode {host}</title>\
         <style>{STYLE}</style><h1>namenode hdfs://{host}</h1>\n",
        host = escape(&host)
    );
    if let Some(reason) = &snapshot.safe_mode {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "<p class=\"safe\">Safe mode is on. {}</p>", escape(reason));
    }
    let rows = [
        ("Up for", format!("{} s", beans::uptime_seconds(server))),
        ("Files and directories", figures.inodes.to_string()),
        ("Blocks", figures.blocks.to_string()),
        ("Files being written", figures.open_files.to_string()),
        ("Capacity", size(stats.capacity)),
        ("Used", format!("{} ({:.1} %)", size(stats.used), snapshot.used_percent())),
        ("Remaining", size(stats.remaining)),
        ("Blocks with too few replicas", stats.under_replicated.to_string()),
        ("Missing blocks", stats.missing_blocks.to_string()),
        ("Datanodes", format!("{} live, {} dead", live.len(), dead.len())),
        ("Last transaction on disk", server.journal.synced().to_string()),
        ("Last transaction in an image", server.names.image_txid().to_string()),
        ("Resident memory", size(beans::resident_bytes())),
    ];
    text.push_str("<table>");
    for (name, value) in rows {
        let _ = writeln!(text, "<tr><th>{name}</th><td>{}</td></tr>", escape(&value));
    }
    text.push_str(
        "</table>\n<h1>Datanodes</h1><table><tr><th>Node</th><th>Rack</th><th>State</th>\
                   <th class=\"num\">Capacity</th><th class=\"num\">Used</th>\
                   <th class=\"num\">Blocks</th><th class=\"num\">Last contact</th></tr>\n",
    );
    for node in live.iter().chain(dead) {
        let id = &node.id;
        let seconds = snapshot.now.saturating_sub(node.last_update()) / 1000;
        let _ = writeln!(
            text,
            "<tr><td><a href=\"http://{name}:{web}/\">{name}:{port}</a></td><td>{rack}</td>\
             <td>{state}</td><td class=\"num\">{capacity}</td><td class=\"num\">{used}</td>\
             <td class=\"num\">{blocks}</td><td class=\"num\">{seconds} s</td></tr>",
            name = escape(&id.host_name),
            web = id.info_port,
            port = id.xfer_port,
            rack = escape(node.location()),
            state = beans::admin_state(node.admin_state.unwrap_or(0)),
            capacity = size(node.capacity()),
            used = size(node.dfs_used()),
            blocks = node.num_blocks(),
        );
    }
    text.push_str("</table>\n<p>");
    for page in ["jmx", "metrics", "prom", "conf", "stacks", "logLevel", "healthz", "topology"] {
        let _ = write!(text, "<a href=\"/{page}\">{page}</a> ");
    }
    text.push_str("</p></html>\n");
    text
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '\n' => escaped.push_str("<br>"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[allow(clippy::cast_precision_loss)] // for people
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{number:.1} {}", UNITS[unit]) }
}
