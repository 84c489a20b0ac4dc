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
