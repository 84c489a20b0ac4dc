//! Where an open segment stops making sense: was it torn, or is it damaged?
//!
//! Operations reach the disk in batches, and only a whole batch is ever acknowledged. When the
//! power goes in the middle of one, some of its bytes are there and others still hold the filler
//! that was synced before. So the tail is torn only if bytes are visibly missing:
//!
//! - the last operation begins, and filler runs from somewhere inside it to the end of the file; or
//! - a whole disk sector inside the broken range still holds filler (sectors of one batch may reach
//!   the disk in any order, so good operations may follow).
//!
//! All other broken operations were written in full and are damage, even the last: they may have
//! been acknowledged, and cutting them would lose that in silence. The rules cannot be fooled by a
//! damaged byte, except one that turns the last byte of the last checksum into filler. They are too
//! strict in one place: an operation of which only the opcode is missing, the last byte of a sector
//! that was lost while the next one was not, is called damaged.

use super::segment::{FILLER, FRAME_LENGTH_MIN, frame, frame_length};

/// What a disk writes as a unit; larger units are multiples.
const SECTOR_LENGTH: usize = 512;

/// Filler between the start of the broken range and the end of its sector is evidence from this
/// many
/// bytes on: an opcode and a length never begin with two, but one may be a damaged opcode.
const HEAD_LENGTH_MIN: usize = 2;

/// So many zeros at the end are new room whose filler did not arrive; fewer may be an operation's.
const ZEROS_LENGTH_MIN: usize = 16;

/// `Ok` when the operation at `at` is torn; otherwise the damage, if more is known than that it
/// cannot be read.
pub(super) fn torn(bytes: &[u8], at: usize, txid: u64) -> Result<(), Option<&'static str>> {
    let zeros = bytes.iter().rev().take_while(|byte| **byte == 0).count();
    let end = bytes.len() - if zeros >= ZEROS_LENGTH_MIN { zeros } else { 0 };
    let written = bytes[..end].iter().rposition(|byte| *byte != FILLER).map_or(0, |last| last + 1);
    let written = written.max(at);
    let later = later_op(&bytes[..written], at, txid);
    if sector_is_missing(bytes, at, later.unwrap_or(written)) {
        return Ok(());
    }
    if later.is_some() {
        return Err(None);
    }
    match frame_length(&bytes[at..]) {
        // The length itself is torn: filler took its place.
        Err(_) if written < at + 5 => Ok(()),
        Err(_) => Err(None),
        Ok(length) if at + length + 5 <= written => Err(None),
        Ok(_) if is_whole_but_for_length(&bytes[at..], written - at) => {
            Err(Some("the length of an operation is wrong"))
        }
        Ok(_) => Ok(()),
    }
}

/// Where a good operation of a later transaction starts.
fn later_op(bytes: &[u8], at: usize, txid: u64) -> Option<usize> {
    let count_max = (bytes.len() - at) / FRAME_LENGTH_MIN + 1;
    let furthest = txid.saturating_add(count_max as u64);
    let starts = at + 1..bytes.len().saturating_sub(FRAME_LENGTH_MIN - 1).max(at + 1);
    starts.into_iter().find(|start| {
        let txid_field = bytes[start + 5..start + 13].try_into().expect("eight bytes");
        (txid..=furthest).contains(&u64::from_be_bytes(txid_field))
            && frame(&bytes[*start..]).is_ok()
    })
}

/// Whether a sector, or the part of one from `at` on, still holds filler.
fn sector_is_missing(bytes: &[u8], at: usize, end: usize) -> bool {
    let is_filler = |range: &[u8]| range.iter().all(|byte| *byte == FILLER);
    let first = at.next_multiple_of(SECTOR_LENGTH);
    let head = &bytes[at..first.min(end)];
    (head.len() >= HEAD_LENGTH_MIN && first <= end && is_filler(head))
        || (first..end).step_by(SECTOR_LENGTH).any(|start| {
            start + SECTOR_LENGTH <= end && is_filler(&bytes[start..][..SECTOR_LENGTH])
        })
}

/// Whether the bytes are a good operation with another length than they say. `written` bytes are
/// not filler; up to four more may belong to the checksum.
fn is_whole_but_for_length(bytes: &[u8], written: usize) -> bool {
    (written..=written + 4).filter(|length| *length >= FRAME_LENGTH_MIN).any(|length| {
        let Some(whole) = bytes.get(..length) else { return false };
        let mut whole = whole.to_vec();
        whole[1..5].copy_from_slice(&((length - 5) as u32).to_be_bytes());
        frame(&whole).is_ok()
    })
}
