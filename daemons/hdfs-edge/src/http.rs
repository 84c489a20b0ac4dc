//! The web server of a daemon: the pages every daemon has, merged with its own.
//!
//! Silent, slow and numerous peers are bounded here, before any request exists; a page never blocks
//! a worker for long. There is no authentication of users in simple mode, as in Hadoop.

mod guard;

use std::fmt::{self, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use parking_lot::RwLock;
use serde_json::{Map, Value, json};

use crate::daemon;
use crate::live::Live;
use crate::metrics::Registry;

pub use guard::{Bounds, Peer};

/// What `/healthz` says. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Health {
    ready: Arc<AtomicBool>,
    reason: Arc<RwLock<String>>,
}

impl Health {
    /// The daemon can do its work from now on.
    pub fn set_ready(&self) {
        self.reason.write().clear();
        self.ready.store(true, Ordering::Release);
    }

    /// The daemon cannot do its work, and why.
    pub fn set_waiting(&self, reason: impl Into<String>) {
        *self.reason.write() = reason.into();
        self.ready.store(false, Ordering::Release);
    }

    /// Whether the daemon can do its work.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }
}

/// What the common pages show.
#[derive(Debug, Clone)]
pub struct Pages {
    /// The configuration in force.
    pub config: Live,
    /// Whether the daemon can do its work.
    pub health: Health,
    /// What the daemon counts.
    pub registry: Registry,
    /// What `/healthz` tells besides.
    pub about: About,
}

/// More entries for the answer of `/healthz`, asked for each time. Clones share one.
#[derive(Clone, Default)]
pub struct About(Option<Arc<dyn Fn() -> Map<String, Value> + Send + Sync>>);

impl About {
    /// What `tell` returns is added. It must not wait for anything.
    pub fn new(tell: impl Fn() -> Map<String, Value> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    fn tell(&self) -> Map<String, Value> {
        self.0.as_ref().map(|tell| tell()).unwrap_or_default()
    }
}

impl fmt::Debug for About {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}", self.tell())
    }
}

type Parameters = Query<Vec<(String, String)>>;

/// The first value of a query parameter.
pub fn parameter<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// The pages every daemon has: `/healthz /jmx /prom /metrics /conf /logLevel /stacks`, and
/// `POST /reload`, which has the daemon read its files again.
pub fn common_pages(pages: Pages) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/jmx", get(jmx))
        .route("/prom", get(prom))
        .route("/metrics", get(metrics))
        .route("/conf", get(conf))
        .route("/logLevel", get(log_level))
        .route("/reload", post(reload))
        .route("/stacks", get(stacks))
        .with_state(Arc::new(pages))
}

/// Serves until `shutdown` resolves; open requests are then given a moment by the caller's
/// runtime and cut.
///
/// # Errors
/// The listener does not work at all.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    bounds: Bounds,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener =
        guard::GuardedListener::new(tokio::net::TcpListener::from_std(listener)?, bounds);
    let server = axum::serve(listener, router.into_make_service_with_connect_info::<Peer>());
    tokio::select! {
        result = server => result,
        () = shutdown => Ok(()),
    }
}

/// A text answer of the given type.
pub fn answer(content_type: &'static str, body: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(content_type))], body).into_response()
}

const JSON: &str = "application/json; charset=utf-8";
const PLAIN: &str = "text/plain; charset=utf-8";

async fn healthz(State(pages): State<Arc<Pages>>) -> Response {
    let ready = pages.health.is_ready();
    let reason = pages.health.reason.read().clone();
    let mut body = pages.about.tell();
    body.insert("ready".to_owned(), ready.into());
    body.insert("config".to_owned(), pages.config.get().hash().into());
    body.insert("reason".to_owned(), reason.into());
    let body = Value::Object(body);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, answer(JSON, format!("{body}\n"))).into_response()
}

async fn jmx(State(pages): State<Arc<Pages>>, Query(query): Parameters) -> Response {
    let body = match parameter(&query, "get") {
        None => Some(pages.registry.jmx(parameter(&query, "qry"))),
        Some(wanted) => wanted
            .split_once("::")
            .and_then(|(bean, attribute)| pages.registry.jmx_attribute(bean, attribute)),
    };
    match body {
        Some(body) => answer(JSON, body),
        None => {
            let message = json!({ "result": "ERROR", "message": "no such bean or attribute" });
            (StatusCode::NOT_FOUND, answer(JSON, message.to_string())).into_response()
        }
    }
}

