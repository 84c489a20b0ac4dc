//! Operations and segments: there and back, torn, and damaged.

use proptest::prelude::*;

use super::samples::{KINDS, Seed, sample};
use super::*;
use crate::types::Permission;

fn encoded(op: &EditOp, txid: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(op, txid, &mut bytes).expect("fits");
    bytes
}

/// A segment from transaction 1 on.
fn segment(ops: &[EditOp]) -> Vec<u8> {
    let mut bytes = HEADER.to_vec();
    for (txid, op) in (1..).zip(ops) {
        encode(op, txid, &mut bytes).expect("fits");
    }
    bytes
}

fn read(bytes: &[u8], kind: SegmentKind) -> Result<(Vec<EditOp>, u64), SegmentError> {
    let mut reader = SegmentReader::open(bytes, kind, 1)?;
    let mut ops = Vec::new();
    while let Some((txid, op)) = reader.next_op()? {
        ops.push(op);
        assert_eq!(txid, ops.len() as u64);
    }
    Ok((ops, reader.good_length()))
}

fn mkdir(path: &str) -> EditOp {
    EditOp::Mkdir {
        inode_id: 16386,
        path: path.into(),
        timestamp: 1_795_216_824_900,
        permission: Permission { user: "root".into(), group: "supergroup".into(), mode: 0o755 },
        acl: vec![],
        xattrs: vec![],
    }
}

#[test]
fn a_namenodes_first_bytes_are_ours() {
    let mut bytes = HEADER.to_vec();
    bytes.extend(encoded(&EditOp::StartLogSegment, 1));
    assert_eq!(
        bytes,
        [
            0xff, 0xff, 0xff, 0xbd, 0, 0, 0, 0, 0x18, 0, 0, 0, 0x0c, 0, 0, 0, 0, 0, 0, 0, 1, 0x70,
            0x43, 0xf0, 0xb7
        ]
    );
}

#[test]
fn a_namenodes_mkdir_is_ours() {
    let hex = "030000003f0000000000000002000000000000400200022f64000001a1fb45da44000001a1fb45da44\
               04726f6f740a737570657267726f757001ed000000000088b5acaf";
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("hex"))
        .collect();
    let frame = segment::frame(&bytes).expect("a good frame");
    let op = decode::decode(frame.opcode, frame.body, LAYOUT).expect("a good body");
    let EditOp::Mkdir { inode_id, ref path, ref permission, .. } = op else { panic!("{op:?}") };
    assert_eq!((inode_id, path.as_str(), permission.mode), (16386, "/d", 0o755));
    assert_eq!(encoded(&op, 2), bytes);
}

#[test]
fn every_kind_of_operation_comes_back() {
    let mut kinds = 0;
    for opcode in 0..=u8::MAX {
        for seed in 1..200_u64 {
            let Some(op) = sample(opcode, &mut Seed(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)))
            else {
                break;
            };
            kinds += usize::from(seed == 1);
            assert_eq!(code::of(&op), opcode);
            let bytes = encoded(&op, seed);
            let frame = segment::frame(&bytes).expect("a good frame");
            assert_eq!((frame.txid, frame.length), (seed, bytes.len()));
            assert_eq!(decode::decode(opcode, frame.body, LAYOUT), Ok(op));
        }
    }
    assert_eq!(kinds, KINDS);
}

