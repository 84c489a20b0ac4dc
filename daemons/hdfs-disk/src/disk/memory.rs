//! A disk in memory for tests, which remembers the order of everything, so that a test can ask what
//! would be found had the power gone at any point: synced bytes for sure, of the rest any part.
//!
//! A crash image is made by going through the events again: what a sync covered is there. Of what
//! no
//! sync covered, a seed decides: nothing, everything, everything up to some point (perhaps in the
//! middle of a write), or every sector as it was at some moment of its own. Names are kept or lost
//! one by one. The same seed gives the same image.

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
    locked: BTreeSet<String>,
}

/// A disk in memory, or a folder of one ([`MemoryDisk::folder`]) that shares its events.
#[derive(Debug, Clone, Default)]
pub struct MemoryDisk {
    label: String,
    /// The folder's path; empty for the whole disk.
    folder: String,
    state: Arc<Mutex<State>>,
}

impl MemoryDisk {
    /// An empty disk.
    pub fn new(label: &str) -> Self {
        Self { label: label.to_owned(), ..Self::default() }
    }

    /// A folder of this disk as a disk of its own. It is there at once, and after every crash.
    pub fn folder(&self, name: &str) -> Self {
        let mut state = self.state();
        state.start.folders.insert(name.to_owned());
        state.tree.folders.insert(name.to_owned());
        Self { label: name.to_owned(), folder: name.to_owned(), state: self.state.clone() }
    }

    /// The path on the whole disk.
    fn place(&self, path: &str) -> String {
        match (self.folder.as_str(), path) {
            ("", path) => path.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, path) => format!("{folder}/{path}"),
        }
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
        Self { state: Arc::new(Mutex::new(state)), ..self.clone() }
    }

    /// Changes bytes behind everybody's back.
    pub fn corrupt(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let node = state.tree.files[&self.place(path)];
        change(state.tree.bytes.get_mut(&node).expect("every file has bytes"));
        state.start = state.tree.clone();
        state.events.clear();
    }

    /// The paths of all files on the whole disk.
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

    fn is_there(&self, path: &str) -> bool {
        let tree = &self.state().tree;
        path.is_empty() || tree.files.contains_key(path) || tree.folders.contains(path)
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

    /// Forgets what no folder leads to.
    fn drop_unreachable(&mut self) {
        let folders = self.folders.clone();
        let is_reachable = |path: &str| {
            let mut folder = parent(path);
            while folders.contains(folder) {
                folder = parent(folder);
            }
            folder.is_empty()
        };
        self.files.retain(|path, _| is_reachable(path));
        self.folders.retain(|path| is_reachable(path));
        for node in self.files.values() {
            self.bytes.entry(*node).or_default();
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

    /// Decides about everything pending.
    fn end(mut self) -> Tree {
        let pending = std::mem::take(&mut self.pending);
        let mut contents: BTreeMap<Node, Vec<&Event>> = BTreeMap::new();
        let how = self.below(4);
        for event in &pending {
            if let Event::Write { node, .. } | Event::Length { node, .. } = event {
                contents.entry(*node).or_default().push(event);
            } else if how == 1 || (how > 1 && self.below(2) == 0) {
                self.tree.apply(event);
            }
        }
        for (node, events) in contents {
            match how {
                0 => {}
                1 => events.iter().for_each(|event| self.tree.apply(event)),
                2 => self.keep_prefix(&events),
                _ => self.keep_sectors(node, &events),
            }
        }
        self.tree.drop_unreachable();
        self.tree
    }

    /// Everything up to some event, of which a part may be there.
    fn keep_prefix(&mut self, events: &[&Event]) {
        let kept = self.below(events.len() as u64 + 1) as usize;
        events[..kept].iter().for_each(|event| self.tree.apply(event));
        if let Some(Event::Write { node, offset, bytes }) = events.get(kept) {
            let length = self.below(bytes.len() as u64 + 1) as usize;
            let bytes = bytes[..length].to_vec();
            self.tree.apply(&Event::Write { node: *node, offset: *offset, bytes });
        }
    }

    /// Every sector as it was after some event; the length likewise.
    fn keep_sectors(&mut self, node: Node, events: &[&Event]) {
        let mut moments = vec![self.tree.bytes.get(&node).cloned().unwrap_or_default()];
        for event in events {
            self.tree.apply(event);
            moments.push(self.tree.bytes[&node].clone());
        }
        let count = moments.len() as u64;
        let mut content = vec![0; moments[self.below(count) as usize].len()];
        for (at, sector) in content.chunks_mut(SECTOR_LENGTH).enumerate() {
            let moment = &moments[self.below(count) as usize];
            let start = (at * SECTOR_LENGTH).min(moment.len());
            let end = (start + sector.len()).min(moment.len());
            sector[..end - start].copy_from_slice(&moment[start..end]);
        }
        self.tree.bytes.insert(node, content);
    }
}

impl Disk for MemoryDisk {
    fn label(&self) -> &str {
        &self.label
    }

    fn create(&self, path: &str) -> io::Result<Box<dyn DiskFile>> {
        let path = &*self.place(path);
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
        let path = &*self.place(path);
        self.node(path).map(|node| self.file(node))
    }

    fn read(&self, path: &str, length_max: u64) -> io::Result<Vec<u8>> {
        let path = &*self.place(path);
        let node = self.node(path)?;
        let bytes = self.state().tree.bytes[&node].clone();
        if bytes.len() as u64 > length_max {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("{path} is too long")));
        }
        Ok(bytes)
    }

    fn list(&self, folder: &str) -> io::Result<Vec<Entry>> {
        let folder = &*self.place(folder);
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
        let path = &*self.place(path);
        Ok(self.is_there(path))
    }

    fn rename(&self, source: &str, target: &str) -> io::Result<()> {
        let (source, target) = (self.place(source), self.place(target));
        self.require_folder(&target)?;
        self.node(&source)?;
        self.change(Event::Rename { source, target })
    }

    fn remove_file(&self, path: &str) -> io::Result<()> {
        let path = &*self.place(path);
        self.node(path)?;
        self.change(Event::Remove { path: path.to_owned() })
    }

    fn remove_folder(&self, path: &str) -> io::Result<()> {
        let path = &*self.place(path);
        self.change(Event::Remove { path: path.to_owned() })
    }

    fn create_folder(&self, path: &str) -> io::Result<()> {
        let path = &*self.place(path);
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let path = &path[..end];
            if !self.is_there(path) {
                self.change(Event::Folder { path: path.to_owned() })?;
            }
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &str) -> io::Result<()> {
        let folder = &*self.place(folder);
        if !self.is_there(folder) {
            return Err(missing(folder));
        }
        self.change(Event::SyncFolder { path: folder.to_owned() })
    }

    fn lock(&self) -> io::Result<Box<dyn DiskLock>> {
        let mut state = self.state();
        if !state.locked.insert(self.label.clone()) {
            let message = format!("{} is locked", self.label);
            return Err(io::Error::new(io::ErrorKind::WouldBlock, message));
        }
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
        self.disk.state().locked.remove(&self.disk.label);
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
