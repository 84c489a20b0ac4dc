//! What a restart finds in a data folder: finishes moves that were cut, wipes copies in the making,
//! cuts replicas under construction to what their checksums prove, and lists the rest.

use std::collections::HashMap;
use std::io;

use hdfs_disk::disk::Disk;
use hdfs_disk::replica::ReplicaName;

use super::append;
use super::files::{self, Layout, Place};
use super::replica::{Replica, State, VolumeIndex};

/// The result of a scan.
#[derive(Debug, Default)]
pub struct Found {
    /// All replicas, FINALIZED or RWR.
    pub replicas: Vec<(i64, Replica)>,
    /// Bytes of their files.
    pub used: u64,
    /// What was odd, a line each, for the log.
    pub notes: Vec<String>,
}

/// The files of one block in one folder.
#[derive(Debug, Default, Clone)]
struct Pair {
    folder: String,
    data: Option<u64>,
    /// Stamp and length, the largest stamp first to be believed.
    meta: Option<(u64, u64)>,
}

/// By block id. A folder of finalized replicas is named in the pair, as one may lie in the wrong
/// one.
type Pairs = HashMap<i64, Pair>;

/// Scans one data folder.
///
/// # Errors
/// The disk's: then the folder cannot be used.
pub fn scan(disk: &dyn Disk, layout: &Layout, volume: VolumeIndex) -> io::Result<Found> {
    let mut found = Found::default();
    let mut finalized = Pairs::new();
    let root = &layout.paths().finalized;
    for first in folders(disk, root)? {
        for second in folders(disk, &first)? {
            list(disk, &second, &mut finalized, &mut found)?;
        }
    }
    let mut rbw = Pairs::new();
    list(disk, &layout.paths().rbw, &mut rbw, &mut found)?;
    let mut temporary = Pairs::new();
    list(disk, &layout.paths().tmp, &mut temporary, &mut found)?;

    finish_moves(disk, State::Finalized, &mut finalized, [&mut rbw, &mut temporary], layout)?;
    finish_moves(disk, State::Rbw, &mut rbw, [&mut finalized, &mut temporary], layout)?;
    wipe(disk, layout)?;
    for (id, pair) in finalized {
        keep_finalized(disk, layout, volume, id, &pair, &mut found)?;
    }
    for (id, pair) in rbw {
        keep_rbw(disk, layout, volume, id, &pair, &mut found)?;
    }
    Ok(found)
}

fn folders(disk: &dyn Disk, folder: &str) -> io::Result<Vec<String>> {
    let entries = disk.list(folder)?;
    let inner = entries.into_iter().filter(|entry| entry.is_folder);
    Ok(inner.map(|entry| format!("{folder}/{}", entry.name)).collect())
}

fn list(disk: &dyn Disk, folder: &str, into: &mut Pairs, found: &mut Found) -> io::Result<()> {
    for entry in disk.list(folder)? {
        match ReplicaName::parse(&entry.name) {
            Some(_) if entry.is_folder => {}
            Some(ReplicaName::Data { id }) => {
                let pair = into.entry(id).or_default();
                pair.folder.replace_range(.., folder);
                pair.data = Some(entry.length);
            }
            Some(ReplicaName::Meta { id, stamp }) => {
                let pair = into.entry(id).or_default();
                if pair.folder.is_empty() {
                    pair.folder.push_str(folder);
                }
                if let Some((other, _)) = pair.meta {
                    let less = other.min(stamp);
                    found.notes.push(format!("{folder}: blk_{id} has two meta files, {less} too"));
                }
                pair.meta = pair.meta.max(Some((stamp, entry.length)));
            }
            None => {}
        }
    }
    Ok(())
}

