//! Keeps every secret that is asked for fresh, in one task.
//!
//! - Static secrets (KV) are looked at every minute, and at once after a nudge: first the version,
//!   then the secret if that is new.
//! - A certificate is asked for once and kept until two thirds of its life are over, also over a
//!   restart. Key, certificate and chain are one answer and stay one object.
//! - Credentials with a lease are renewed at two thirds of it; when that does not work any more,
//!   new ones are read.
//!
//! - What nobody wants any more is forgotten after a while, and its lease given back (`unused`).
//!
//! While Vault is away, sealed, or accepts no login, the last values stay and the error says why.
//! A path that is denied or missing is the problem of that path alone.

mod fetch;
mod mounts;
mod unused;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use super::auth::Session;
use super::client::{Vault, VaultError};
use super::config::{Auth, Mode, VaultConfig};
use super::leases::{Lease, LeaseFile, Remembered, SavedSecret, digest};
use super::standing::Standing;
use crate::sources::jitter::Jitter;
use crate::sources::{Masked, Secret, SecretRef, Secrets, Sourced};
use mounts::Mounts;
use unused::{Unused, Wish};

/// Longest pause while Vault is away; one request for a host, so it may be short.
const RETRY_CAP: Duration = Duration::from_secs(4);

/// Longest sleep when nothing is due.
const IDLE: Duration = Duration::from_secs(600);

/// The store; its task ends when this is dropped.
#[derive(Debug)]
pub struct SecretStore {
    wish: watch::Sender<Wish>,
    receiver: watch::Receiver<Sourced<Secrets>>,
    standing: watch::Receiver<Standing>,
    nudge: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for SecretStore {
    fn drop(&mut self) {
        // At once: a successor in this process owns the lease file from now on.
        self.task.abort();
    }
}

impl SecretStore {
    /// Starts with nothing wanted; certificates and leases are remembered in `state_dir`.
    ///
    /// # Errors
    /// The address or a TLS file is unusable.
    pub fn start(config: VaultConfig, state_dir: &Path, mode: Mode) -> Result<Self, VaultError> {
        let vault = Vault::new(config)?;
        let file = match mode {
            Mode::Keep => LeaseFile::open(state_dir),
            Mode::Look => LeaseFile::find(state_dir),
        };
        if let (Mode::Keep, Err(error)) = (mode, &file) {
            tracing::warn!(%error, "certificates and leases will not outlive this process");
        }
        let (wish, wishes) = watch::channel(Wish::default());
        let (sender, receiver) = watch::channel(Sourced::default());
        let (stands, standing) = watch::channel(Standing::default());
        let nudge = Arc::new(Notify::new());
        let keeper = Keeper::new(vault, file.ok(), mode, (sender, stands));
        let task = tokio::spawn(keeper.run(wishes, nudge.clone()));
        Ok(Self { wish, receiver, standing, nudge, task })
    }

    /// Replaces what is wanted by all that is in use. Secrets that stay are kept; the others are
    /// forgotten when nobody wants them for the time of `static_refresh`, and leases given back.
    pub fn want(&self, refs: BTreeSet<SecretRef>) {
        self.set(Wish { refs, whole: true });
    }

    /// Asks for secrets while it is not certain what else is in use: nothing is given back.
    pub fn want_also(&self, refs: BTreeSet<SecretRef>) {
        self.set(Wish { refs, whole: false });
    }

    fn set(&self, new: Wish) {
        self.wish.send_if_modified(|wish| {
            let news = *wish != new;
            *wish = new;
            news
        });
    }

    /// Looks at all static secrets now.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }

    /// The secrets. One without an answer yet is not in the map.
    pub fn receiver(&self) -> watch::Receiver<Sourced<Secrets>> {
        self.receiver.clone()
    }

    /// What is held, and until when.
    pub fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

/// One wanted secret.
#[derive(Debug, Default)]
struct Held {
    secret: Option<Arc<Secret>>,
    lease: Option<Lease>,
    /// When to look at, renew or replace it; `None`: now.
    act_at: Option<SystemTime>,
    /// Why it cannot be had, or be renewed.
    error: Option<String>,
    /// It is not there: the last value counts no more.
    missing: bool,
    jitter: Option<Jitter>,
}

impl Held {
    fn due(&self, now: SystemTime) -> bool {
        self.act_at.is_none_or(|at| at <= now)
    }

