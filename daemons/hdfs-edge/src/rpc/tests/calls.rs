//! Honest use: calls, faults, many at once, reconnecting, stopping.

use super::*;

async fn echo(client: &Client, method: &str, text: &str) -> Result<String, CallError> {
    let reply: ConcatRequestProto = client.call(method, &message(text)).await?;
    Ok(reply.trg)
}

fn class(result: Result<String, CallError>) -> String {
    match result {
        Err(CallError::Remote { class, .. }) => class,
        other => panic!("not a remote error: {other:?}"),
    }
}

#[tokio::test]
async fn a_call_returns_what_the_service_said() {
    let server = start(Bounds::default()).await;
    let client = server.client();
    assert_eq!(echo(&client, "echo", "a").await.unwrap(), "a");
    assert_eq!(echo(&client, "late", "b").await.unwrap(), "b");
    assert_eq!(class(echo(&client, "drop", "c").await), "java.io.IOException");
    let unknown = class(echo(&client, "fly", "d").await);
    assert_eq!(unknown, "org.apache.hadoop.ipc.RpcNoSuchMethodException");
    assert_eq!(echo(&client, "echo", "e").await.unwrap(), "e");
    assert_eq!(server.metrics.connections_accepted.load(Ordering::Relaxed), 1);
    assert_eq!(server.metrics.calls.load(Ordering::Relaxed), 5);
    assert_eq!(server.metrics.faults.load(Ordering::Relaxed), 2);
    server.stop().await;
}

#[tokio::test]
async fn the_user_is_known_and_nobody_speaks_for_another() {
    let server = start(Bounds::default()).await;
    assert_eq!(echo(&server.client(), "user", "").await.unwrap(), "");
    assert_eq!(*server.service.users.lock()[0], User::new("alice"));
    let proxy = User { name: "alice".to_owned(), real: Some("eve".to_owned()) };
    let error = echo(&server.client_as(proxy), "user", "").await.unwrap_err();
    let CallError::Remote { class, message } = error else { panic!("{error:?}") };
    assert_eq!(class, "org.apache.hadoop.security.authorize.AuthorizationException");
    assert_eq!(message, "User: eve is not allowed to impersonate alice");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_calls_share_one_connection() {
    // Few outstanding calls: reading pauses again and again, and nothing is lost.
    let bounds = Bounds { max_outstanding_calls: 7, ..Bounds::default() };
    let server = start(bounds).await;
    let client = server.client();
    let tasks: Vec<_> = (0..3000)
        .map(|number| {
            let client = client.clone();
            let method = if number % 3 == 0 { "echo" } else { "late" };
            tokio::spawn(async move {
                let text = number.to_string();
                assert_eq!(echo(&client, method, &text).await.unwrap(), text);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.metrics.connections_accepted.load(Ordering::Relaxed), 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_calls_and_replies_pass() {
    let server = start(Bounds::default()).await;
    let client = server.client();
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let client = client.clone();
            tokio::spawn(async move {
                let text = number.to_string().repeat(500_000);
                assert_eq!(echo(&client, "late", &text).await.unwrap(), text);
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(server.metrics.buffered_bytes_open.load(Ordering::Relaxed), 0);
    server.stop().await;
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up() {
    let server = start(Bounds::default()).await;
    let timeouts = Timeouts { call: Duration::from_millis(30), ..Timeouts::default() };
    let client = Client::new(server.address.to_string(), User::new("alice"), PROTOCOL, timeouts);
    let error = echo(&client, "hold", "").await.unwrap_err();
    assert!(matches!(error, CallError::Timeout { .. }), "{error}");
    // The connection was silent and is not used again.
    let second = server.client();
    assert_eq!(echo(&second, "echo", "x").await.unwrap(), "x");
    server.service.held.lock().clear();
    server.stop().await;
}

#[tokio::test]
async fn the_next_call_reconnects() {
    let server = start(Bounds::default()).await;
    let client = server.client();
    assert_eq!(echo(&client, "echo", "x").await.unwrap(), "x");
    let address = server.address;
    server.stop().await;
    let error = echo(&client, "echo", "x").await.unwrap_err();
    assert!(matches!(error, CallError::Io { .. }), "{error}");
    let listener = TcpListener::bind(address).await.unwrap();
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(serve(listener, Echo::new(), Bounds::default(), Arc::default(), stopped));
    // The client may still find the old connection's end first.
    let mut result = echo(&client, "echo", "y").await;
    if result.is_err() {
        result = echo(&client, "echo", "y").await;
    }
    assert_eq!(result.unwrap(), "y");
}

#[tokio::test]
async fn a_stopping_server_answers_what_it_took() {
    let server = start(Bounds::default()).await;
    let client = server.client();
    let call = tokio::spawn(async move { echo(&client, "hold", "z").await });
    until(&server.metrics.calls, 1).await;
    server.stop.send(true).unwrap();
    let held = std::mem::take(&mut *server.service.held.lock());
    for responder in held {
        responder.send(Ok(message("z")));
    }
    assert_eq!(call.await.unwrap().unwrap(), "z");
    server.task.await.unwrap();
}
