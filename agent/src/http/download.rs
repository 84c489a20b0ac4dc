//! The body of one GET, piece by piece, for what is too long to be held in memory.
//!
//! Redirects are followed up to a bound and never from https to http. A download can go on where
//! one was cut off. Nothing is retried here, and errors name no query: it may hold a secret.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{
    CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, HeaderValue, IF_RANGE, LOCATION, RANGE,
};
use hyper::{Method, Request as HyperRequest, StatusCode, Uri};

use super::{Http, HttpError, Tls, whole};

/// A mirror's own redirect, another to its nearest host, and some more.
const REDIRECTS_MAX: usize = 10;

/// Until the head of an answer is there, and between two pieces of its body.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// A download under way.
#[derive(Debug)]
pub struct Download {
    /// Where in the file the first piece belongs: where it was asked to go on, or 0.
    pub from: u64,
    /// The length of the whole file, where the server tells.
    pub length: Option<u64>,
    /// What a later request to go on must name, so that it is of the same file.
    pub tag: Option<String>,
    body: Incoming,
    request: String,
}

/// Where to go on.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// Bytes that are there already.
    pub from: u64,
    /// The tag of the file that they are of.
    pub tag: Option<String>,
}

/// Asks for a file.
///
/// # Errors
/// No server, a status that is no success, too many redirects or one to plain http.
pub async fn open(url: &str, tls: &Tls, resume: &Resume) -> Result<Download, HttpError> {
    let mut url = url.split('#').next().unwrap_or_default().to_owned();
    for _ in 0..=REDIRECTS_MAX {
        let (base, target) = split(&url);
        let http = Http::new(base, tls)?;
        let path = target.split('?').next().unwrap_or_default();
        let request = format!("GET {}{path}", http.base());
        let answer = ask(&http, target, resume, &request).await?;
        let status = answer.status();
        if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
            return begin(answer, resume, request);
        }
        let garbage =
            |what: &str| HttpError::Garbage { request: request.clone(), what: what.to_owned() };
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| garbage("a redirect to nowhere"))?;
        let refused = || garbage("a redirect from https to plain http is not followed");
        url = follow(&url, location).ok_or_else(refused)?;
    }
    let (base, _) = split(&url);
    let what = format!("more than {REDIRECTS_MAX} redirects");
    Err(HttpError::Garbage { request: format!("GET {base}"), what })
}

async fn ask(
    http: &Http,
    target: &str,
    resume: &Resume,
    name: &str,
) -> Result<hyper::Response<Incoming>, HttpError> {
    let unreachable = |what: String| HttpError::Unreachable { request: name.to_owned(), what };
    let uri: Uri = format!("{}{target}", http.base())
        .parse()
        .map_err(|_| unreachable("the path is no path".to_owned()))?;
    let mut message = HyperRequest::new(Full::<Bytes>::default());
    *message.method_mut() = Method::GET;
    *message.uri_mut() = uri;
    if resume.from > 0 {
        let headers = message.headers_mut();
        headers.insert(
            RANGE,
            HeaderValue::from_str(&format!("bytes={}-", resume.from))
                .map_err(|error| unreachable(error.to_string()))?,
        );
        if let Some(tag) = resume.tag.as_deref().and_then(|tag| HeaderValue::from_str(tag).ok()) {
            headers.insert(IF_RANGE, tag);
        }
    }
    match tokio::time::timeout(IDLE_TIMEOUT, http.client.request(message)).await {
        Ok(answer) => answer.map_err(|error| unreachable(http.explain(&error))),
        Err(_) => Err(HttpError::Late { request: name.to_owned(), limit: IDLE_TIMEOUT }),
    }
}

fn begin(
    answer: hyper::Response<Incoming>,
    resume: &Resume,
    request: String,
) -> Result<Download, HttpError> {
    let (head, body) = answer.into_parts();
    let from = match head.status {
        StatusCode::PARTIAL_CONTENT if resume.from > 0 => {
            let start = range_start(&head.headers);
            if start != Some(resume.from) {
                let what = "the answer is another part than the one asked for".to_owned();
                return Err(HttpError::Garbage { request, what });
            }
            resume.from
        }
        StatusCode::OK => 0,
        status => {
            return Err(HttpError::Status { request, status, complaint: String::new() });
        }
    };
    let left = head.headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let tag = head.headers.get(ETAG).and_then(|value| value.to_str().ok());
    // A weak tag does not promise the same bytes.
    let tag = tag.filter(|tag| !tag.starts_with("W/")).map(str::to_owned);
    Ok(Download {
        from,
        length: left.map(|left: u64| left.saturating_add(from)),
        tag,
        body,
        request,
    })
}