    fn result(&self) -> Option<Result<Arc<Secret>, String>> {
        match (&self.secret, &self.error) {
            (Some(secret), _) if !self.missing => Some(Ok(secret.clone())),
            (_, Some(error)) => Some(Err(error.clone())),
            _ => None,
        }
    }
}

struct Keeper {
    vault: Arc<Vault>,
    session: Session,
    mounts: Mounts,
    file: Option<LeaseFile>,
    owner: String,
    held: BTreeMap<SecretRef, Held>,
    /// What an earlier process left and nobody has asked for yet.
    left: BTreeMap<SecretRef, Held>,
    /// What was in use and is no more.
    unused: BTreeMap<SecretRef, Unused>,
    gives_back: bool,
    sender: watch::Sender<Sourced<Secrets>>,
    stands: watch::Sender<Standing>,
    jitter: Jitter,
}

impl Keeper {
    fn new(
        vault: Arc<Vault>,
        file: Option<LeaseFile>,
        mode: Mode,
        (sender, stands): (watch::Sender<Sourced<Secrets>>, watch::Sender<Standing>),
    ) -> Self {
        let owner = owner(&vault.config);
        let remembered = file.as_ref().map(|file| file.load(&owner)).unwrap_or_default();
        let now = SystemTime::now();
        let restore = |saved: &SavedSecret| {
            let (wanted, secret) = saved.restore(now)?;
            // A lease may have ended with its token: it is proven by renewing it at once.
            let proven = saved.lease.is_some() && mode == Mode::Keep;
            let act_at = if proven { now } else { saved.act_at };
            let (secret, lease) = (Some(Arc::new(secret)), saved.lease.clone());
            Some((wanted, Held { secret, lease, act_at: Some(act_at), ..Held::default() }))
        };
        let left = remembered.secrets.iter().filter_map(restore).collect();
        Self {
            session: Session::new(vault.clone(), &remembered, mode),
            vault,
            mounts: Mounts::default(),
            file: file.filter(|_| mode == Mode::Keep),
            owner,
            held: BTreeMap::new(),
            left,
            unused: BTreeMap::new(),
            gives_back: mode == Mode::Keep,
            sender,
            stands,
            jitter: Jitter::new(Duration::from_millis(250), RETRY_CAP),
        }
    }

    async fn run(mut self, mut wishes: watch::Receiver<Wish>, nudge: Arc<Notify>) {
        let mut pause = Duration::ZERO;
        loop {
            tokio::select! {
                changed = wishes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.adopt(&wishes.borrow_and_update().clone());
                }
                () = nudge.notified() => self.look_again(),
                () = tokio::time::sleep(pause) => {}
            }
            let outage = self.round().await.err().map(|error| error.to_string());
            pause = match &outage {
                Some(error) => {
                    let pause = self.jitter.pause();
                    tracing::warn!(error, retry_ms = pause.as_millis(), "vault");
                    pause
                }
                None => {
                    self.jitter.reset();
                    self.rest()
                }
            };
            self.publish(outage);
        }
    }

    fn look_again(&mut self) {
        for (wanted, held) in &mut self.held {
            if matches!(wanted, SecretRef::Kv { .. }) || held.secret.is_none() {
                held.act_at = None;
            }
        }
    }

    /// Until something is due.
    fn rest(&self) -> Duration {
        if self.held.is_empty() && self.unused.is_empty() {
            return IDLE;
        }
        let now = SystemTime::now();
        let of_secrets = self.held.values().map(|held| held.act_at.unwrap_or(now));
        let first = of_secrets.chain(self.session.due()).chain(self.forgets_at()).min();
        let left = first.map(|at| at.duration_since(now).unwrap_or_default());
        // A pause of nothing would be a busy loop if a clock jumped.
        left.unwrap_or(IDLE).clamp(Duration::from_millis(50), IDLE)
    }

    /// Does all that is due. An error is one of Vault or the login as a whole.
    async fn round(&mut self) -> Result<(), VaultError> {
        if self.held.is_empty() && self.unused.is_empty() {
            return Ok(());
        }
        let mut token = self.token().await?;
        let now = SystemTime::now();
        let due = self.held.iter().filter(|(_, held)| held.due(now));
        let due: Vec<SecretRef> = due.map(|(wanted, _)| wanted.clone()).collect();
        let mut changed = false;
        for wanted in due {
            let mut outcome = self.refresh(&wanted, &token).await;
            if outcome.as_ref().is_err_and(|error| error.status() == Some(403))
                && self.session.is_dead().await
            {
                token = self.token().await?;
                outcome = self.refresh(&wanted, &token).await;
            }
            match outcome {
                Ok(new) => changed |= new,
                Err(error) if error.is_outage() => {
                    self.remember(changed);
                    return Err(error);
                }
                Err(error) => self.blame(&wanted, &error),
            }
        }
        let forgotten = self.forget(&token).await;
        self.remember(changed || !matches!(forgotten, Ok(false)));
        forgotten.map(drop)
    }

