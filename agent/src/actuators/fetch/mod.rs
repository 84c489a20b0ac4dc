//! Optional components: downloaded, checked, unpacked, and put in their place at once.
//!
//! Nothing at the place changes before the checksum was found right and everything is on the disk;
//! what is there already with the same checksum is kept. `digest`, `place` and `unpack` block, so
//! they run on a thread of their own, which looks at [`Progress`] whether it is still wanted.

mod digest;
mod place;
mod unpack;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::config::Fetch;
use crate::core::Backoff;
use crate::http::Tls;
use crate::http::download::{self, Resume};
use digest::Hasher;
use place::{Place, There};

/// Longest download.
const BYTES_MAX: u64 = 8 << 30;

/// Cuts of one download after which it counts as failed.
const CUTS_MAX: u32 = 8;

/// Pauses after a cut, in milliseconds.
const PAUSES_MS: (u64, u64) = (250, 10_000);

/// How often a long download is told of.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fetched {
    /// It was there.
    Kept,
    /// It is there now.
    Placed,
}

/// How far a fetch is, for others to read; and whether anybody wants it.
#[derive(Debug, Default)]
pub struct Progress {
    text: Mutex<String>,
    stopped: AtomicBool,
}

impl Progress {
    /// In words.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Nobody wants it any more.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn say(&self, text: String) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
}

/// Sees to it that a component is in its place.
///
/// # Errors
/// One line without a secret of the URL; nothing at the place has changed then.
pub async fn fetch(fetch: &Fetch, progress: &Arc<Progress>) -> Result<Fetched, String> {
    let place = Place::new(fetch)?;
    let (wanted, at, told) = (fetch.clone(), place.clone(), progress.clone());
    let locked = blocking(move || {
        if at.look(&wanted)? == There::Wanted {
            return Ok(None);
        }
        let lock = at.lock(&|| told.stopped())?;
        // Another agent may have put it there meanwhile.
        if at.look(&wanted)? == There::Wanted {
            return Ok(None);
        }
        at.clean().map(|()| Some(lock))
    });
    let Some(lock) = locked.await? else { return Ok(Fetched::Kept) };
    let found = match fetch.url.strip_prefix("file://") {
        Some(path) => copy(fetch, path.into(), &place, progress).await,
        None => download(fetch, &place, progress).await,
    };
    let (wanted, told) = (fetch.clone(), progress.clone());
    blocking(move || {
        let done = found.and_then(|()| put(&wanted, &place, &told));
        let cleaned = place.clean();
        drop(lock);
        done.and(cleaned)
    })
    .await?;
    Ok(Fetched::Placed)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(format!("the work broke off: {error}")),
    }
}

/// Unpacks, and swaps.
fn put(fetch: &Fetch, place: &Place, progress: &Progress) -> Result<(), String> {
    let failed =
        |error: std::io::Error| format!("cannot put it at {}: {error}", fetch.to.display());
    if !fetch.unpack {
        return place.put_file(fetch.mode).map_err(failed);
    }
    progress.say("is unpacked".to_owned());
    let tree = place.tree();
    std::fs::create_dir(&tree).map_err(failed)?;
    unpack::unpack(&place.part(), &tree, fetch.strip, &|| progress.stopped())?;
    place.put_folder().map_err(failed)
}

/// The download that is written, and its digest so far.
struct Part {
    file: File,
    path: PathBuf,
    hasher: Hasher,
    length: u64,
}

impl Part {
    fn new(fetch: &Fetch, place: &Place) -> Result<Self, String> {
        let path = place.part();
        let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(Self { file, path, hasher: Hasher::like(&fetch.checksum), length: 0 })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.length += bytes.len() as u64;
        if self.length > BYTES_MAX {
            return Err(format!("it is longer than {BYTES_MAX} bytes"));
        }
        self.hasher.eat(bytes);
        self.file.write_all(bytes).map_err(|error| format!("{}: {error}", self.path.display()))
    }

