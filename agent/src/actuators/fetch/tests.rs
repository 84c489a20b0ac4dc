//! Components that come, stay, are replaced, and are refused.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::*;
use crate::config::Checksum;
use crate::scripted::{Answer, Scripted};

fn checksum(bytes: &[u8]) -> Checksum {
    let mut hasher = Hasher::like(&Checksum::Sha256(String::new()));
    hasher.eat(bytes);
    hasher.finish()
}

fn component(url: String, bytes: &[u8], to: &Path) -> Fetch {
    Fetch {
        name: "c".to_owned(),
        unpack: url.ends_with(".tgz"),
        url,
        checksum: checksum(bytes),
        to: to.to_owned(),
        strip: 0,
        mode: 0o755,
        ca_file: None,
    }
}

fn tgz(name: &str, text: &str) -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    let mut header = tar::Header::new_gnu();
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

async fn get(fetch: &Fetch) -> Result<Fetched, String> {
    super::fetch(fetch, &Arc::default()).await
}

/// What is beside the component, but for the folder it is made ready in.
fn beside(folder: &Path) -> usize {
    let work = fs::read_dir(folder.join(".c.fetch")).unwrap();
    let left: Vec<_> = work.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["lock"], "nothing half done is left");
    fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_file_comes_and_stays() {
    let server = Scripted::start(|_| Answer::json(200, "tool"));
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("deep/c");
    let url = format!("http://{}/c", server.address());
    let fetch = component(url.clone(), b"tool", &to);
    assert_eq!(get(&fetch).await, Ok(Fetched::Placed));
    assert_eq!(fs::read(&to).unwrap(), b"tool");
    assert_eq!(fs::metadata(&to).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(get(&fetch).await, Ok(Fetched::Kept));
    assert_eq!(server.requests().len(), 1, "it is not asked for again");

    let wrong = component(format!("{url}?token=x"), b"other", &to);
    let told = get(&wrong).await.unwrap_err();
    let (expected, actual) = (checksum(b"other").to_string(), checksum(b"tool").to_string());
    assert!(told.contains(&expected) && told.contains(&actual), "{told}");
    assert!(!told.contains("token"), "{told}");
    assert_eq!(fs::read(&to).unwrap(), b"tool", "nothing has changed");
    assert_eq!(beside(&root.path().join("deep")), 3);

    // Somebody's damage is mended, since the place is howdah's.
    fs::write(&to, "damaged").unwrap();
    assert_eq!(get(&fetch).await, Ok(Fetched::Placed));
    assert_eq!(fs::read(&to).unwrap(), b"tool");
}

#[tokio::test]
async fn a_folder_is_replaced_whole() {
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("c");
    let put = |text: &str| {
        let (bytes, source) = (tgz("d/x", text), root.path().join(format!("{text}.tgz")));
        fs::write(&source, &bytes).unwrap();
        component(format!("file://{}", source.display()), &bytes, &to)
    };
    let (first, second) = (put("1"), put("2"));
    assert_eq!(get(&first).await, Ok(Fetched::Placed));
    assert_eq!(fs::read(to.join("d/x")).unwrap(), b"1");
    fs::write(to.join("extra"), "").unwrap();
    assert_eq!(get(&first).await, Ok(Fetched::Kept));
    assert_eq!(get(&second).await, Ok(Fetched::Placed));
    assert_eq!(fs::read(to.join("d/x")).unwrap(), b"2");
    assert!(!to.join("extra").exists());
    let stripped = Fetch { strip: 1, ..second.clone() };
    assert_eq!(get(&stripped).await, Ok(Fetched::Placed), "another form of the same");
    assert_eq!(fs::read(to.join("x")).unwrap(), b"2");

    let escaping = tgz_with_a_link();
    let source = root.path().join("bad.tgz");
    fs::write(&source, &escaping).unwrap();
    let bad = component(format!("file://{}", source.display()), &escaping, &to);
    let told = get(&bad).await.unwrap_err();
    assert!(told.contains("leaves the folder"), "{told}");
    assert_eq!(fs::read(to.join("x")).unwrap(), b"2", "nothing has changed");
    beside(root.path());
}

fn tgz_with_a_link() -> Vec<u8> {
    let encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(encoder);
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    header.set_mode(0o777);
    tar.append_link(&mut header, "out", "/etc").unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

#[tokio::test]
async fn what_is_not_howdahs_stays() {
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("c");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("somebody's"), "").unwrap();
    let folder = component("http://127.0.0.1:1/a.tgz".to_owned(), b"", &to);
    let told = get(&folder).await.unwrap_err();
    assert!(told.contains("was not put there by howdah"), "{told}");
    let file = component("http://127.0.0.1:1/a".to_owned(), b"", &to.join("somebody's"));
    let file = Fetch { checksum: checksum(b"other"), ..file };
    assert!(get(&file).await.unwrap_err().contains("was not put there by howdah"));
    assert!(to.join("somebody's").exists());
}

/// A connection that is cut goes on, with the same file only.
#[tokio::test]
async fn a_cut_download_goes_on() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"v\"\r\n\r\nabc";
    let server = Scripted::start(move |request| match request.to_lowercase().contains("range:") {
        true => Answer::json(206, "def").header("Content-Range", "bytes 3-5/6"),
        false => Answer::raw(cut),
    });
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("c");
    let fetch = component(format!("http://{}/c", server.address()), b"abcdef", &to);
    assert_eq!(get(&fetch).await, Ok(Fetched::Placed));
    assert_eq!(fs::read(&to).unwrap(), b"abcdef");
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    let second = requests[1].to_lowercase();
    assert!(second.contains("range: bytes=3-") && second.contains("if-range: \"v\""), "{second}");
}