#[test]
fn older_snapshot_operations_have_no_time() {
    let op = EditOp::AllowSnapshot { root: "/a".into() };
    let body = encoded(&op, 1)[13..17].to_vec();
    let mut older = [&body[..], &body[..]].concat();
    older.extend([0, 0, 0xff, 0xff, 0xff, 0xfe]);
    let create = EditOp::CreateSnapshot {
        root: "/a".into(),
        name: "/a".into(),
        mtime: 0,
        rpc: RpcIds::NONE,
    };
    assert_eq!(decode::decode(code::CREATE_SNAPSHOT, &older, -65), Ok(create));
    assert!(decode::decode(code::CREATE_SNAPSHOT, &older, -66).is_err());
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_written() {
    let mut bytes = vec![1, 2, 3];
    let op = EditOp::Delete { path: "x".repeat(70_000), timestamp: 0, rpc: RpcIds::NONE };
    let error = encode(&op, 1, &mut bytes).expect_err("65535 bytes at most");
    assert_eq!(error.length, 70_000);
    assert_eq!(bytes, [1, 2, 3]);
}

#[test]
fn filler_is_the_end() {
    let ops = [EditOp::StartLogSegment, mkdir("/a")];
    let mut bytes = segment(&ops);
    let length = bytes.len() as u64;
    for filler in [0xff, 0] {
        bytes.resize(length as usize, 0);
        bytes.resize(4096, filler);
        for kind in [SegmentKind::Finalized, SegmentKind::InProgress] {
            assert_eq!(read(&bytes, kind), Ok((ops.to_vec(), length)));
        }
    }
}

#[test]
fn a_segment_that_was_never_begun_is_empty() {
    for bytes in [&[][..], &[0xff; 1000], &HEADER, &[0; 1000], &HEADER[..3]] {
        let (ops, length) = read(bytes, SegmentKind::InProgress).expect("no operations");
        assert!(ops.is_empty() && length <= 8);
    }
    for written in 0..8 {
        let mut bytes = HEADER.to_vec();
        bytes[written..].fill(FILLER);
        bytes.resize(1000, FILLER);
        assert_eq!(read(&bytes, SegmentKind::InProgress), Ok((vec![], 0)));
    }
    assert!(read(&HEADER[..3], SegmentKind::Finalized).is_err());
}

#[test]
fn other_layouts_are_refused_by_name() {
    let mut bytes = segment(&[EditOp::StartLogSegment]);
    for (byte, layout) in [(0xbc, -68), (0xc0, -64), (0x3d, -195)] {
        bytes[3] = byte;
        assert_eq!(read(&bytes, SegmentKind::Finalized), Err(SegmentError::Layout { layout }));
    }
    bytes[3] = 0xbf;
    assert!(read(&bytes, SegmentKind::Finalized).is_ok());
}

#[test]
fn a_gap_in_transactions_is_damage() {
    let mut bytes = segment(&[EditOp::StartLogSegment]);
    encode(&mkdir("/a"), 3, &mut bytes).expect("fits");
    for kind in [SegmentKind::Finalized, SegmentKind::InProgress] {
        let error = read(&bytes, kind).expect_err("transaction 2 is missing");
        assert!(error.to_string().contains("byte 25, where transaction 2 should be"), "{error}");
    }
}

/// Synced operations, then a batch of which only a part reached the disk.
fn history() -> (Vec<EditOp>, usize, Vec<u8>) {
    let mut ops = vec![EditOp::StartLogSegment];
    ops.extend((0..30).map(|number| mkdir(&format!("/directory-{number}"))));
    let synced = segment(&ops[..10]).len();
    let mut bytes = segment(&ops);
    bytes.resize(8192, FILLER);
    (ops, synced, bytes)
}

#[test]
fn a_batch_torn_at_any_byte_is_cut_to_whole_operations() {
    let (ops, synced, bytes) = history();
    for torn in synced..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[torn..].fill(FILLER);
        let (found, length) = read(&bytes, SegmentKind::InProgress).expect("torn is not damaged");
        assert!(found.len() >= 10, "lost a synced operation when torn at {torn}");
        assert_eq!(found, ops[..found.len()]);
        assert_eq!(length as usize, segment(&found).len());
    }
}

#[test]
fn a_batch_that_misses_any_sectors_is_cut_to_whole_operations() {
    let (ops, synced, whole) = history();
    let first = synced / 512;
    let last = segment(&ops).len().div_ceil(512);
    for missing in 0..1_u32 << (last - first) {
        let mut bytes = whole.clone();
        for sector in (first..last).filter(|sector| missing >> (sector - first) & 1 == 1) {
            let start = (sector * 512).max(synced);
            bytes[start..(sector + 1) * 512].fill(FILLER);
        }
        let (found, _) = read(&bytes, SegmentKind::InProgress).expect("torn is not damaged");
        assert!(found.len() >= 10 && found == ops[..found.len()], "{missing:b}");
    }
}

#[test]
fn a_flipped_byte_anywhere_is_damage() {
    let (ops, _, whole) = history();
    let length = segment(&ops).len();
    for at in 0..length {
        for mask in [0x01, 0x10, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            for kind in [SegmentKind::InProgress, SegmentKind::Finalized] {
                match read(&bytes, kind) {
                    Err(_) => {}
                    // Only a layout of which these operations are the same.
                    Ok((found, _)) => assert!(at == 3 && found == ops, "byte {at} mask {mask:x}"),
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn any_body_is_read_without_panic(
        opcode in 0..60_u8,
        body in proptest::collection::vec(any::<u8>(), 0..200),
        layout in -67..-64,
    ) {
        if let Ok(op) = decode::decode(opcode, &body, layout) {
            let bytes = encoded(&op, 7);
            let frame = segment::frame(&bytes).expect("a good frame");
            prop_assert_eq!(decode::decode(opcode, frame.body, LAYOUT), Ok(op));
        }
    }

    #[test]
    fn any_segment_is_read_without_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        txid: u64,
        headed: bool,
    ) {
        let bytes = if headed { [&HEADER[..], &bytes].concat() } else { bytes };
        for kind in [SegmentKind::Finalized, SegmentKind::InProgress] {
            if let Ok(mut reader) = SegmentReader::open(&bytes, kind, txid) {
                while let Ok(Some(_)) = reader.next_op() {}
            }
        }
    }

    #[test]
    fn a_damaged_body_is_read_without_panic(
        opcode in 0..=52_u8,
        seed in 1..u64::MAX,
        at: prop::sample::Index,
        byte: u8,
    ) {
        if let Some(op) = sample(opcode, &mut Seed(seed)) {
            let mut bytes = encoded(&op, 1);
            let body = bytes.len() - 4;
            if body > 13 {
                let at = 13 + at.index(body - 13);
                bytes[at] = byte;
                let _ = decode::decode(opcode, &bytes[13..body], LAYOUT);
            }
        }
    }
}
