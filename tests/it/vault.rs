//! The secret store against a real Vault, with leases of real Consul tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use howdah::http::{Http, Request, Tls};
use howdah::sources::vault::{Auth, Mode, SecretStore, VaultConfig};
use howdah::sources::{Masked, SecretRef};
use serde_json::json;
use tests::stack::{Consul, Fault, Proxy, Storage, Vault};
use tests::wait;
use tokio::runtime::Runtime;

use crate::common::runtime;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon after a repair the last value must be there.
const HEALED: Duration = Duration::from_secs(5);

/// A Vault; a test without one fails.
fn server(storage: Storage) -> Vault {
    let vault = Vault::start(storage).expect("a Vault");
    vault.furnish();
    vault
}

fn config(address: &str, auth: Auth) -> VaultConfig {
    VaultConfig {
        address: format!("http://{address}"),
        auth: Some(auth),
        static_refresh: Duration::from_millis(500),
        ..VaultConfig::default()
    }
}

fn start(runtime: &Runtime, config: VaultConfig, state: &Path) -> SecretStore {
    let _inside = runtime.enter();
    SecretStore::start(config, state, Mode::Keep).expect("a store")
}

fn kv(path: &str) -> SecretRef {
    SecretRef::Kv { path: path.to_owned() }
}

fn field(store: &SecretStore, wanted: &SecretRef, name: &str) -> Option<String> {
    let receiver = store.receiver();
    let sourced = receiver.borrow();
    let secret = sourced.value.as_ref()?.get(wanted)?.as_ref().ok()?;
    Some(secret.fields.get(name)?.expose().to_owned())
}

fn until(store: &SecretStore, wanted: &SecretRef, name: &str, value: &str, limit: Duration) {
    wait::until(&format!("{wanted:?} {name}={value}"), limit, || {
        field(store, wanted, name).filter(|text| text == value)
    });
}

fn put(vault: &Vault, path: &str, password: &str) {
    let body = json!({"data": {"password": password}});
    // Just after an unseal the engine is not there yet.
    wait::until("a written secret", PATIENCE, || {
        vault.call("POST", path, Some(&body)).ok().filter(|(status, _)| *status == 200)
    });
}

fn error(store: &SecretStore) -> String {
    wait::until("an error of the store", PATIENCE, || store.receiver().borrow().error.clone())
}

#[test]
fn vault_static_secrets_through_seal_restart_and_revocation() {
    let mut vault = server(Storage::Files);
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    put(&vault, "/v1/secret/data/db", "one");
    vault.must("POST", "/v1/old/db", Some(&json!({"password": "v1"})));
    let file = folder.path().join("token");
    let first = vault.token("1h");
    std::fs::write(&file, &first).expect("a token");
    let config = config(&vault.address(), Auth::TokenFile(file.clone()));
    let store = start(&runtime, config, folder.path());
    store.want(BTreeSet::from([kv("secret/db"), kv("old/db"), kv("secret/none")]));
    until(&store, &kv("secret/db"), "password", "one", PATIENCE);
    until(&store, &kv("old/db"), "password", "v1", PATIENCE);
    let missing = wait::until("the missing one", PATIENCE, || {
        let receiver = store.receiver();
        let sourced = receiver.borrow();
        sourced.value.as_ref()?.get(&kv("secret/none"))?.as_ref().err().cloned()
    });
    assert!(missing.contains("secret/none: no such secret"), "{missing}");
    put(&vault, "/v1/secret/data/db", "two");
    until(&store, &kv("secret/db"), "password", "two", HEALED);

    vault.seal();
    assert!(error(&store).contains("503"), "{}", error(&store));
    assert_eq!(field(&store, &kv("secret/db"), "password").as_deref(), Some("two"));
    vault.unseal();
    put(&vault, "/v1/secret/data/db", "three");
    until(&store, &kv("secret/db"), "password", "three", HEALED);

    vault.stop();
    error(&store);
    assert_eq!(field(&store, &kv("old/db"), "password").as_deref(), Some("v1"));
    vault.launch();
    put(&vault, "/v1/secret/data/db", "four");
    until(&store, &kv("secret/db"), "password", "four", HEALED);

    vault.must("POST", "/v1/auth/token/revoke", Some(&json!({"token": first})));
    let said = error(&store);
    assert!(said.contains("403") && !said.contains(&first), "{said}");
    assert_eq!(field(&store, &kv("secret/db"), "password").as_deref(), Some("four"));
    std::fs::write(&file, vault.token("1h")).expect("a token");
    put(&vault, "/v1/secret/data/db", "five");
    until(&store, &kv("secret/db"), "password", "five", HEALED);

    vault.must("DELETE", "/v1/secret/data/db", None);
    wait::until("a deleted secret", PATIENCE, || {
        let receiver = store.receiver();
        let sourced = receiver.borrow();
        sourced.value.as_ref()?.get(&kv("secret/db"))?.as_ref().err().cloned()
    });
}

