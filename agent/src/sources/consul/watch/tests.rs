//! Against scripted answers: index rules, one moment for several roots, garbage, emptied trees.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::scripted::{Answer, Scripted};
use crate::sources::consul::ConsulConfig;

fn client(server: &Scripted) -> Arc<Consul> {
    let wait = Duration::from_millis(200);
    let config = ConsulConfig { address: server.address(), wait, ..ConsulConfig::default() };
    Consul::new(config).unwrap()
}

fn pair(key: &str, value: &str, index: u64) -> String {
    use base64::Engine as _;
    let value = base64::engine::general_purpose::STANDARD.encode(value);
    format!(r#"{{"Key":"{key}","Value":"{value}","Flags":2,"ModifyIndex":{index}}}"#)
}

fn tree(index: u64, pairs: &[String]) -> Answer {
    let (status, body) = match pairs {
        [] => (404, String::new()),
        _ => (200, format!("[{}]", pairs.join(","))),
    };
    Answer::json(status, &body).header("X-Consul-Index", &index.to_string())
}

/// Answers one after the other; the last one again and again, but only after a wait.
fn sequence(answers: Vec<Answer>) -> Scripted {
    let count = AtomicUsize::new(0);
    Scripted::start(move |request| {
        if request.contains("/v1/status/leader") {
            return Answer::json(200, "\"127.0.0.1:8300\"");
        }
        let n = count.fetch_add(1, Ordering::SeqCst);
        match answers.get(n) {
            Some(answer) => answer.clone(),
            None => answers[answers.len() - 1].clone().after(Duration::from_millis(200)),
        }
    })
}

async fn value(receiver: &mut watch::Receiver<Sourced<Kv>>, key: &str, wanted: &str) -> Arc<Kv> {
    let has = |sourced: &Sourced<Kv>| {
        let entry = sourced.value.as_ref().and_then(|kv| kv.entries.get(key));
        entry.is_some_and(|entry| entry.value == wanted.as_bytes())
    };
    let limit = Duration::from_secs(20);
    let sourced = tokio::time::timeout(limit, receiver.wait_for(has)).await;
    sourced.expect("in time").unwrap().value.clone().unwrap()
}

#[test]
fn nested_prefixes_share() {
    let prefixes = ["conf/hdfs/@dn/", "conf/hdfs/", "templates/", "conf/hdfs/", "conf/yarn/"];
    let found = roots(prefixes.map(str::to_owned));
    assert_eq!(found, ["conf/hdfs/", "conf/yarn/", "templates/"]);
}

#[tokio::test]
async fn no_prefix_is_an_empty_snapshot() {
    let server = sequence(vec![tree(1, &[])]);
    let receiver = watch_kv(client(&server), []);
    assert_eq!(receiver.borrow().value.as_deref(), Some(&Kv::default()));
}

#[tokio::test]
async fn the_index_is_passed_on_and_a_lower_one_starts_over() {
    let server = sequence(vec![
        tree(7, &[pair("c/a", "one", 7)]),
        tree(3, &[pair("c/a", "two", 3)]),
        tree(3, &[pair("c/a", "three", 3)]),
    ]);
    let mut receiver = watch_kv(client(&server), ["c/".to_owned()]);
    let kv = value(&mut receiver, "c/a", "one").await;
    assert_eq!((kv.index, kv.entries["c/a"].flags, kv.entries["c/a"].modified), (7, 2, 7));
    assert_eq!(value(&mut receiver, "c/a", "three").await.index, 3);
    let seen = server.requests();
    assert!(!seen[0].contains("index="), "{}", seen[0]);
    assert!(seen[1].contains("&index=7&wait=200ms"), "{}", seen[1]);
    assert!(!seen[2].contains("index="), "{}", seen[2]);
}

#[tokio::test]
async fn index_zero_counts_as_one() {
    let server = sequence(vec![tree(0, &[pair("c/a", "one", 1)])]);
    let mut receiver = watch_kv(client(&server), ["c/".to_owned()]);
    assert_eq!(value(&mut receiver, "c/a", "one").await.index, 1);
    receiver.changed().await.unwrap();
    assert!(server.requests()[1].contains("index=1&"));
}

#[tokio::test]
async fn every_kind_of_bad_answer_keeps_the_value() {
    let bad = [
        (Answer::json(429, "slow down"), "429"),
        (Answer::json(500, "No cluster leader"), "No cluster leader"),
        (Answer::json(200, "[{\"Key").header("X-Consul-Index", "8"), "is no JSON"),
        (Answer::json(200, "[]"), "X-Consul-Index"),
        (
            Answer::json(200, r#"[{"Key":"c/a","Value":"*","Flags":0,"ModifyIndex":8}]"#)
                .header("X-Consul-Index", "8"),
            "\"c/a\" is no base64",
        ),
        (
            tree(8, &[]).header("X-Consul-Results-Filtered-By-ACLs", "true"),
            "the token may not read all of \"c/\"",
        ),
        (Answer::raw("HTTP/1.1 200 OK\r\nX-Consul-Index: 8\r\nContent-Length: 9\r\n\r\n["), "c/"),
    ];
    for (answer, complaint) in bad {
        let server = sequence(vec![
            tree(7, &[pair("c/a", "one", 7)]),
            answer,
            tree(9, &[pair("c/a", "two", 9)]),
        ]);
        let mut receiver = watch_kv(client(&server), ["c/".to_owned()]);
        let failing = |sourced: &Sourced<Kv>| sourced.error.is_some();
        let sourced = receiver.wait_for(failing).await.unwrap().clone();
        let error = sourced.error.unwrap();
        assert!(error.contains(complaint), "{error}");
        assert!(error.contains(&server.address()) && !error.contains('\n'), "{error}");
        assert_eq!(sourced.value.unwrap().entries["c/a"].value, b"one");
        value(&mut receiver, "c/a", "two").await;
        assert!(receiver.borrow().error.is_none());
    }
}

#[tokio::test]
async fn an_emptied_tree_after_an_outage_is_confirmed() {
    let count = AtomicUsize::new(0);
    let server = Scripted::start(move |request| {
        if request.contains("consistent") {
            return tree(9, &[pair("c/a", "two", 9)]);
        }
        match count.fetch_add(1, Ordering::SeqCst) {
            0 => tree(7, &[pair("c/a", "one", 7)]),
            1 => Answer::json(500, "No cluster leader"),
            _ => tree(8, &[]).after(Duration::from_millis(100)),
        }
    });
    let mut receiver = watch_kv(client(&server), ["c/".to_owned()]);
    value(&mut receiver, "c/a", "two").await;
}

/// Story: a Consul that was killed served older values while it replayed its log, and for some
/// milliseconds they were configuration.
#[tokio::test]
async fn an_index_that_went_back_is_confirmed() {
    let confirmed = Arc::new(AtomicUsize::new(0));
    for (truth, index) in [("new", 7), ("restored", 5)] {
        let (count, asked) = (AtomicUsize::new(0), confirmed.clone());
        let server = Scripted::start(move |request| {
            if request.contains("consistent") {
                asked.fetch_add(1, Ordering::SeqCst);
                return tree(index, &[pair("c/a", truth, index)]);
            }
            match count.fetch_add(1, Ordering::SeqCst) {
                0 => tree(7, &[pair("c/a", "new", 7)]),
                1 => tree(5, &[pair("c/a", "replayed", 5)]),
                _ => tree(index, &[pair("c/a", truth, index)]).after(Duration::from_millis(100)),
            }
        });
        let mut receiver = watch_kv(client(&server), ["c/".to_owned()]);
        let before = confirmed.load(Ordering::SeqCst);
        let limit = Instant::now() + Duration::from_secs(20);
        loop {
            let shown = receiver.borrow_and_update().value.clone();
            let shown = shown.map(|kv| kv.entries["c/a"].value.clone());
            assert_ne!(shown.as_deref(), Some(&b"replayed"[..]));
            let done = shown.as_deref() == Some(truth.as_bytes());
            if done && confirmed.load(Ordering::SeqCst) > before {
                break;
            }
            assert!(Instant::now() < limit, "{shown:?}");
            receiver.changed().await.unwrap();
        }
    }
}

#[tokio::test]
async fn several_roots_are_read_by_one_transaction() {
    let server = Scripted::start(|request| {
        let item = |pair: String| format!(r#"{{"KV":{pair}}}"#);
        match request {
            r if r.contains("/v1/txn") => {
                assert!(r.contains(r#""Key":"a/","Verb":"get-tree""#), "{r}");
                let items = [item(pair("a/x", "both", 5)), item(pair("b/y", "both", 5))];
                Answer::json(200, &format!(r#"{{"Results":[{}],"Errors":null}}"#, items.join(",")))
            }
            r if r.contains("index=") => tree(5, &[]).after(Duration::from_millis(150)),
            r if r.contains("/v1/kv/a/") => tree(4, &[pair("a/x", "old", 4)]),
            _ => tree(5, &[pair("b/y", "both", 5)]),
        }
    });
    let mut receiver = watch_kv(client(&server), ["b/".to_owned(), "a/".to_owned()]);
    let kv = value(&mut receiver, "a/x", "both").await;
    assert_eq!(kv.index, 5);
    assert_eq!(kv.entries["b/y"].value, b"both");
}

#[tokio::test]
async fn values_and_keys_have_bounds() {
    let large = "x".repeat(crate::sources::VALUE_BYTES_MAX + 1);
    let server = sequence(vec![tree(7, &[pair("c/big", &large, 7)])]);
    let mut receiver = watch_kv(client(&server), ["c/".to_owned()]);
    receiver.wait_for(|sourced| sourced.error.is_some()).await.unwrap();
    let error = receiver.borrow().error.clone().unwrap();
    assert!(error.contains("\"c/big\" has 524289 bytes; at most 524288"), "{error}");
}

#[tokio::test]
async fn the_tasks_end_with_the_last_receiver() {
    let server = sequence(vec![tree(7, &[pair("c/a", "one", 7)])]);
    let consul = client(&server);
    let mut receiver = watch_kv(consul.clone(), ["c/".to_owned()]);
    value(&mut receiver, "c/a", "one").await;
    drop(receiver);
    let limit = Instant::now() + Duration::from_secs(10);
    while Arc::strong_count(&consul) > 1 {
        assert!(Instant::now() < limit, "the tasks go on");
        tokio::task::yield_now().await;
    }
}

/// Story: two queries waited for a minute each on the places there are, and a third that came
/// just after them got its first answer only then. Now a wait ends soon after somebody else wants
/// a turn.
#[tokio::test]
async fn who_comes_late_need_not_wait_for_the_others() {
    let server = Scripted::start(|request| {
        let answer = tree(7, &[pair("late/a", "here", 7)]);
        match request.contains("index=") {
            true => answer.after(Duration::from_secs(60)),
            false => answer,
        }
    });
    let wait = Duration::from_secs(60);
    let config = ConsulConfig { address: server.address(), wait, ..ConsulConfig::default() };
    let client = Consul::new(config).unwrap();
    let early = ["a/", "b/"].map(|prefix| watch_kv(client.clone(), [prefix.to_owned()]));
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while server.requests().iter().filter(|request| request.contains("index=")).count() < 2 {
        assert!(tokio::time::Instant::now() < limit, "both wait");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut late = watch_kv(client, ["late/".to_owned()]);
    value(&mut late, "late/a", "here").await;
    drop(early);
}