async fn prom(State(pages): State<Arc<Pages>>) -> Response {
    answer("text/plain; version=0.0.4; charset=utf-8", pages.registry.prometheus_hadoop())
}

async fn metrics(State(pages): State<Arc<Pages>>) -> Response {
    answer("text/plain; version=0.0.4; charset=utf-8", pages.registry.prometheus_exporter())
}

async fn conf(State(pages): State<Arc<Pages>>, Query(query): Parameters) -> Response {
    let wanted = parameter(&query, "name");
    let all: Vec<_> = pages
        .config
        .get()
        .effective()
        .into_iter()
        .filter(|(name, ..)| wanted.is_none_or(|wanted| wanted == name))
        .map(|(name, value, source)| {
            let value = if is_secret(&name) { "<redacted>".to_owned() } else { value };
            (name, value, source)
        })
        .collect();
    if wanted.is_some() && all.is_empty() {
        return (StatusCode::NOT_FOUND, "no such property\n").into_response();
    }
    match parameter(&query, "format") {
        None | Some("xml") => answer("text/xml; charset=utf-8", conf_xml(&all)),
        Some("json") => {
            let all: Vec<_> = all
                .iter()
                .map(|(name, value, source)| {
                    json!({ "key": name, "value": value, "isFinal": false, "resource": source })
                })
                .collect();
            let body = match (wanted, all.first()) {
                (Some(_), Some(one)) => json!({ "property": one }),
                _ => json!({ "properties": all }),
            };
            answer(JSON, body.to_string())
        }
        Some(_) => (StatusCode::BAD_REQUEST, "format is xml or json\n").into_response(),
    }
}

fn conf_xml(all: &[(String, String, String)]) -> String {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<configuration>\n");
    for (name, value, source) in all {
        let [name, value, source] =
            [name, value, source].map(|part| quick_xml::escape::escape(part).into_owned());
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "<property><name>{name}</name><value>{value}</value><final>false</final>\
             <source>{source}</source></property>"
        );
    }
    text.push_str("</configuration>\n");
    text
}

/// Keys whose values are never shown, as in `hadoop.security.sensitive-config-keys`.
fn is_secret(name: &str) -> bool {
    const ENDS: &[&str] =
        &["secret", "password", "ssl.keystore.pass", "credential", "session.token"];
    let name = name.to_ascii_lowercase();
    ENDS.iter().any(|end| name.ends_with(end)) || name.contains("secret.key")
}

/// 200 when the daemon now runs with its files as they are; 409 when it would have to be restarted
/// for that, or when they are wrong. There is nothing to protect: the files are the daemon's own.
async fn reload(State(pages): State<Arc<Pages>>) -> Response {
    let live = pages.config.clone();
    let outcome = tokio::task::spawn_blocking(move || live.reload()).await;
    match outcome.map_err(|error| error.to_string()).and_then(|o| o.map_err(|r| r.to_string())) {
        Ok(changed) => {
            let changed: Vec<_> = changed.into_iter().map(|change| change.name).collect();
            tracing::info!(?changed, "the configuration was read again");
            let body = json!({ "config": pages.config.get().hash(), "changed": changed });
            answer(JSON, format!("{body}\n"))
        }
        Err(reason) => {
            tracing::warn!(reason, "the configuration stays as it is");
            (StatusCode::CONFLICT, format!("{reason}\n")).into_response()
        }
    }
}

async fn log_level(Query(query): Parameters) -> Response {
    let logger = parameter(&query, "log").unwrap_or("");
    if let Some(level) = parameter(&query, "level") {
        let directive =
            if logger.is_empty() { level.to_owned() } else { format!("{logger}={level}") };
        if let Err(reason) = daemon::change_log_filter(&directive) {
            return (StatusCode::BAD_REQUEST, format!("{reason}\n")).into_response();
        }
    }
    answer(PLAIN, format!("Effective level: {}\n", daemon::log_filter()))
}

/// The process's threads: name, state and the kernel function they wait in.
async fn stacks() -> Response {
    let mut text = String::new();
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for task in tasks {
        let part = |name: &str| {
            let read = std::fs::read_to_string(task.path().join(name)).unwrap_or_default();
            read.trim().to_owned()
        };
        let status = part("status");
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).unwrap_or("?");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {:<16} {} {}",
            task.file_name().to_string_lossy(),
            part("comm"),
            state.trim(),
            part("wchan")
        );
    }
    answer(PLAIN, text)
}

#[cfg(test)]
mod tests;
