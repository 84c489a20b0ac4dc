//! What a file costs. Prints bytes per file; the bound is the target less what blocks may take.

use super::*;

/// Files in the test; enough that tables are past their small sizes.
const FILES: usize = 100_000;
/// Files per directory.
const DIRECTORY: usize = 1000;

#[test]
fn a_file_costs_few_bytes() {
    let mut lab = Lab::new();
    for index in 0..FILES {
        let path = format!("/data/d{:04}/part-{index:08}", index / DIRECTORY);
        let request = create_request(&path, "cl", CREATE);
        lab.durably(|node, caller| node.create(caller, &request)).unwrap();
        let last = lab.write_block(&path, "cl", None, 1).unwrap();
        assert!(lab.complete(&path, "cl", Some(last)).unwrap());
        lab.log.clear();
    }
    let [inodes, entries, names, lists] = lab.node.namespace_memory();
    let blocks = lab.node.blocks.bytes();
    let each = |bytes: usize| bytes as f64 / FILES as f64;
    println!(
        "bytes per file: inode and id {:.1}, entry {:.1}, name {:.1}, block lists {:.1}, block map \
         {:.1}",
        each(inodes),
        each(entries),
        each(names),
        each(lists),
        each(blocks)
    );
    assert!(each(inodes + entries + lists) < 66.0);
}