    fn check(self, fetch: &Fetch) -> Result<(), String> {
        let (expected, actual) = (&fetch.checksum, self.hasher.finish());
        if actual == *expected {
            return Ok(());
        }
        let (url, length) = (public(&fetch.url), self.length);
        Err(format!("{url} is {actual} ({length} bytes), not {expected}; nothing has changed"))
    }
}

async fn copy(
    fetch: &Fetch,
    source: PathBuf,
    place: &Place,
    progress: &Arc<Progress>,
) -> Result<(), String> {
    let (wanted, at, told) = (fetch.clone(), place.clone(), progress.clone());
    blocking(move || {
        let mut part = Part::new(&wanted, &at)?;
        let copied = digest::each_piece(&source, |bytes| {
            if told.stopped() {
                return Err(std::io::Error::other("nobody waits for it any more"));
            }
            part.write(bytes).map_err(std::io::Error::other)
        });
        copied.map_err(|error| format!("{}: {error}", source.display()))?;
        part.check(&wanted)
    })
    .await
}

async fn download(fetch: &Fetch, place: &Place, progress: &Progress) -> Result<(), String> {
    let tls = Tls { ca_file: fetch.ca_file.clone(), ..Tls::default() };
    let mut part = Part::new(fetch, place)?;
    let mut backoff = Backoff::new(PAUSES_MS.0, PAUSES_MS.1);
    let (mut tag, mut cuts) = (None, 0);
    loop {
        let resume = Resume { from: part.length, tag: tag.clone() };
        let stream = match download::open(&fetch.url, &tls, &resume).await {
            Ok(mut stream) => {
                if stream.from == 0 && part.length > 0 {
                    part = Part::new(fetch, place)?;
                }
                tag.clone_from(&stream.tag);
                receive(fetch, &mut stream, &mut part, progress).await
            }
            // The part that is there cannot be the beginning of what the server has now.
            Err(error) if error.status() == Some(416) => {
                part = Part::new(fetch, place)?;
                Err(Cut::Connection(error.to_string()))
            }
            Err(error) if error.is_outage() => Err(Cut::Connection(error.to_string())),
            Err(error) => return Err(error.to_string()),
        };
        match stream {
            Ok(()) => return part.check(fetch),
            Err(Cut::Disk(what)) => return Err(what),
            Err(Cut::Connection(what)) => {
                cuts += 1;
                if cuts > CUTS_MAX {
                    return Err(format!("{what} (cut {cuts} times, at {} bytes)", part.length));
                }
                let pause = backoff.pause();
                tracing::warn!(
                    component = fetch.name,
                    bytes = part.length,
                    pause,
                    "the download was cut and goes on: {what}"
                );
                tokio::time::sleep(Duration::from_millis(pause)).await;
            }
        }
    }
}

/// Why a stream ended early.
enum Cut {
    Connection(String),
    Disk(String),
}

async fn receive(
    fetch: &Fetch,
    stream: &mut download::Download,
    part: &mut Part,
    progress: &Progress,
) -> Result<(), Cut> {
    let mut told = Instant::now();
    let length = stream.length;
    let whole = length.map_or(String::new(), |length| format!(" of {}", megabytes(length)));
    while let Some(bytes) =
        stream.next().await.map_err(|error| Cut::Connection(error.to_string()))?
    {
        part.write(&bytes).map_err(Cut::Disk)?;
        let far = format!("{}{whole} MB", megabytes(part.length));
        if told.elapsed() > TELL_EVERY {
            told = Instant::now();
            tracing::info!(component = fetch.name, "is downloaded: {far}");
        }
        progress.say(far);
    }
    match length {
        Some(length) if part.length < length => {
            Err(Cut::Connection(format!("{} ends early", public(&fetch.url))))
        }
        _ => Ok(()),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.1}", bytes as f64 / 1e6)
}

/// A URL without its query, which may hold a secret.
pub fn public(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests;