/// One that changed meanwhile is taken from its beginning.
#[tokio::test]
async fn a_changed_download_starts_over() {
    let cut = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nETag: \"v\"\r\n\r\nabc";
    let server = Scripted::start(move |request| match request.to_lowercase().contains("range:") {
        true => Answer::json(200, "newer"),
        false => Answer::raw(cut),
    });
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("c");
    let fetch = component(format!("http://{}/c", server.address()), b"newer", &to);
    assert_eq!(get(&fetch).await, Ok(Fetched::Placed));
    assert_eq!(fs::read(&to).unwrap(), b"newer");
}

/// What an agent that was killed had half done is no use, and in nobody's way.
#[tokio::test]
async fn what_was_half_done_is_done_again() {
    let root = tempfile::tempdir().unwrap();
    let (to, bytes) = (root.path().join("c"), tgz("x", "1"));
    let source = root.path().join("s.tgz");
    fs::write(&source, &bytes).unwrap();
    let work = root.path().join(".c.fetch");
    fs::create_dir_all(work.join("tree/half")).unwrap();
    fs::write(work.join("part"), "half").unwrap();
    fs::write(work.join("lock"), "1\n").unwrap();
    let fetch = component(format!("file://{}", source.display()), &bytes, &to);
    assert_eq!(get(&fetch).await, Ok(Fetched::Placed));
    assert_eq!(fs::read(to.join("x")).unwrap(), b"1");
    assert!(!to.join("half").exists());
    beside(root.path());
}

/// Two agents of a host may ask for the same one: it comes once.
#[tokio::test]
async fn two_at_once() {
    let server = Scripted::start(|_| Answer::json(200, "tool").after(Duration::from_millis(50)));
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("c");
    let fetch = component(format!("http://{}/c", server.address()), b"tool", &to);
    let (one, two) = tokio::join!(get(&fetch), get(&fetch));
    let mut done = [one.unwrap(), two.unwrap()];
    done.sort_by_key(|done| *done == Fetched::Placed);
    assert_eq!(done, [Fetched::Kept, Fetched::Placed]);
    assert_eq!(server.requests().len(), 1);
}

#[tokio::test]
async fn a_server_that_refuses_is_named_once() {
    let server = Scripted::start(|_| Answer::json(404, "no"));
    let root = tempfile::tempdir().unwrap();
    let to = root.path().join("c");
    let fetch = component(format!("http://{}/c?key=s3", server.address()), b"", &to);
    let told = get(&fetch).await.unwrap_err();
    assert!(told.contains("404") && told.contains("/c") && !told.contains("s3"), "{told}");
    assert_eq!(server.requests().len(), 1);
    assert!(!to.exists());
}