    /// A token, remembered as soon as it is another one.
    async fn token(&mut self) -> Result<Masked, VaultError> {
        let before = (self.session.due(), self.session.digest());
        let token = self.session.token().await;
        let digest = self.session.digest();
        if digest.is_some() && digest != before.1 {
            // Leases end with the token that they were made with.
            let leased = self.held.values_mut().filter(|held| held.lease.is_some());
            leased.for_each(|held| held.act_at = None);
        }
        self.remember(before != (self.session.due(), digest));
        token
    }

    fn blame(&mut self, wanted: &SecretRef, error: &VaultError) {
        let Some(held) = self.held.get_mut(wanted) else { return };
        held.missing = matches!(error, VaultError::Missing { .. });
        let error = error.to_string();
        if held.error.as_ref() != Some(&error) {
            tracing::warn!(error, "a secret cannot be had");
        }
        held.error = Some(error);
        let cap = self.vault.config.static_refresh;
        let jitter = held.jitter.get_or_insert_with(|| Jitter::new(cap.min(RETRY_CAP) / 8, cap));
        held.act_at = Some(SystemTime::now() + jitter.pause());
    }

    fn publish(&self, outage: Option<String>) {
        let standing = self.standing(outage.is_none());
        self.stands.send_if_modified(|known| {
            let news = *known != standing;
            *known = standing;
            news
        });
        let answered =
            self.held.iter().filter_map(|(wanted, held)| Some((wanted.clone(), held.result()?)));
        let secrets: Secrets = answered.collect();
        let failing = self.held.values().filter(|held| held.secret.is_some());
        let error = outage.or_else(|| failing.filter_map(|held| held.error.clone()).next());
        // Before Vault ever answered nothing is known, which is not the same as no secrets.
        let known = error.is_none() || !secrets.is_empty();
        self.sender.send_if_modified(|sourced| {
            let new = known && sourced.value.as_deref() != Some(&secrets);
            let news = new || sourced.error != error;
            if new {
                sourced.value = Some(Arc::new(secrets));
            }
            if error.is_none() {
                sourced.at = Some(SystemTime::now());
            }
            sourced.error = error;
            news
        });
    }

    fn standing(&self, answers: bool) -> Standing {
        let mut standing = Standing {
            logged_in: answers && self.session.digest().is_some(),
            token_expires: self.session.expires(),
            ..Standing::default()
        };
        for (wanted, held) in &self.held {
            let end = held.secret.as_ref().and_then(|secret| secret.expires);
            match (wanted, end) {
                (SecretRef::Issue { path, params }, Some(end)) => {
                    let name = params.get("common_name").map_or("", String::as_str);
                    standing.certificate(path, name, end);
                }
                (SecretRef::Read { path }, Some(end)) => {
                    standing.leases.insert(path.clone(), end);
                }
                _ => {}
            }
        }
        standing
    }

    fn remember(&self, changed: bool) {
        let (true, Some(file)) = (changed, &self.file) else { return };
        let mut remembered = Remembered { owner: self.owner.clone(), ..Remembered::default() };
        self.session.remember(&mut remembered);
        let unused = self.unused.iter().map(|(wanted, unused)| (wanted, &unused.held));
        let all = self.held.iter().chain(&self.left).chain(unused);
        remembered.secrets = all
            .filter_map(|(wanted, held)| {
                let (secret, act_at) = (held.secret.as_ref()?, held.act_at?);
                SavedSecret::new(wanted, secret, act_at, held.lease.clone())
            })
            .collect();
        if let Err(error) = file.save(&remembered) {
            tracing::warn!(error, "leases are not remembered");
        }
    }
}

/// Whose leases these are.
fn owner(config: &VaultConfig) -> String {
    let who = match &config.auth {
        None => "nobody".to_owned(),
        Some(Auth::Token(token)) => format!("token {}", digest(token)),
        Some(Auth::TokenFile(path)) => format!("file {}", path.display()),
        Some(Auth::AppRole { mount, role_id, .. }) => format!("approle {mount} {role_id}"),
        Some(Auth::Jwt { mount, role, .. }) => format!("jwt {mount} {role}"),
    };
    let namespace = config.namespace.as_deref().unwrap_or_default();
    digest(&Masked::new(format!("{} {namespace} {who}", config.address)))
}

#[cfg(test)]
mod tests;
