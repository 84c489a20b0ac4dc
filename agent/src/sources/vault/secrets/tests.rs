//! Against a scripted Vault: versions, outages, revoked tokens, restarts.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::scripted::{Answer, Scripted};

const LIMIT: Duration = Duration::from_secs(20);

/// What the scripted Vault says now.
#[derive(Debug)]
struct Says {
    token: String,
    version: u64,
    sealed: bool,
    serial: AtomicUsize,
    leases_live: bool,
}

type Shared = Arc<Mutex<Says>>;

fn says() -> Shared {
    Arc::new(Mutex::new(Says {
        token: "t1".to_owned(),
        version: 1,
        sealed: false,
        serial: AtomicUsize::new(0),
        leases_live: true,
    }))
}

fn vault(says: Shared) -> Scripted {
    Scripted::start(move |request| {
        let says = says.lock().unwrap();
        let path = request.split(' ').nth(1).unwrap();
        if says.sealed {
            return Answer::json(503, r#"{"errors":["Vault is sealed"]}"#);
        }
        if path == "/v1/auth/jwt/login" {
            let body = format!(
                r#"{{"auth":{{"client_token":"{}","lease_duration":600,"renewable":true}}}}"#,
                says.token
            );
            return Answer::json(200, &body);
        }
        if !request.contains(&format!("x-vault-token: {}\r\n", says.token)) {
            return Answer::json(403, r#"{"errors":["permission denied"]}"#);
        }
        answer(&says, path)
    })
}

fn answer(says: &Says, path: &str) -> Answer {
    let serial = says.serial.fetch_add(1, Ordering::SeqCst);
    let version = says.version;
    match path {
        "/v1/auth/token/lookup-self" => {
            Answer::json(200, r#"{"data":{"ttl":600,"renewable":true}}"#)
        }
        "/v1/auth/token/renew-self" => {
            Answer::json(200, r#"{"auth":{"lease_duration":600,"renewable":true}}"#)
        }
        p if p.starts_with("/v1/sys/internal/ui/mounts/") => Answer::json(
            200,
            r#"{"data":{"path":"secret/","type":"kv","options":{"version":"2"}}}"#,
        ),
        "/v1/secret/metadata/db" => {
            Answer::json(200, &format!(r#"{{"data":{{"current_version":{version}}}}}"#))
        }
        "/v1/secret/data/db" => Answer::json(
            200,
            &format!(
                r#"{{"data":{{"data":{{"password":"planted-{version}","port":5432}},
                "metadata":{{"version":{version}}}}}}}"#
            ),
        ),
        "/v1/pki/issue/node" => {
            let end = SystemTime::now() + Duration::from_secs(3600);
            let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
            let body = format!(
                r#"{{"data":{{"certificate":"c{serial}","private_key":"k{serial}",
                "ca_chain":["a","b"],"issuing_ca":"a","serial_number":"{serial}",
                "expiration":{end}}}}}"#
            );
            Answer::json(200, &body)
        }
        "/v1/db/creds/app" => {
            let body = format!(
                r#"{{"lease_id":"db/creds/app/{serial}","lease_duration":3600,
                "renewable":true,"data":{{"username":"u{serial}"}}}}"#
            );
            Answer::json(200, &body)
        }
        "/v1/sys/leases/renew" if says.leases_live => {
            Answer::json(200, r#"{"lease_duration":3600,"renewable":true}"#)
        }
        "/v1/sys/leases/renew" => Answer::json(400, r#"{"errors":["lease not found"]}"#),
        _ => Answer::json(404, r#"{"errors":[]}"#),
    }
}

fn config(server: &Scripted, folder: &Path) -> VaultConfig {
    let jwt = folder.join("jwt");
    std::fs::write(&jwt, "a.jwt.token").unwrap();
    let (mount, role) = ("jwt".to_owned(), "agent".to_owned());
    VaultConfig {
        address: server.address(),
        auth: Some(Auth::Jwt { mount, role, token_file: jwt }),
        static_refresh: Duration::from_millis(200),
        ..VaultConfig::default()
    }
}

fn kv(path: &str) -> SecretRef {
    SecretRef::Kv { path: path.to_owned() }
}

fn certificate() -> SecretRef {
    let params = BTreeMap::from([("common_name".to_owned(), "dn1".to_owned())]);
    SecretRef::Issue { path: "pki/issue/node".to_owned(), params }
}

fn credentials() -> SecretRef {
    SecretRef::Read { path: "db/creds/app".to_owned() }
}

/// Waits until a field has a value that pleases.
async fn field(
    store: &SecretStore,
    wanted: &SecretRef,
    name: &str,
    pleases: impl Fn(&str) -> bool,
) -> String {
    let mut receiver = store.receiver();
    let value = |sourced: &Sourced<Secrets>| {
        let secret = sourced.value.as_ref()?.get(wanted)?.as_ref().ok()?.clone();
        Some(secret.fields.get(name)?.expose().to_owned())
    };
    let waited = receiver.wait_for(|sourced| value(sourced).is_some_and(|text| pleases(&text)));
    let sourced = tokio::time::timeout(LIMIT, waited).await.expect("in time").unwrap();
    value(&sourced).unwrap()
}

async fn error(store: &SecretStore) -> String {
    let mut receiver = store.receiver();
    let waited = receiver.wait_for(|sourced| sourced.error.is_some());
    let sourced = tokio::time::timeout(LIMIT, waited).await.expect("in time").unwrap();
    sourced.error.clone().unwrap()
}

#[tokio::test]
async fn a_static_secret_follows_its_version_through_a_seal_and_a_revocation() {
    let folder = tempfile::tempdir().unwrap();
    let says = says();
    let server = vault(says.clone());
    let store =
        SecretStore::start(config(&server, folder.path()), folder.path(), Mode::Keep).unwrap();
    store.want(BTreeSet::from([kv("secret/db"), kv("secret/none")]));
    assert_eq!(field(&store, &kv("secret/db"), "password", |_| true).await, "planted-1");
    assert_eq!(field(&store, &kv("secret/db"), "port", |_| true).await, "5432");
    let missing = |sourced: &Sourced<Secrets>| {
        let outcome = sourced.value.as_ref().and_then(|value| value.get(&kv("secret/none")));
        outcome.is_some_and(|outcome| {
            outcome.as_ref().is_err_and(|error| error.contains("secret/none: no such secret"))
        })
    };
    store.receiver().wait_for(missing).await.unwrap();

    says.lock().unwrap().sealed = true;
    let said = error(&store).await;
    assert!(said.contains("503 Service Unavailable: Vault is sealed"), "{said}");
    assert_eq!(field(&store, &kv("secret/db"), "password", |_| true).await, "planted-1");
    {
        let mut says = says.lock().unwrap();
        (says.sealed, says.token, says.version) = (false, "t2".to_owned(), 2);
    }
    field(&store, &kv("secret/db"), "password", |text| text == "planted-2").await;
    store.receiver().wait_for(|sourced| sourced.error.is_none()).await.unwrap();
    assert!(!format!("{:?}", store.receiver().borrow()).contains("planted"));
}

#[tokio::test]
async fn a_nudge_does_not_wait() {
    let folder = tempfile::tempdir().unwrap();
    let says = says();
    let server = vault(says.clone());
    let mut config = config(&server, folder.path());
    config.static_refresh = Duration::from_secs(3600);
    let store = SecretStore::start(config, folder.path(), Mode::Keep).unwrap();
    store.want(BTreeSet::from([kv("secret/db")]));
    field(&store, &kv("secret/db"), "password", |text| text == "planted-1").await;
    says.lock().unwrap().version = 2;
    store.nudge();
    field(&store, &kv("secret/db"), "password", |text| text == "planted-2").await;
}

#[tokio::test]
async fn certificates_and_leases_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let says = says();
    let server = vault(says.clone());
    let wanted = BTreeSet::from([certificate(), credentials()]);
    let (mut keys, mut users) = (Vec::new(), Vec::<String>::new());
    for round in 0..3 {
        // The last start finds its lease lost, and only that is asked for anew.
        says.lock().unwrap().leases_live = round < 2;
        let store =
            SecretStore::start(config(&server, folder.path()), folder.path(), Mode::Keep).unwrap();
        store.want(wanted.clone());
        keys.push(field(&store, &certificate(), "private_key", |_| true).await);
        let chain = field(&store, &certificate(), "ca_chain", |_| true).await;
        assert_eq!(chain, "a\nb");
        let old = users.first().cloned().unwrap_or_default();
        let other = |text: &str| round < 2 || text != old;
        users.push(field(&store, &credentials(), "username", other).await);
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(keys[0], keys[2]);
    assert_eq!(users[0], users[1]);
    assert_ne!(users[0], users[2]);
    let logins = server.requests().iter().filter(|r| r.contains("/v1/auth/jwt/login")).count();
    assert_eq!(logins, 1, "the token is remembered too");
}
