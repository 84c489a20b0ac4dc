//! A disk in memory for tests, which remembers the order of everything, so that a test can ask what
//! would be found had the power gone at any point: synced bytes for sure, of the rest any part.
//!
//! A crash image is made by going through the events again: what a sync covered is there; what no
//! sync covered is there, not there, or there in part (a prefix, or any of a write's sectors), as a
//! seed decides. Names behave likewise. The same seed gives the same image.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::{Disk, DiskFile, DiskLock, Entry, parent};

/// Bytes that a crash keeps or loses together.
const SECTOR_LENGTH: usize = 512;

type Node = usize;

/// What happened, in order.
#[derive(Debug, Clone)]
enum Event {
    Create { path: String, node: Node },
    Folder { path: String },
    Rename { source: String, target: String },
    Remove { path: String },
    Write { node: Node, offset: usize, bytes: Vec<u8> },
    Length { node: Node, length: usize },
    SyncFile { node: Node },
    SyncFolder { path: String },
}

/// Files and names as they are at one moment.
#[derive(Debug, Clone, Default)]
struct Tree {
    files: BTreeMap<String, Node>,
    folders: BTreeSet<String>,
    bytes: BTreeMap<Node, Vec<u8>>,
}

#[derive(Debug, Default)]
struct State {
    start: Tree,
    tree: Tree,
    events: Vec<Event>,
    nodes: Node,
    /// The changing call with this number fails.
    fails_at: Option<usize>,
    /// Every changing call from there on fails.
    fails_from: Option<usize>,
    calls: usize,
    locked: bool,
}

