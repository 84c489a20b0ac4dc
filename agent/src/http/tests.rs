//! Against a scripted server on loopback.

use super::*;
use crate::scripted::{Answer, Scripted};

const LIMIT: Duration = Duration::from_secs(5);

fn get(target: &str) -> Request {
    Request::new(Method::GET, target, LIMIT)
}

#[tokio::test]
async fn an_answer_with_headers_and_body() {
    let server = Scripted::start(|_| Answer::json(200, "[1,2]").header("X-Consul-Index", "7"));
    let http = Http::new(&server.address(), &Tls::default()).unwrap();
    let request = get("/v1/kv/a?recurse").header("x-consul-token", Masked::new("secret"));
    let answer = http.send(request).await.unwrap().accept(&[]).unwrap();
    assert_eq!(answer.number("x-consul-index"), Some(7));
    assert_eq!(answer.json::<Vec<u8>>().unwrap(), [1, 2]);
    let seen = server.requests();
    assert!(seen[0].starts_with("GET /v1/kv/a?recurse HTTP/1.1"), "{}", seen[0]);
    assert!(seen[0].contains("x-consul-token: secret"));
}

#[tokio::test]
async fn errors_are_one_line_with_the_address_and_no_query() {
    let server = Scripted::start(|request| match request.split(' ').nth(1).unwrap() {
        "/429?q=1" => Answer::json(429, "rate\nlimit"),
        "/403" => Answer::json(403, r#"{"errors":["permission denied"]}"#),
        "/cut" => Answer::raw("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[1,"),
        "/garbage" => Answer::raw("\u{1}\u{2}nonsense\r\n\r\n"),
        _ => Answer::json(200, "[1,"),
    });
    let http = Http::new(&server.address(), &Tls::default()).unwrap();
    let base = http.base().to_owned();
    let said = |error: HttpError| error.to_string();
    let answer = http.send(get("/429?q=1")).await.unwrap().accept(&[]);
    let error = said(answer.unwrap_err());
    assert_eq!(error, format!("GET {base}/429: 429 Too Many Requests: rate limit"));
    let error = http.send(get("/403")).await.unwrap().accept(&[]).unwrap_err();
    assert!(!error.is_outage());
    assert_eq!(said(error), format!("GET {base}/403: 403 Forbidden: permission denied"));
    for path in ["/cut", "/garbage"] {
        let error = http.send(get(path)).await.unwrap_err();
        assert!(error.is_outage());
        assert!(said(error).starts_with(&format!("GET {base}{path}: ")));
    }
    let error = http.send(get("/json")).await.unwrap().json::<Vec<u8>>().unwrap_err();
    assert!(said(error).contains("is no JSON of the shape expected (Eof at line 1"));
}

#[tokio::test]
async fn nobody_and_a_silent_server() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let http = Http::new(&address, &Tls::default()).unwrap();
    let request = Request::new(Method::GET, "/x", Duration::from_millis(50));
    let error = http.send(request).await.unwrap_err().to_string();
    assert_eq!(error, format!("GET http://{address}/x: no answer within 0 s"));
    drop(listener);
    let error = http.send(get("/x")).await.unwrap_err().to_string();
    assert!(error.contains("refused"), "{error}");
}

#[tokio::test]
async fn at_most_four_connections() {
    let server = Scripted::start(|_| Answer::json(200, "1").after(Duration::from_millis(20)));
    let http = Arc::new(Http::new(&server.address(), &Tls::default()).unwrap());
    let calls = (0..20).map(|_| {
        let http = Arc::clone(&http);
        tokio::spawn(async move { http.send(get("/x")).await.unwrap() })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert!(server.connections() <= CONNECTIONS_MAX, "{}", server.connections());
}

#[test]
fn addresses() {
    for (address, expected) in [
        ("127.0.0.1:8500", Some("http://127.0.0.1:8500")),
        ("https://vault:8200/", Some("https://vault:8200")),
        ("ftp://x", None),
        ("http://x/v1", None),
        ("http://user:word@x", None),
        ("", None),
    ] {
        assert_eq!(base(address).ok().as_deref(), expected, "{address}");
    }
    let error = base("http://user:word@x").unwrap_err().to_string();
    assert!(!error.contains("word@"), "{error}");
}

#[test]
fn names_of_files_are_in_the_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let tls = Tls { ca_file: Some(path.clone()), ..Tls::default() };
    let error = Http::new("https://x:1", &tls).unwrap_err().to_string();
    assert!(error.contains("ca.pem"), "{error}");
    std::fs::write(&path, "nothing").unwrap();
    let error = Http::new("https://x:1", &tls).unwrap_err().to_string();
    assert!(error.contains("no certificate in it"), "{error}");
}

#[test]
fn encoding() {
    assert_eq!(encode_path("conf/a b?c%"), "conf/a%20b%3Fc%25");
    assert_eq!(encode_query("a/b&c"), "a%2Fb%26c");
}
