//! Against a scripted local agent that remembers registrations.

use std::sync::Mutex;

use serde_json::json;

use super::*;
use crate::scripted::{Answer, Scripted};
use crate::sources::consul::ConsulConfig;

type Held = Arc<Mutex<BTreeMap<String, Value>>>;

/// A local agent: holds services, fails while `down` is set.
fn agent(held: Held, down: Arc<Mutex<bool>>) -> Scripted {
    Scripted::start(move |request| {
        if *down.lock().unwrap() {
            return Answer::json(500, "No cluster leader");
        }
        let mut held = held.lock().unwrap();
        let path = request.split(' ').nth(1).unwrap();
        if path == "/v1/agent/services" {
            return Answer::json(200, &json!(*held).to_string());
        }
        if path == "/v1/agent/checks" {
            let ids =
                held.values().flat_map(|s| s["Checks"].as_array().cloned().unwrap_or_default());
            let checks: BTreeMap<String, Value> =
                ids.map(|c| (c["CheckID"].as_str().unwrap().to_owned(), c)).collect();
            return Answer::json(200, &json!(checks).to_string());
        }
        if path.starts_with("/v1/agent/service/register") {
            let body = request.split("\r\n\r\n").nth(1).unwrap();
            let mut service: Value = serde_json::from_str(body).unwrap();
            service["Service"] = service["Name"].clone();
            held.insert(service["ID"].as_str().unwrap().to_owned(), service);
        }
        if let Some(id) = path.strip_prefix("/v1/agent/service/deregister/") {
            held.remove(id);
        }
        Answer::json(200, "")
    })
}

fn registration(tags: &[&str]) -> Registration {
    let check = |name: &str, kind| Check {
        name: name.to_owned(),
        kind,
        interval: Duration::from_secs(10),
        timeout: Duration::from_secs(2),
    };
    Registration {
        id: "namenode".to_owned(),
        name: "namenode".to_owned(),
        address: Some("127.0.0.1".to_owned()),
        port: 8020,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        meta: BTreeMap::from([("rack".to_owned(), "r1".to_owned())]),
        checks: vec![
            check("web", CheckKind::Http { url: "http://127.0.0.1:9870/healthz".to_owned() }),
            check("supervisor", CheckKind::Ttl { ttl: Duration::from_secs(30) }),
        ],
        deregister_critical_after: Some(Duration::from_secs(900)),
    }
}

fn start(server: &Scripted) -> Registrar {
    let config = ConsulConfig { address: server.address(), ..ConsulConfig::default() };
    Registrar::start(Consul::new(config).unwrap(), "howdah-")
}

#[tokio::test]
async fn registers_repairs_and_touches_only_its_own() {
    let held = Held::default();
    let down = Arc::new(Mutex::new(false));
    let foreign = json!({"ID": "web", "Service": "web"});
    held.lock().unwrap().insert("web".to_owned(), foreign);
    held.lock().unwrap().insert("howdah-old".to_owned(), json!({"ID": "howdah-old"}));
    let server = agent(held.clone(), down.clone());
    let registrar = start(&server);
    let mut receiver = registrar.receiver();
    registrar.set_ttl("namenode", Status::Passing, "ready");
    registrar.want(vec![registration(&["active"])]);
    receiver.wait_for(|sourced| sourced.value.is_some()).await.unwrap();
    let ids = |held: &Held| held.lock().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(ids(&held), ["howdah-namenode", "web"]);
    let seen = server.requests().join("\n");
    assert!(seen.contains("PUT /v1/agent/check/update/howdah-namenode:supervisor"), "{seen}");
    assert!(seen.contains(r#""DeregisterCriticalServiceAfter":"900000ms""#), "{seen}");

    *down.lock().unwrap() = true;
    registrar.want(vec![registration(&["standby"])]);
    receiver.wait_for(|sourced| sourced.error.is_some()).await.unwrap();
    assert!(receiver.borrow().value.is_some(), "the last answer stays");
    *down.lock().unwrap() = false;
    receiver.wait_for(|sourced| sourced.error.is_none()).await.unwrap();
    assert_eq!(held.lock().unwrap()["howdah-namenode"]["Tags"], json!(["standby"]));

    registrar.finish().await;
    assert_eq!(ids(&held), ["web"]);
}

#[tokio::test]
async fn what_stands_is_not_registered_again() {
    let held = Held::default();
    let server = agent(held.clone(), Arc::default());
    let registrar = start(&server);
    let mut receiver = registrar.receiver();
    for _ in 0..3 {
        registrar.want(vec![registration(&["a"])]);
        receiver.changed().await.unwrap();
    }
    let seen = server.requests();
    let count = seen.iter().filter(|r| r.contains("/v1/agent/service/register")).count();
    assert_eq!(count, 1);
}

#[test]
fn every_part_counts() {
    let one = registration(&["a"]);
    let mut found = one.json("x");
    found["Service"] = found["Name"].clone();
    let checks = BTreeMap::from([("x:web".into(), json!({})), ("x:supervisor".into(), json!({}))]);
    assert!(one.stands("x", &found, &checks));
    assert!(!one.stands("x", &found, &BTreeMap::new()));
    let mut other = one.clone();
    other.checks[0].interval = Duration::from_secs(11);
    assert!(!other.stands("x", &found, &checks));
    let mut edited = found.clone();
    edited["Tags"] = json!(["b"]);
    assert!(!one.stands("x", &edited, &checks));
}
