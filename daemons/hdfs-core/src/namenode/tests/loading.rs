//! Images: what comes back, what is refused.

use super::*;

#[test]
fn an_image_continues_where_it_was_saved() {
    let mut lab = Lab::new();
    lab.file("/a/f", &[MIB, 5]);
    lab.create("/a/open", "cl", CREATE).unwrap();
    lab.write_block("/a/open", "cl", None, 9).unwrap();
    lab.set_quota("/a", 10, 100 * MIB as i64).unwrap();
    let reloaded = lab.reloaded();
    assert_eq!(reloaded.digest(), lab.node.digest());
    assert_eq!(reloaded.last_txid(), lab.node.last_txid());
    let mut other = Lab::around(reloaded);
    let id = other.create("/a/next", "cl", CREATE).unwrap();
    assert_eq!(id, lab.create("/a/next", "cl", CREATE).unwrap());
    assert_eq!(other.stat("/a/f").unwrap().unwrap().length, MIB + 5);
}

#[test]
fn a_damaged_image_is_refused_not_believed() {
    let mut lab = Lab::new();
    lab.file("/a/f", &[MIB, 5]);
    lab.mkdirs("/b/c", 0o755).unwrap();
    let (image, _) = lab.node.save(lab.node.last_txid(), Vec::new()).unwrap();
    for at in 0..image.len() {
        let mut damaged = image.clone();
        damaged[at] ^= 0x15;
        // Any answer but a panic: the checksum beside the image finds what content does not show.
        if let Ok(reader) = ImageReader::open(&damaged) {
            drop(Namenode::load(config(), &reader));
        }
    }
}

#[test]
fn a_log_out_of_order_is_refused() {
    let mut lab = Lab::new();
    lab.mkdirs("/a", 0o755).unwrap();
    let ops = lab.ops();
    let mut node = Namenode::new(config(), START);
    let error = node.replay(2, &ops[0].1).unwrap_err();
    assert_eq!(error.to_string(), "transaction 2 cannot be replayed: 1 was expected");
    node.replay(1, &ops[0].1).unwrap();
    let error = node.replay(2, &ops[0].1).unwrap_err();
    assert_eq!(error.reason, "/a already exists");
    let missing = EditOp::SetPermissions { path: "/x".into(), mode: 0 };
    assert!(node.replay(2, &missing).is_err());
    assert_eq!(node.last_txid(), 1);
}

/// A name folder that Java wrote: a tree made by a small program, saved as an image, then more of
/// the same in a segment that was cut off by a kill. See tests/golden.
mod java {
    use super::*;

    macro_rules! golden {
        ($name:literal) => {
            include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../tests/golden/java-name/current/",
                $name
            ))
        };
    }

    const EMPTY: &[u8] = golden!("fsimage_0000000000000000000");
    const IMAGE: &[u8] = golden!("fsimage_0000000000000000120");
    const FIRST: &[u8] = golden!("edits_0000000000000000001-0000000000000000120");
    const SECOND: &[u8] = golden!("edits_inprogress_0000000000000000121");

    fn load(image: &[u8]) -> Namenode {
        Namenode::load(config(), &ImageReader::open(image).unwrap()).unwrap()
    }

    fn replay(node: &mut Namenode, segment: &[u8], kind: SegmentKind) {
        let first = node.last_txid() + 1;
        let mut reader = SegmentReader::open(segment, kind, first).unwrap();
        while let Some((txid, op)) = reader.next_op().unwrap() {
            node.replay(txid, &op).unwrap_or_else(|error| panic!("{error}: {op:?}"));
        }
    }

    /// What Java's own program says of the whole tree, line by line.
    fn listing(node: &Namenode) -> Vec<String> {
        let mut lines = Vec::new();
        let mut pending = vec![crate::namenode::tree::ROOT];
        while let Some(slot) = pending.pop() {
            let status = node.status(slot, node.tree.name(slot));
            let blocks = node.records(slot);
            let (path, acl) = (node.tree.path(slot), node.tree.acl(slot));
            lines
                .push(format!("{path} {status:?} {blocks:?} {acl:?} {:?}", node.tree.xattrs(slot)));
            pending.extend(
                node.tree
                    .children(slot)
                    .into_iter()
                    .flat_map(crate::namenode::tree::Children::iter),
            );
        }
        lines
    }

    #[test]
    fn replaying_its_log_gives_its_image() {
        let mut node = load(EMPTY);
        replay(&mut node, FIRST, SegmentKind::Finalized);
        let image = load(IMAGE);
        assert_eq!(node.last_txid(), 120);
        for (replayed, loaded) in listing(&node).iter().zip(listing(&image)) {
            assert_eq!(*replayed, loaded);
        }
        assert_eq!(node.digest(), image.digest());
        assert!(node.tree.len() > 20);
    }

    #[test]
    fn its_torn_tail_is_replayed_and_saved() {
        let mut node = load(IMAGE);
        replay(&mut node, SECOND, SegmentKind::InProgress);
        assert!(node.last_txid() > 200);
        let (image, _) = node.save(node.last_txid(), Vec::new()).unwrap();
        assert_eq!(load(&image).digest(), node.digest());
    }

    #[test]
    fn an_image_of_its_namespace_is_written_alike() {
        let mut node = load(IMAGE);
        node.config.identity.namespace_id = 929_563_434;
        let (image, _) = node.save(120, Vec::new()).unwrap();
        // Java numbers an empty user and an empty group too, which nothing refers to.
        const EMPTY_NAMES: usize = 2 * 9;
        assert_eq!(image.len() + EMPTY_NAMES, IMAGE.len());
    }
}
