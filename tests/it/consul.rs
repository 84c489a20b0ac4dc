//! The sources and the registrar against a real Consul.

use std::collections::{BTreeMap, BTreeSet};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::Duration;

use howdah::actuators::services::{Check, CheckKind, Registrar, Registration, Status};
use howdah::sources::consul::{
    Behavior, Consul, ConsulConfig, HealthWatch, Put, SessionSpec, TxnOp, watch_kv,
};
use howdah::sources::{Kv, ServiceQuery, Services, Sourced};
use serde_json::json;
use tests::stack::{self, Fault, Proxy};
use tests::wait;
use tokio::runtime::Runtime;
use tokio::sync::watch::Receiver;

use crate::common::runtime;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// How soon after a repair the last value must be there.
const HEALED: Duration = Duration::from_secs(5);

/// A Consul; a test without one fails.
fn server() -> stack::Consul {
    stack::Consul::start().expect("a Consul")
}

fn client(address: &str) -> Arc<Consul> {
    let config = ConsulConfig { address: address.to_owned(), ..ConsulConfig::default() };
    Consul::new(config).expect("a client")
}

fn watch(runtime: &Runtime, consul: &Arc<Consul>, prefixes: &[&str]) -> Receiver<Sourced<Kv>> {
    let _inside = runtime.enter();
    watch_kv(consul.clone(), prefixes.iter().map(|prefix| (*prefix).to_owned()))
}

fn text(receiver: &Receiver<Sourced<Kv>>, key: &str) -> Option<String> {
    let sourced = receiver.borrow();
    let entry = sourced.value.as_ref()?.entries.get(key)?;
    Some(String::from_utf8_lossy(&entry.value).into_owned())
}

fn until_text(receiver: &Receiver<Sourced<Kv>>, key: &str, wanted: &str, limit: Duration) {
    wait::until(&format!("{key}={wanted}"), limit, || {
        text(receiver, key).filter(|text| text == wanted)
    });
}

fn until_error(receiver: &Receiver<Sourced<Kv>>) -> String {
    wait::until("an error of the watch", PATIENCE, || receiver.borrow().error.clone())
}

#[test]
fn consul_changes_outages_and_another_history() {
    let mut consul = server();
    let runtime = runtime();
    consul.put("conf/hdfs/hdfs-site.xml/dfs.replication", "3");
    for n in 0..50 {
        consul.put(&format!("conf/filler/{n}"), "x");
    }
    let key = "conf/hdfs/hdfs-site.xml/dfs.replication";
    let receiver = watch(&runtime, &client(&consul.address()), &["conf/hdfs/", "conf/hdfs/@dn/"]);
    until_text(&receiver, key, "3", PATIENCE);
    consul.put(key, "2");
    until_text(&receiver, key, "2", HEALED);

    consul.stop();
    let error = until_error(&receiver);
    assert!(error.contains(&consul.address()), "{error}");
    assert_eq!(text(&receiver, key).as_deref(), Some("2"), "the value stays");
    consul.launch();
    consul.put(key, "4");
    until_text(&receiver, key, "4", HEALED);
    wait::until("no error", HEALED, || receiver.borrow().error.is_none().then_some(()));

    let index = receiver.borrow().value.as_ref().expect("a value").index;
    // Another history: the index goes back, and what was there is not. That is the truth now.
    consul.start_over();
    consul.put(key, "5");
    until_text(&receiver, key, "5", HEALED);
    let value = receiver.borrow().value.clone().expect("a value");
    assert!(value.index < index, "{} is not below {index}", value.index);
    consul.put(key, "6");
    until_text(&receiver, key, "6", HEALED);

    // Emptied for good: the snapshot is empty, and says so without an error.
    consul.must("DELETE", "/v1/kv/conf/?recurse", None);
    wait::until("an empty snapshot", PATIENCE, || {
        let sourced = receiver.borrow();
        let empty = sourced.value.as_ref().is_some_and(|kv| kv.entries.is_empty());
        (empty && sourced.error.is_none()).then_some(())
    });
}

