//! What the agent shows over HTTP, and takes from its unix socket.
//!
//! The port only shows, to whoever reaches it: `/healthz`, `/metrics`, `/v1/status`. None of them
//! holds the value of a secret, nor of a property that looks like one; paths in Vault they do. It
//! is on loopback unless configured otherwise, for a Prometheus on another host. Commands
//! (`/v1/restart`, `/v1/rollback`, `/v1/freeze`, `/v1/thaw`) come by the socket, which only its
//! owner may open.

pub mod client;
mod pages;

use std::future::pending;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use hdfs_edge::http;
use tokio::task::JoinHandle;

use crate::config::AgentConfig;
use crate::run::status::{Board, Command};

type Shared = State<Arc<Board>>;

/// Serves while it lives.
pub struct Serving {
    tasks: Vec<JoinHandle<()>>,
    socket: std::path::PathBuf,
}

impl Drop for Serving {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn shown() -> Router<Arc<Board>> {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/metrics", get(metrics))
        .route("/v1/status", get(status))
}

/// Starts serving. The caller holds the agent's lock, so a socket that is there is a dead one's.
///
/// # Errors
/// The port or the socket cannot be had.
pub async fn serve(config: &AgentConfig, board: Arc<Board>) -> Result<Serving, String> {
    let told = |error| format!("cannot listen on {}: {error}", config.listen);
    let listener = tokio::net::TcpListener::bind(config.listen).await;
    let listener = listener.and_then(tokio::net::TcpListener::into_std).map_err(told)?;
    let path = &config.socket;
    let told = |error| format!("cannot listen on {}: {error}", path.display());
    let _ = std::fs::remove_file(path);
    let socket = tokio::net::UnixListener::bind(path).map_err(told)?;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, mode).map_err(told)?;
    let commands = Router::new()
        .route("/v1/restart", post(restart))
        .route("/v1/rollback", post(rollback))
        .route("/v1/freeze", post(freeze))
        .route("/v1/thaw", post(thaw));
    let public = shown().with_state(board.clone());
    let private = shown().merge(commands).with_state(board);
    let tasks = vec![
        tokio::spawn(async move {
            // Strangers may come: their number and their time are bounded.
            let _ = http::serve(listener, public, http::Bounds::default(), pending()).await;
        }),
        tokio::spawn(async move {
            let _ = axum::serve(socket, private).await;
        }),
    ];
    Ok(Serving { tasks, socket: path.clone() })
}

async fn healthz(State(board): Shared) -> Response {
    match board.healthy() {
        true => (StatusCode::OK, "ok\n").into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "a unit is not ready\n").into_response(),
    }
}

async fn metrics(State(board): Shared) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    let pages = pages::all(&board.pages()).await;
    (kind, board.metrics() + &pages).into_response()
}

async fn status(State(board): Shared) -> Response {
    axum::Json(board.json()).into_response()
}

type Words = Query<Vec<(String, String)>>;

fn word<'a>(words: &'a [(String, String)], name: &str) -> Option<&'a str> {
    words.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

fn of_unit(
    board: &Board,
    words: &[(String, String)],
    command: impl FnOnce(usize) -> Command,
) -> Response {
    let name = word(words, "unit").unwrap_or_default();
    match board.unit(name) {
        Some(id) => {
            board.ask(command(id));
            (StatusCode::OK, "asked\n").into_response()
        }
        None => (StatusCode::NOT_FOUND, format!("there is no unit {name}\n")).into_response(),
    }
}

async fn restart(State(board): Shared, Query(words): Words) -> Response {
    of_unit(&board, &words, Command::Restart)
}

async fn rollback(State(board): Shared, Query(words): Words) -> Response {
    let number = word(&words, "to").and_then(|text| text.parse().ok());
    of_unit(&board, &words, |id| Command::RollBack(id, number))
}

async fn freeze(State(board): Shared) -> Response {
    frozen(&board, true)
}

async fn thaw(State(board): Shared) -> Response {
    frozen(&board, false)
}

fn frozen(board: &Board, frozen: bool) -> Response {
    match board.freeze(frozen) {
        Ok(()) => (StatusCode::OK, "done\n").into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}