#[test]
fn vault_certificates_are_reused_and_renewed_whole() {
    let vault = server(Storage::Memory);
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let issue = |ttl: &str| SecretRef::Issue {
        path: "pki/issue/node".to_owned(),
        params: BTreeMap::from([
            ("common_name".to_owned(), "dn1".to_owned()),
            ("ttl".to_owned(), ttl.to_owned()),
        ]),
    };
    let auth = Auth::Token(Masked::new(vault.token("1h")));
    let config = config(&vault.address(), auth);
    let mut serials = BTreeSet::new();
    for _ in 0..3 {
        let store = start(&runtime, config.clone(), folder.path());
        store.want(BTreeSet::from([issue("1h")]));
        let serial =
            wait::until("a certificate", PATIENCE, || field(&store, &issue("1h"), "serial_number"));
        serials.insert(serial);
        assert!(field(&store, &issue("1h"), "private_key").is_some_and(|k| k.contains("KEY")));
        assert!(field(&store, &issue("1h"), "ca_chain").is_some_and(|c| c.contains("BEGIN")));
    }
    assert_eq!(serials.len(), 1, "reused over restarts");
    let store = start(&runtime, config, folder.path());
    store.want(BTreeSet::from([issue("6s")]));
    let first = wait::until("a short certificate", PATIENCE, || {
        field(&store, &issue("6s"), "serial_number")
    });
    wait::until("a renewed certificate", PATIENCE, || {
        field(&store, &issue("6s"), "serial_number").filter(|serial| *serial != first)
    });
    let left = std::fs::read(folder.path().join("leases.enc")).expect("a lease file");
    assert!(!String::from_utf8_lossy(&left).contains("PRIVATE"));
}

/// A role in Vault that makes Consul tokens, for so long.
fn consul_engine(vault: &Vault, consul: &Consul, ttl: &str, max_ttl: &str) {
    let address = consul.address();
    vault.must("POST", "/v1/sys/mounts/consul", Some(&json!({"type": "consul"})));
    let access = json!({"address": address, "token": "root"});
    vault.must("POST", "/v1/consul/config/access", Some(&access));
    let role = json!({"consul_policies": ["global-management"], "ttl": ttl, "max_ttl": max_ttl});
    vault.must("POST", "/v1/consul/roles/agent", Some(&role));
}

#[test]
fn vault_leases_are_renewed_replaced_and_survive_a_restart() {
    let vault = server(Storage::Memory);
    let consul = Consul::start_with_acl().expect("a Consul");
    consul_engine(&vault, &consul, "3s", "20s");
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = SecretRef::Read { path: "consul/creds/agent".to_owned() };
    let config = config(&vault.address(), Auth::Token(Masked::new(vault.token("1h"))));
    let store = start(&runtime, config.clone(), folder.path());
    store.want(BTreeSet::from([wanted.clone()]));
    let token = |store: &SecretStore| field(store, &wanted, "token");
    let first = wait::until("credentials", PATIENCE, || token(&store));
    let works = |token: &str| {
        let headers = [("X-Consul-Token", token)];
        let answer =
            tests::stack::call(&consul.address(), "GET", "/v1/acl/token/self", &headers, None);
        answer.expect("Consul answers").0 == 200
    };
    drop(store);
    let store = start(&runtime, config, folder.path());
    store.want(BTreeSet::from([wanted.clone()]));
    assert_eq!(wait::until("credentials", PATIENCE, || token(&store)), first, "survived");
    // Renewed beyond its first three seconds, and at the maximum replaced before it ends.
    let second = wait::until("replaced credentials", PATIENCE, || {
        let now = token(&store)?;
        assert!(works(&now), "what is given works at every moment");
        (now != first).then_some(now)
    });
    // Revoked under our feet: found at the next renewal, and replaced.
    let prefix = "/v1/sys/leases/revoke-prefix/consul/creds/agent";
    vault.must("PUT", prefix, None);
    let third = wait::until("credentials after the loss", PATIENCE, || {
        token(&store).filter(|now| *now != second)
    });
    assert!(works(&third));
}