/// A disk in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    label: String,
    state: Arc<Mutex<State>>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new(label: &str) -> Self {
        Self { label: label.to_owned(), state: Arc::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test thread panics with the disk in hand")
    }

    /// How many changes there were; a crash can come after any number of them.
    pub fn event_count(&self) -> usize {
        self.state().events.len()
    }

    /// How many changing calls there were; any of them can be made to fail.
    pub fn call_count(&self) -> usize {
        self.state().calls
    }

    /// Lets the changing call with this number (from 0) fail, and none after it.
    pub fn fail_at(&self, call: usize) {
        self.state().fails_at = Some(call);
    }

    /// Lets all changing calls from this number on fail.
    pub fn fail_from(&self, call: usize) {
        self.state().fails_from = Some(call);
    }

    /// What is found after a crash that followed the first `events` changes.
    pub fn crash(&self, events: usize, seed: u64) -> Self {
        let state = self.state();
        let mut crash = Crash { tree: state.start.clone(), pending: Vec::new(), seed: seed.max(1) };
        for event in &state.events[..events] {
            crash.pass(event);
        }
        let tree = crash.end();
        drop(state);
        let nodes = tree.bytes.keys().last().map_or(0, |node| node + 1);
        let state = State { start: tree.clone(), tree, nodes, ..State::default() };
        Self { label: self.label.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Changes bytes behind everybody's back.
    pub fn corrupt(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let node = state.tree.files[path];
        change(state.tree.bytes.get_mut(&node).expect("every file has bytes"));
        state.start = state.tree.clone();
        state.events.clear();
    }

    /// All files' paths.
    pub fn paths(&self) -> Vec<String> {
        self.state().tree.files.keys().cloned().collect()
    }

    fn change(&self, event: Event) -> io::Result<()> {
        let mut state = self.state();
        let call = state.calls;
        state.calls += 1;
        if state.fails_at == Some(call) || state.fails_from.is_some_and(|from| call >= from) {
            return Err(io::Error::other("the test's disk fails here"));
        }
        state.tree.apply(&event);
        state.events.push(event);
        Ok(())
    }

    fn node(&self, path: &str) -> io::Result<Node> {
        self.state().tree.files.get(path).copied().ok_or_else(|| missing(path))
    }

    fn require_folder(&self, path: &str) -> io::Result<()> {
        let folder = parent(path);
        if folder.is_empty() || self.state().tree.folders.contains(folder) {
            return Ok(());
        }
        Err(missing(folder))
    }

    fn file(&self, node: Node) -> Box<dyn DiskFile> {
        Box::new(MemoryFile { disk: self.clone(), node })
    }
}

fn missing(path: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{path} is not there"))
}

fn is_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

impl Tree {
    fn apply(&mut self, event: &Event) {
        match event {
            Event::Create { path, node } => {
                self.files.insert(path.clone(), *node);
                self.bytes.entry(*node).or_default();
            }
            Event::Folder { path } => {
                self.folders.insert(path.clone());
            }
            Event::Rename { source, target } => {
                if let Some(node) = self.files.remove(source) {
                    self.files.insert(target.clone(), node);
                }
            }
            Event::Remove { path } => {
                self.files.retain(|each, _| each != path && !is_below(each, path));
                self.folders.retain(|each| each != path && !is_below(each, path));
            }
            Event::Write { node, offset, bytes } => {
                let content = self.bytes.entry(*node).or_default();
                let end = offset + bytes.len();
                content.resize(content.len().max(end), 0);
                content[*offset..end].copy_from_slice(bytes);
            }
            Event::Length { node, length } => {
                self.bytes.entry(*node).or_default().resize(*length, 0);
            }
            Event::SyncFile { .. } | Event::SyncFolder { .. } => {}
        }
    }
}

/// Goes through the events up to a crash.
struct Crash {
    /// What is on disk for sure.
    tree: Tree,
    /// What may be on disk, in order.
    pending: Vec<Event>,
    seed: u64,
}

impl Crash {
    fn below(&mut self, bound: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed % bound
    }

    fn pass(&mut self, event: &Event) {
        let is_synced: Box<dyn Fn(&Event) -> bool> = match event {
            Event::SyncFile { node } => {
                let synced = *node;
                Box::new(move |event| match event {
                    Event::Write { node, .. } | Event::Length { node, .. } => *node == synced,
                    _ => false,
                })
            }
            Event::SyncFolder { path: folder } => Box::new(move |event| match event {
                Event::Create { path, .. } | Event::Folder { path } | Event::Remove { path } => {
                    parent(path) == folder
                }
                Event::Rename { source, target } => {
                    parent(source) == folder || parent(target) == folder
                }
                _ => false,
            }),
            other => return self.pending.push(other.clone()),
        };
        let (synced, pending): (Vec<_>, Vec<_>) =
            self.pending.drain(..).partition(|event| is_synced(event));
        self.pending = pending;
        synced.iter().for_each(|event| self.tree.apply(event));
    }

    /// Decides about everything pending: nothing, everything, a prefix, or any part of it.
    fn end(mut self) -> Tree {
        let pending = std::mem::take(&mut self.pending);
        let how = self.below(4);
        let kept = match how {
            0 => 0,
            1 => pending.len(),
            _ => self.below(pending.len() as u64 + 1) as usize,
        };
        for (at, event) in pending.iter().enumerate() {
            let keep = if how == 3 { self.below(2) == 0 } else { at < kept };
            if keep {
                self.tree.apply(event);
            } else if how >= 2 && (at == kept || how == 3) {
                self.tear(event);
            }
        }
        let Tree { files, folders, bytes } = &mut self.tree;
        let all = folders.clone();
        let reachable = |path: &str| {
            let mut folder = parent(path);
            while !folder.is_empty() {
                if !all.contains(folder) {
                    return false;
                }
                folder = parent(folder);
            }
            true
        };
        files.retain(|path, _| reachable(path));
        folders.retain(|path| reachable(path));
        for node in files.values() {
            bytes.entry(*node).or_default();
        }
        self.tree
    }

    /// Keeps a part of a write.
    fn tear(&mut self, event: &Event) {
        let Event::Write { node, offset, bytes } = event else { return };
        if self.below(2) == 0 {
            let length = self.below(bytes.len() as u64 + 1) as usize;
            let bytes = bytes[..length].to_vec();
            self.tree.apply(&Event::Write { node: *node, offset: *offset, bytes });
            return;
        }
        let mut start = 0;
        while start < bytes.len() {
            let sector_end = (offset + start + 1).next_multiple_of(SECTOR_LENGTH) - offset;
            let end = sector_end.min(bytes.len());
            if self.below(2) == 0 {
                let bytes = bytes[start..end].to_vec();
                self.tree.apply(&Event::Write { node: *node, offset: offset + start, bytes });
            }
            start = end;
        }
    }
}

impl Disk for MemoryDisk {
    fn label(&self) -> &str {
        &self.label
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.require_folder(path)?;
        if let Ok(node) = self.node(path) {
            self.change(Event::Length { node, length: 0 })?;
            return Ok(self.file(node));
        }
        let node = {
            let mut state = self.state();
            state.nodes += 1;
            state.nodes
        };
        self.change(Event::Create { path: path.to_owned(), node })?;
        Ok(self.file(node))
    }

    fn open(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        self.node(path).map(|node| self.file(node))
    }

    fn read(&self, path: &str, length_max: u64) -> io::Result<Vec<u8>> {
        let node = self.node(path)?;
        let bytes = self.state().tree.bytes[&node].clone();
        if bytes.len() as u64 > length_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} is too long")));
        }
        Ok(bytes)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let state = self.state();
        if !folder.is_empty() && !state.tree.folders.contains(folder) {
            return Err(missing(folder));
        }
        let name = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let inside = |path: &&String| parent(path) == folder;
        let folders = state.tree.folders.iter().filter(inside);
        let folders = folders.map(|path| Entry { name: name(path), length: 0, is_folder: true });
        let files = state.tree.files.iter().filter(|(path, _)| inside(path));
        let files = files.map(|(path, node)| Entry {
            name: name(path),
            length: state.tree.bytes[node].len() as u64,
            is_folder: false,
        });
        Ok(folders.chain(files).collect())
    }

    fn exists(&self, path: &str) -> io::Result<bool> {
        let state = self.state();
        Ok(path.is_empty()
            || state.tree.files.contains_key(path)
            || state.tree.folders.contains(path))
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        self.require_folder(target)?;
        self.node(source)?;
        self.change(Event::Rename { source: source.to_owned(), target: target.to_owned() })
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        self.node(path)?;
        self.change(Event::Remove { path: path.to_owned() })
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        self.change(Event::Remove { path: path.to_owned() })
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let path = &path[..end];
            if !self.exists(path)? {
                self.change(Event::Folder { path: path.to_owned() })?;
            }
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        if !self.exists(folder)? {
            return Err(missing(folder));
        }
        self.change(Event::SyncFolder { path: folder.to_owned() })
    }

    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        if state.locked {
            let message = format!("{} is locked", self.label);
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
        state.locked = true;
        drop(state);
        Ok(Box::new(MemoryLock { disk: self.clone() }))
    }
}

#[derive(Debug)]
struct MemoryLock {
    disk: MemoryDisk,
}

impl DiskLock for MemoryLock {}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.disk.state().locked = false;
    }
}

#[derive(Debug)]
struct MemoryFile {
    disk: MemoryDisk,
    node: Node,
}

impl DiskFile for MemoryFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state().tree.bytes[&self.node].len() as u64)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let (offset, bytes) = (offset as usize, bytes.to_vec());
        self.disk.change(Event::Write { node: self.node, offset, bytes })
    }

    fn read_at(&mut self, offset: u64, into: &mut [u8]) -> io::Result<()> {
        let state = self.disk.state();
        let bytes = &state.tree.bytes[&self.node];
        let range = bytes.get(offset as usize..).and_then(|rest| rest.get(..into.len()));
        into.copy_from_slice(range.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_length(&mut self, length: u64) -> io::Result<()> {
        self.disk.change(Event::Length { node: self.node, length: length as usize })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.change(Event::SyncFile { node: self.node })
    }
}
