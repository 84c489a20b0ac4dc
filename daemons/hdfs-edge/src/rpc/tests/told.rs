//! What a server counts of calls, and the log of them.

use std::io;

use super::*;
use crate::config::Config;
use crate::metrics::Registry;

/// Log lines of this thread, on which a test's whole runtime runs.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let lines = self.clone();
        let subscriber = tracing_subscriber::fmt().with_ansi(false);
        let subscriber = subscriber.with_writer(move || lines.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    /// The lines of calls so far.
    fn take(&self) -> Vec<String> {
        let text = String::from_utf8(std::mem::take(&mut *self.0.lock())).unwrap();
        text.lines().filter(|line| line.contains("rpc_trace")).map(str::to_owned).collect()
    }
}

fn configure(server: &Running, pairs: &[(&str, &str)]) {
    server.metrics.trace.configure(&Config::from_pairs(pairs.iter().copied()).unwrap());
}

async fn call(client: &Client, method: &str, text: &str) {
    let _: Result<ConcatRequestProto, _> = client.call(method, &message(text)).await;
}

#[tokio::test]
async fn each_method_and_each_exception_has_its_figures() {
    let server = start(Bounds::default()).await;
    let client = server.client();
    for method in ["echo", "echo", "late", "drop", "fly"] {
        call(&client, method, &"x".repeat(1000)).await;
    }
    let registry = Registry::default();
    let metrics = Arc::clone(&server.metrics);
    registry.register(move || metrics.beans("NameNode", 8020).into());
    let figure = |bean: &str, name: &str| {
        let bean = format!("Hadoop:service=NameNode,name={bean}ForPort8020");
        let shown = registry.jmx_attribute(&bean, name).unwrap_or_default();
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap_or_default();
        shown["beans"][0][name].as_f64()
    };
    let detail = |name: &str| figure("RpcDetailedActivity", name);
    assert_eq!(detail("EchoNumOps"), Some(2.0));
    assert_eq!(detail("LateNumOps"), Some(1.0));
    assert_eq!((detail("DropNumOps"), detail("DropFailures")), (Some(1.0), Some(1.0)));
    assert_eq!(detail("EchoFailures"), Some(0.0));
    assert_eq!(detail("IOExceptionNumOps"), Some(1.0));
    assert_eq!(detail("RpcNoSuchMethodExceptionNumOps"), Some(1.0));
    assert_eq!(detail("FlyNumOps"), None, "a peer cannot make up names");
    // Two calls with a thousand letters and some words each way.
    for name in ["EchoReceivedBytes", "EchoSentBytes"] {
        assert!(detail(name).is_some_and(|bytes| (2000.0..2600.0).contains(&bytes)), "{name}");
    }
    let sum = |name: &str| figure("RpcActivity", name);
    assert_eq!((sum("TotalRequests"), sum("RpcFailures")), (Some(5.0), Some(2.0)));
    assert_eq!(sum("RpcProcessingTimeNumOps"), Some(4.0));
    assert!(sum("ReceivedBytes") > sum("NumOpenConnections"));
    let prometheus = registry.prometheus_hadoop();
    assert!(prometheus.contains("echo_num_ops 2\n"), "{prometheus}");
    server.stop().await;
}

#[tokio::test]
async fn a_line_for_each_call_that_was_asked_for() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let server = start(Bounds::default()).await;
    let client = server.client_as(User::new("eve\nINFO forged"));
    call(&client, "echo", "hidden").await;
    assert_eq!(lines.take(), [""; 0], "nothing is asked for");

    configure(&server, &[("howdah.rpc.trace", "echo, drop")]);
    for method in ["echo", "user", "drop"] {
        call(&client, method, "hidden").await;
    }
    let seen = lines.take();
    assert_eq!(seen.len(), 2, "{seen:#?}");
    for word in ["method=\"echo\"", "protocol=\"ClientProtocol\"", "outcome=\"ok\"", "call=1 "] {
        assert!(seen[0].contains(word), "{word}: {}", seen[0]);
    }
    for word in ["peer=127.0.0.1:", "received=", "sent=", "queued_us=", "processed_us="] {
        assert!(seen[0].contains(word), "{word}: {}", seen[0]);
    }
    assert!(seen[0].contains(r#"user="eve\nINFO forged""#), "{}", seen[0]);
    assert!(seen[1].contains("outcome=\"java.io.IOException\""), "{}", seen[1]);
    assert!(!seen.concat().contains("hidden"), "what is in a call is never shown: {seen:#?}");

    configure(&server, &[("howdah.rpc.trace", "*")]);
    call(&client, &"y".repeat(5000), "").await;
    let seen = lines.take();
    assert!(seen.len() == 1 && seen[0].len() < 600, "{seen:#?}");
    configure(&server, &[("howdah.rpc.trace", "off")]);
    call(&client, "echo", "").await;
    assert_eq!(lines.take(), [""; 0]);
    server.stop().await;
}

/// A flood fills no disk; how much was left out is told when it has passed.
#[tokio::test]
async fn lines_are_bounded() {
    let lines = Lines::default();
    let _listening = lines.listen();
    let server = start(Bounds::default()).await;
    let client = server.client();
    configure(&server, &[("howdah.rpc.trace", "*"), ("howdah.rpc.trace.rate", "5")]);
    let began = std::time::Instant::now();
    let mut seen = Vec::new();
    let mut calls = 0;
    while !seen.iter().any(|line: &String| line.contains("were not shown")) {
        call(&client, "echo", "").await;
        calls += 1;
        seen.extend(lines.take());
        assert!(began.elapsed() < Duration::from_secs(20), "{calls} calls, {seen:#?}");
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 1;
    assert!(seen.len() <= 5 * (seconds + 1) + 1, "{calls} calls: {seen:#?}");
    let told = seen.iter().find(|line| line.contains("were not shown")).unwrap();
    assert!(told.contains("limit=5"), "{told}");
    server.stop().await;
}