#[test]
fn vault_approle_with_a_wrapped_secret_id_and_revoked_tokens() {
    let vault = server(Storage::Memory);
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    put(&vault, "/v1/secret/data/db", "one");
    vault.must("POST", "/v1/sys/auth/approle", Some(&json!({"type": "approle"})));
    let role = json!({"token_policies": ["howdah"], "token_ttl": "3s", "token_max_ttl": "5s"});
    vault.must("POST", "/v1/auth/approle/role/hdfs", Some(&role));
    let id = vault.must("GET", "/v1/auth/approle/role/hdfs/role-id", None);
    let role_id = id["data"]["role_id"].as_str().expect("a role id").to_owned();
    let headers = [("X-Vault-Token", vault.root.as_str()), ("X-Vault-Wrap-TTL", "60s")];
    let path = "/v1/auth/approle/role/hdfs/secret-id";
    let wrap = tests::stack::call(&vault.address(), "POST", path, &headers, None);
    let wrapping = wrap.expect("Vault answers").1["wrap_info"]["token"].clone();
    let wrapping = wrapping.as_str().expect("a wrapping token").to_owned();
    let secret_id_file = folder.path().join("secret-id");
    std::fs::write(&secret_id_file, &wrapping).expect("a file");
    let mount = "approle".to_owned();
    let auth = Auth::AppRole { mount, role_id, secret_id_file, wrapped: true };
    let config = config(&vault.address(), auth);
    for round in 0..2 {
        let store = start(&runtime, config.clone(), folder.path());
        store.want(BTreeSet::from([kv("secret/db")]));
        wait::until("a login", PATIENCE, || field(&store, &kv("secret/db"), "password"));
        // Longer than the token may live: it is renewed, and then gotten anew.
        let (started, mut step) = (SystemTime::now(), 0);
        wait::until("a token that outlives the first one's most", PATIENCE, || {
            step += 1;
            let fresh = format!("{round}-{step}");
            put(&vault, "/v1/secret/data/db", &fresh);
            until(&store, &kv("secret/db"), "password", &fresh, HEALED);
            let end = store.standing().borrow().token_expires?;
            (end > started + Duration::from_secs(6)).then_some(())
        });
        vault.must("POST", "/v1/sys/leases/revoke-prefix/auth/approle", None);
        put(&vault, "/v1/secret/data/db", "after");
        until(&store, &kv("secret/db"), "password", "after", HEALED);
    }
    // Somebody else's state folder: the wrapping token is worth nothing any more.
    let other = tempfile::tempdir().expect("a folder");
    let store = start(&runtime, config, other.path());
    store.want(BTreeSet::from([kv("secret/db")]));
    let said = error(&store);
    assert!(said.contains("already unwrapped") && !said.contains(&wrapping), "{said}");
}

#[test]
fn vault_sixty_faults() {
    let vault = server(Storage::Memory);
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    put(&vault, "/v1/secret/data/db", "start");
    let proxy = Proxy::start(&vault.address());
    let auth = Auth::Token(Masked::new(vault.token("1h")));
    let store = start(&runtime, config(proxy.address(), auth), folder.path());
    store.want(BTreeSet::from([kv("secret/db")]));
    until(&store, &kv("secret/db"), "password", "start", PATIENCE);
    let faults = [
        Fault::Reset,
        Fault::Garbage,
        Fault::Status(500),
        Fault::Status(429),
        Fault::Cut(60),
        Fault::Delay(Duration::from_millis(30)),
        Fault::BlackHole,
    ];
    for round in 0..60 {
        proxy.set(faults[round % faults.len()]);
        let fresh = round.to_string();
        put(&vault, "/v1/secret/data/db", &fresh);
        assert!(field(&store, &kv("secret/db"), "password").is_some(), "the value stays");
        store.nudge();
        proxy.set(Fault::None);
        until(&store, &kv("secret/db"), "password", &fresh, HEALED);
    }
}

/// A JSON web token of this subject, signed by a key in Vault's own transit engine.
fn jwt(vault: &Vault, subject: &str, end: SystemTime) -> String {
    let seconds = end.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let head = json!({"alg": "ES256", "typ": "JWT"}).to_string();
    let claims = json!({
        "iss": "nomad", "sub": subject, "aud": "vault.io",
        "iat": seconds - 7200, "nbf": seconds - 7200, "exp": seconds,
    });
    let text = [head, claims.to_string()].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let body = json!({"input": STANDARD.encode(&text), "marshaling_algorithm": "jws"});
    let signed = vault.must("POST", "/v1/transit/sign/nomad/sha2-256", Some(&body));
    let signature = signed["data"]["signature"].as_str().expect("a signature");
    format!("{text}.{}", signature.trim_start_matches("vault:v1:"))
}