/// A meta file without its data file: the data is brought after it from where it lies without a
/// meta file.
fn finish_moves(
    disk: &dyn Disk,
    state: State,
    pairs: &mut Pairs,
    others: [&mut Pairs; 2],
    layout: &Layout,
) -> io::Result<()> {
    let [first, second] = others;
    for (id, pair) in pairs.iter_mut().filter(|(_, pair)| pair.data.is_none()) {
        let alone = |other: &mut Pairs| {
            let stranded = other.get(id).filter(|pair| pair.meta.is_none())?.clone();
            other.remove(id);
            Some(stranded)
        };
        let Some(stranded) = alone(first).or_else(|| alone(second)) else { continue };
        let source = format!("{}/blk_{id}", stranded.folder);
        disk.rename(&source, &format!("{}/blk_{id}", layout.folder(state, *id)))?;
        pair.data = stranded.data;
    }
    Ok(())
}

fn wipe(disk: &dyn Disk, layout: &Layout) -> io::Result<()> {
    let folder = &layout.paths().tmp;
    for entry in
        disk.list(folder)?.into_iter().filter(|entry| ReplicaName::parse(&entry.name).is_some())
    {
        disk.remove_file(&format!("{folder}/{}", entry.name))?;
    }
    Ok(())
}

/// A pair of files, or what to say about half a pair. A meta file alone is removed: nothing can be
/// read with it, and it would be in the way of a new copy.
fn whole(
    disk: &dyn Disk,
    id: i64,
    pair: &Pair,
    found: &mut Found,
) -> io::Result<Option<(u64, u64, u64)>> {
    match (pair.data, pair.meta) {
        (Some(data), Some((stamp, meta))) => return Ok(Some((data, stamp, meta))),
        (Some(_), None) => {
            found.notes.push(format!("{}/blk_{id}: no meta file, ignored", pair.folder));
        }
        (None, Some((stamp, _))) => {
            let path = format!("{}/blk_{id}_{stamp}.meta", pair.folder);
            found.notes.push(format!("{path}: no data file, removed"));
            disk.remove_file(&path)?;
        }
        (None, None) => {}
    }
    Ok(None)
}

fn keep_finalized(
    disk: &dyn Disk,
    layout: &Layout,
    volume: VolumeIndex,
    id: i64,
    pair: &Pair,
    found: &mut Found,
) -> io::Result<()> {
    let Some((data, stamp, meta)) = whole(disk, id, pair, found)? else { return Ok(()) };
    let right = layout.folder(State::Finalized, id);
    if pair.folder != right {
        found.notes.push(format!("{}/blk_{id}: moved to {right}", pair.folder));
        disk.create_folder(&right)?;
        for name in [format!("blk_{id}_{stamp}.meta"), format!("blk_{id}")] {
            disk.rename(&format!("{}/{name}", pair.folder), &format!("{right}/{name}"))?;
        }
    }
    found.used += data + meta;
    found.replicas.push((id, Replica::new(State::Finalized, stamp, data, volume)));
    Ok(())
}

fn keep_rbw(
    disk: &dyn Disk,
    layout: &Layout,
    volume: VolumeIndex,
    id: i64,
    pair: &Pair,
    found: &mut Found,
) -> io::Result<()> {
    let Some((data, stamp, meta)) = whole(disk, id, pair, found)? else { return Ok(()) };
    let place = Place { state: State::Rwr, id, stamp };
    let proven = files::open(disk, layout, place).and_then(|(mut files, _)| {
        let (length, checksum) = append::proven_length(&mut files)?;
        append::cut(&mut files, checksum, length)?;
        Ok(length)
    });
    let length = match proven {
        Ok(length) => length,
        // A meta file that was never written: nothing is proven, and nothing was acknowledged.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
            ) =>
        {
            found.notes.push(format!("{}/blk_{id}: {error}, no byte counts", pair.folder));
            0
        }
        Err(error) => return Err(error),
    };
    if length < data {
        found.notes.push(format!("{}/blk_{id}: {data} bytes cut to {length}", pair.folder));
    }
    found.used += length + meta;
    found.replicas.push((id, Replica::new(State::Rwr, stamp, length, volume)));
    Ok(())
}

/// Removes the losers of the duplicates rule. A loser may share its data folder with the winner
/// (one finalized, one under construction), never its path.
///
/// # Errors
/// The disk's.
pub fn discard(disk: &dyn Disk, layout: &Layout, id: i64, loser: &Replica) -> io::Result<()> {
    files::delete(disk, layout, Place { state: loser.place(), id, stamp: loser.stamp })
}