#[test]
fn consul_transactions_are_never_torn() {
    let consul = server();
    let runtime = runtime();
    let client = client(&consul.address());
    let write = |n: u32| {
        let set = |key: &str| TxnOp::Set {
            key: key.to_owned(),
            value: n.to_string().into_bytes(),
            flags: 0,
        };
        runtime.block_on(client.txn(&[set("a/x"), set("b/y")])).expect("a transaction");
    };
    write(0);
    // Distinct roots, and one root over both.
    let receivers =
        [watch(&runtime, &client, &["a/", "b/"]), watch(&runtime, &client, &["a/", "b/", ""])];
    for receiver in &receivers {
        until_text(receiver, "a/x", "0", PATIENCE);
    }
    for n in 1..=200 {
        write(n);
        for receiver in &receivers {
            wait::until("the next pair", PATIENCE, || {
                let sourced = receiver.borrow();
                let kv = sourced.value.as_ref().expect("a value");
                let (x, y) = (&kv.entries["a/x"].value, &kv.entries["b/y"].value);
                assert_eq!(x, y, "torn in round {n}");
                (*x == n.to_string().into_bytes()).then_some(())
            });
        }
    }
}

#[test]
fn consul_two_hundred_faults() {
    let consul = server();
    let runtime = runtime();
    let proxy = Proxy::start(&consul.address());
    let receiver = watch(&runtime, &client(proxy.address()), &["conf/"]);
    consul.put("conf/a", "start");
    until_text(&receiver, "conf/a", "start", PATIENCE);
    let faults = [
        Fault::Reset,
        Fault::Garbage,
        Fault::Status(429),
        Fault::Status(500),
        Fault::Cut(40),
        Fault::Cut(260),
        Fault::Delay(Duration::from_millis(30)),
        Fault::BlackHole,
    ];
    for round in 0..200 {
        let fault = faults[round % faults.len()];
        proxy.set(fault);
        let fresh = round.to_string();
        consul.put("conf/a", &fresh);
        let seen = text(&receiver, "conf/a").expect("a value at all times");
        assert!(seen == "start" || seen.parse::<usize>().is_ok(), "{fault:?}: {seen}");
        proxy.set(Fault::None);
        until_text(&receiver, "conf/a", &fresh, HEALED);
    }
    // A long one: pauses have grown by then, and still it is found soon.
    for fault in [Fault::Status(500), Fault::Status(429), Fault::Reset] {
        proxy.set(fault);
        until_error(&receiver);
        std::thread::sleep(Duration::from_secs(12));
        let fresh = format!("{fault:?}");
        consul.put("conf/a", &fresh);
        proxy.set(Fault::None);
        until_text(&receiver, "conf/a", &fresh, HEALED + Duration::from_secs(1));
    }
}