#[test]
fn vault_jwt_of_a_workload_that_is_rewritten() {
    let vault = server(Storage::Memory);
    let runtime = runtime();
    let folder = tempfile::tempdir().expect("a folder");
    put(&vault, "/v1/secret/data/db", "one");
    vault.must("POST", "/v1/sys/mounts/transit", Some(&json!({"type": "transit"})));
    vault.must("POST", "/v1/transit/keys/nomad", Some(&json!({"type": "ecdsa-p256"})));
    let key = vault.must("GET", "/v1/transit/keys/nomad", None);
    vault.must("POST", "/v1/sys/auth/jwt-nomad", Some(&json!({"type": "jwt"})));
    let trusted = json!({"jwt_validation_pubkeys": [key["data"]["keys"]["1"]["public_key"]]});
    vault.must("POST", "/v1/auth/jwt-nomad/config", Some(&trusted));
    let role = json!({"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault.io"],
        "token_policies": ["howdah"], "token_ttl": "1h"});
    vault.must("POST", "/v1/auth/jwt-nomad/role/hdfs", Some(&role));

    let hour = Duration::from_secs(3600);
    let token_file = folder.path().join("jwt");
    let old = jwt(&vault, "old", SystemTime::now() - hour);
    std::fs::write(&token_file, &old).expect("a token");
    let auth = Auth::Jwt {
        mount: "jwt-nomad".to_owned(),
        role: "hdfs".to_owned(),
        token_file: token_file.clone(),
    };
    let store = start(&runtime, config(&vault.address(), auth), folder.path());
    store.want(BTreeSet::from([kv("secret/db")]));
    let said = error(&store);
    assert!(said.contains("auth/jwt-nomad/login: 400") && !said.contains(&old), "{said}");
    // Each time the file is rewritten, as Nomad does, and the token before it is worth nothing.
    for subject in ["first", "second"] {
        let fresh = jwt(&vault, subject, SystemTime::now() + hour);
        std::fs::write(&token_file, fresh).expect("a token");
        put(&vault, "/v1/secret/data/db", subject);
        until(&store, &kv("secret/db"), "password", subject, HEALED);
        std::fs::write(&token_file, &old).expect("a token");
        vault.must("POST", "/v1/sys/leases/revoke-prefix/auth/jwt-nomad", None);
        let said = error(&store);
        assert!(said.contains("login: 400"), "{said}");
        assert_eq!(field(&store, &kv("secret/db"), "password").as_deref(), Some(subject));
    }
}

#[test]
fn vault_over_tls_with_an_authority_and_a_client_of_our_own() {
    let mut vault = server(Storage::Files);
    let folder = vault.serve_tls();
    let runtime = runtime();
    let port = vault.tls_port();
    let file = |name: &str| Some(folder.join(name));
    let right = Tls {
        ca_file: file("ca.pem"),
        cert_file: file("client.pem"),
        key_file: file("client.key"),
    };
    let send = |host: &str, tls: &Tls| {
        let http = Http::new(&format!("https://{host}:{port}"), tls).expect("a client");
        let get = hyper::Method::GET;
        let answer = http.send(Request::new(get, "/v1/sys/health", Duration::from_secs(20)));
        runtime.block_on(answer).map(|answer| answer.status.as_u16()).map_err(|e| e.to_string())
    };
    assert_eq!(send("127.0.0.1", &right), Ok(200));
    let wrong_authority = Tls { ca_file: file("other-ca.pem"), ..right.clone() };
    let nobody = Tls { cert_file: None, key_file: None, ..right.clone() };
    let stranger =
        Tls { cert_file: file("stranger.pem"), key_file: file("stranger.key"), ..right.clone() };
    for (host, tls, complaint) in [
        ("127.0.0.1", &wrong_authority, "set ca_file"),
        ("localhost", &right, "is not for the name localhost"),
        ("127.0.0.1", &nobody, "set cert_file and key_file"),
        ("127.0.0.1", &stranger, "does not accept the certificate of cert_file"),
    ] {
        let said = send(host, tls).expect_err("refused");
        assert!(said.contains(complaint) && said.lines().count() == 1, "{said}");
        assert!(said.starts_with(&format!("GET https://{host}:{port}/v1/sys/health: ")), "{said}");
    }
    put(&vault, "/v1/secret/data/db", "sealed tight");
    let state = tempfile::tempdir().expect("a folder");
    let auth = Auth::Token(Masked::new(vault.token("1h")));
    let address = format!("https://127.0.0.1:{port}");
    let config = VaultConfig { address, tls: right, ..config("", auth) };
    let store = start(&runtime, config, state.path());
    store.want(BTreeSet::from([kv("secret/db")]));
    until(&store, &kv("secret/db"), "password", "sealed tight", PATIENCE);
}