/// The first byte of `bytes 100-199/200`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = headers.get(CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.trim().parse().ok()
}

impl Download {
    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The connection was cut, or says nothing any more.
    pub async fn next(&mut self) -> Result<Option<Bytes>, HttpError> {
        loop {
            let request = || self.request.clone();
            let frame = match tokio::time::timeout(IDLE_TIMEOUT, self.body.frame()).await {
                Err(_) => {
                    return Err(HttpError::Late { request: request(), limit: IDLE_TIMEOUT });
                }
                Ok(None) => return Ok(None),
                Ok(Some(frame)) => frame.map_err(|error| HttpError::Unreachable {
                    request: request(),
                    what: whole(&error),
                })?,
            };
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// `scheme://authority` and the rest, which begins with `/`.
fn split(url: &str) -> (&str, &str) {
    let after = url.find("://").map_or(0, |at| at + 3);
    match url[after..].find(['/', '?']) {
        Some(at) if url[after + at..].starts_with('/') => url.split_at(after + at),
        _ => (url, "/"),
    }
}

/// Where a redirect leads; `None` when it would give up TLS.
fn follow(url: &str, location: &str) -> Option<String> {
    let secure = |url: &str| url.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("https:"));
    let next = join(url, location);
    (!secure(url) || secure(&next)).then_some(next)
}

/// A location as a whole URL.
fn join(url: &str, location: &str) -> String {
    let location = location.split('#').next().unwrap_or_default();
    let (base, target) = split(url);
    if location.contains("://") {
        return location.to_owned();
    }
    if let Some(rest) = location.strip_prefix("//") {
        let scheme = base.split("://").next().unwrap_or("https");
        return format!("{scheme}://{rest}");
    }
    if location.starts_with('/') {
        return format!("{base}{location}");
    }
    let path = target.split('?').next().unwrap_or_default();
    let folder = path.rfind('/').map_or("/", |at| &path[..=at]);
    format!("{base}{folder}{location}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scripted::{Answer, Scripted};

    #[test]
    fn redirects_lead_somewhere() {
        let url = "https://a/x/y?q=1";
        for (location, expected) in [
            ("http://b/z", "http://b/z"),
            ("/z", "https://a/z"),
            ("z?p#f", "https://a/x/z?p"),
            ("//b/z", "https://b/z"),
        ] {
            assert_eq!(join(url, location), expected);
        }
        for (url, location, followed) in [
            ("https://a/x", "http://a/x", false),
            ("https://a/x", "ftp://a/x", false),
            ("HTTPS://a/x", "http://b/y", false),
            ("https://a/x", "/y", true),
            ("https://a/x", "//b/y", true),
            ("http://a/x", "https://b/y", true),
            ("http://a/x", "http://b/y", true),
        ] {
            assert_eq!(follow(url, location).is_some(), followed, "{url} to {location}");
        }
        assert_eq!(split("http://a:1"), ("http://a:1", "/"));
    }

    async fn all(url: &str, resume: &Resume) -> Result<(u64, String), HttpError> {
        let mut download = open(url, &Tls::default(), resume).await?;
        let mut text = String::new();
        while let Some(piece) = download.next().await? {
            text.push_str(&String::from_utf8_lossy(&piece));
        }
        Ok((download.from, text))
    }

    #[tokio::test]
    async fn redirects_are_followed_to_a_bound() {
        let server = Scripted::start(|request| match request {
            _ if request.starts_with("GET /a ") => Answer::json(302, "").header("Location", "b"),
            _ if request.starts_with("GET /b ") => Answer::json(200, "here"),
            _ => Answer::json(302, "").header("Location", "/round"),
        });
        let url = |path: &str| format!("http://{}/{path}", server.address());
        assert_eq!(all(&url("a"), &Resume::default()).await.unwrap(), (0, "here".to_owned()));
        let error = all(&url("round?token=secret"), &Resume::default()).await.unwrap_err();
        assert!(error.to_string().contains("more than 10 redirects"), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn goes_on_where_it_was_cut() {
        let server = Scripted::start(|request| match request.to_lowercase() {
            request
                if request.contains("range: bytes=3-") && request.contains("if-range: \"t\"") =>
            {
                Answer::json(206, "def").header("Content-Range", "bytes 3-5/6")
            }
            _ => Answer::json(200, "abcdef").header("ETag", "\"t\""),
        });
        let url = format!("http://{}/f", server.address());
        let resume = Resume { from: 3, tag: Some("\"t\"".into()) };
        assert_eq!(all(&url, &resume).await.unwrap(), (3, "def".to_owned()));
        let other = Resume { from: 3, tag: Some("\"u\"".into()) };
        assert_eq!(all(&url, &other).await.unwrap(), (0, "abcdef".to_owned()));
    }
}