#[test]
fn consul_a_token_without_rights_empties_nothing() {
    let consul = stack::Consul::start_with_acl().expect("a Consul");
    let runtime = runtime();
    let token = |rules: &str| {
        let policy = consul.must(
            "PUT",
            "/v1/acl/policy",
            Some(&json!({
                "Name": format!("p{}", rules.len()), "Rules": rules,
            })),
        );
        let body = json!({"Policies": [{"ID": policy["ID"]}]});
        consul.must("PUT", "/v1/acl/token", Some(&body))
    };
    let good = token(r#"key_prefix "conf/" { policy = "read" }"#);
    let blind = token(r#"key_prefix "other/" { policy = "read" }"#);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    let secret = |token: &serde_json::Value| token["SecretID"].as_str().expect("it").to_owned();
    std::fs::write(&file, secret(&good)).expect("a token file");
    consul.put("conf/a", "one");
    let config = ConsulConfig {
        address: consul.address(),
        token_file: Some(file.clone()),
        wait: Duration::from_secs(2),
        ..ConsulConfig::default()
    };
    let client = Consul::new(config).expect("a client");
    let receiver = watch(&runtime, &client, &["conf/"]);
    until_text(&receiver, "conf/a", "one", PATIENCE);
    // A token that sees nothing, then one that is revoked.
    std::fs::write(&file, secret(&blind)).expect("a token file");
    let error = until_error(&receiver);
    assert!(!error.contains(&secret(&blind)), "{error}");
    assert_eq!(text(&receiver, "conf/a").as_deref(), Some("one"));
    let accessor = blind["AccessorID"].as_str().expect("an accessor");
    consul.must("DELETE", &format!("/v1/acl/token/{accessor}"), None);
    wait::until("a refusal", PATIENCE, || {
        receiver.borrow().error.clone().filter(|error| error.contains("403"))
    });
    assert_eq!(text(&receiver, "conf/a").as_deref(), Some("one"));
    consul.put("conf/a", "two");
    std::fs::write(&file, secret(&good)).expect("a token file");
    until_text(&receiver, "conf/a", "two", HEALED + Duration::from_secs(1));
}

#[test]
fn consul_keys_sessions_and_locks() {
    let consul = server();
    let client = client(&consul.address());
    runtime().block_on(async {
        assert!(client.kv_get("l/a b").await.expect("an answer").is_none());
        assert!(client.kv_put("l/a b", b"\x00\xff", 2, Put::Cas(0)).await.expect("a put"));
        assert!(!client.kv_put("l/a b", b"x", 2, Put::Cas(0)).await.expect("a put"));
        let entry = client.kv_get("l/a b").await.expect("an answer").expect("a key");
        assert_eq!((entry.value.as_slice(), entry.flags), (&b"\x00\xff"[..], 2));
        let spec = SessionSpec {
            name: "test".to_owned(),
            ttl: Duration::from_secs(10),
            lock_delay: Duration::ZERO,
            behavior: Behavior::Release,
        };
        let one = client.session_create(&spec).await.expect("a session");
        let two = client.session_create(&spec).await.expect("a session");
        assert!(client.kv_put("l/lock", b"1", 0, Put::Acquire(&one)).await.expect("a put"));
        assert!(!client.kv_put("l/lock", b"2", 0, Put::Acquire(&two)).await.expect("a put"));
        assert!(client.session_renew(&one).await.expect("a renewal"));
        let held = TxnOp::CheckSession { key: "l/lock".to_owned(), session: two.clone() };
        assert!(client.txn(&[held]).await.is_err());
        assert!(client.kv_put("l/lock", b"1", 0, Put::Release(&one)).await.expect("a put"));
        assert!(client.kv_put("l/lock", b"2", 0, Put::Acquire(&two)).await.expect("a put"));
        client.session_destroy(&two).await.expect("an end");
        assert!(!client.session_exists(&two).await.expect("an answer"));
        assert!(!client.session_renew(&two).await.expect("an answer"));
        assert!(client.kv_delete("l/a b", Some(entry.modified)).await.expect("a delete"));
        client.kv_delete_tree("l/").await.expect("a delete");
        assert!(client.kv_list("l/").await.expect("a list").entries.is_empty());
        let refused = TxnOp::Cas { key: "l/x".into(), value: vec![], flags: 0, index: 7 };
        assert!(client.txn(&[refused]).await.is_err());
        assert_eq!(client.node_name().await.expect("a name"), "harness");
    });
}

fn registration(id: &str, port: u16, tags: &[&str]) -> Registration {
    let check = Check {
        name: "supervisor".to_owned(),
        kind: CheckKind::Ttl { ttl: Duration::from_secs(6) },
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    };
    Registration {
        id: id.to_owned(),
        name: id.to_owned(),
        address: Some("127.0.0.1".to_owned()),
        port,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        meta: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        checks: vec![check],
        deregister_critical_after: Some(Duration::from_secs(120)),
    }
}

/// The answers to a DNS question of one type, as a count, and all their bytes.
pub(crate) fn dns(server: &str, name: &str, kind: u16) -> (u16, Vec<u8>) {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    // Id 1, recursion desired, one question.
    let mut question = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        question.push(u8::try_from(label.len()).expect("a label"));
        question.extend_from_slice(label.as_bytes());
    }
    question.push(0);
    question.extend_from_slice(&kind.to_be_bytes());
    question.extend_from_slice(&[0, 1]);
    socket.send_to(&question, server).expect("a question");
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).expect("an answer of the DNS");
    answer.truncate(length);
    (u16::from_be_bytes([answer[6], answer[7]]), answer)
}

/// The types of DNS records asked for.
pub(crate) const A: u16 = 1;
pub(crate) const SRV: u16 = 33;

fn instances(receiver: &Receiver<Sourced<Services>>, query: &ServiceQuery) -> Option<usize> {
    Some(receiver.borrow().value.as_ref()?.get(query)?.len())
}

#[test]
fn consul_services_dns_tags_maintenance_and_a_restart() {
    let mut consul = server();
    let runtime = runtime();
    let client = client(&consul.address());
    let foreign = json!({"ID": "web", "Name": "web", "Port": 80});
    consul.must("PUT", "/v1/agent/service/register", Some(&foreign));
    let inside = runtime.enter();
    let registrar = Registrar::start(client.clone(), "howdah-");
    let health = HealthWatch::start(client);
    drop(inside);
    let query = |passing_only| ServiceQuery { name: "namenode".into(), tag: None, passing_only };
    health.want(BTreeSet::from([query(true), query(false)]));
    let seen = health.receiver();
    registrar.set_ttl("namenode", Status::Passing, "ready");
    registrar.want(vec![registration("namenode", 8020, &["active"])]);
    wait::until("a passing namenode", PATIENCE, || {
        instances(&seen, &query(true)).filter(|count| *count == 1)
    });
    let name = "namenode.service.consul";
    let (count, answer) = dns(&consul.dns(), name, A);
    assert_eq!((count, answer.ends_with(&[127, 0, 0, 1])), (1, true));
    let (count, answer) = dns(&consul.dns(), name, SRV);
    assert_eq!(count, 1);
    assert!(answer.windows(2).any(|port| port == 8020u16.to_be_bytes()));
    assert_eq!(dns(&consul.dns(), &format!("active.{name}"), A).0, 1);

    // Another tag: found under it, and never critical on the way.
    registrar.want(vec![registration("namenode", 8020, &["standby"])]);
    wait::until("the new tag", PATIENCE, || {
        assert_eq!(instances(&seen, &query(true)), Some(1), "the check's state is kept");
        (dns(&consul.dns(), &format!("standby.{name}"), A).0 == 1).then_some(())
    });
    assert_eq!(dns(&consul.dns(), &format!("active.{name}"), A).0, 0);

    registrar.maintenance("namenode", Some("restarting"));
    wait::until("maintenance", PATIENCE, || (dns(&consul.dns(), name, A).0 == 0).then_some(()));
    registrar.maintenance("namenode", None);
    wait::until("its end", PATIENCE, || (dns(&consul.dns(), name, A).0 == 1).then_some(()));

    // A Consul that forgot everything gets it back without a question.
    consul.start_over();
    wait::until("the service again", HEALED, || (dns(&consul.dns(), name, A).0 == 1).then_some(()));
    consul.must("PUT", "/v1/agent/service/register", Some(&foreign));
    runtime.block_on(registrar.finish());
    let left = consul.must("GET", "/v1/agent/services", None);
    let left: Vec<&String> = left.as_object().expect("services").keys().collect();
    assert_eq!(left, ["web"]);
    wait::until("no instance", PATIENCE, || {
        instances(&seen, &query(false)).filter(|count| *count == 0)
    });
}
