//! Where the bytes of one packet go in a replica, given what is on disk already. Pure arithmetic:
//! nothing here touches the bytes.
//!
//! A packet may bring bytes that are on disk already (a client sends a partial chunk again with
//! the bytes that complete it, and everything unacknowledged again after a recovery). Those are
//! never written twice. The checksums of a packet run from its first byte in chunks; they fit the
//! meta file only if the packet starts on a chunk boundary, otherwise (the first packet of an
//! append) they are checked and then computed anew over old and new bytes.

/// What to do with a data packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// All its bytes are on disk: acknowledge, write nothing.
    Known,
    /// Write a part of it.
    Write(Write),
    /// It starts after the end of the replica: bytes in between are missing.
    Gap,
}

/// The part of a packet that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Write {
    /// Bytes at the packet's start that are on disk already.
    pub skip: usize,
    /// The chunk (by number in the block) whose checksum is the first to be written.
    pub chunk: u64,
    /// The packet's checksums before that one, not needed; none if they must be computed anew.
    pub checksums_skip: Option<usize>,
}

/// Places a packet of `length` bytes at `start` in a replica with `on_disk` bytes and chunks of
/// `chunk_size` bytes. A chunk size of 0 (no checksums) never asks for a new computation.
pub fn place(start: u64, length: usize, on_disk: u64, chunk_size: u32) -> Placement {
    if start > on_disk {
        return Placement::Gap;
    }
    if start.saturating_add(length as u64) <= on_disk {
        return Placement::Known;
    }
    // `start + length > on_disk >= start`, so the difference is below `length`.
    let skip = usize::try_from(on_disk - start).unwrap_or(length);
    if chunk_size == 0 {
        return Placement::Write(Write { skip, chunk: 0, checksums_skip: Some(0) });
    }
    let size = u64::from(chunk_size);
    let chunk = on_disk / size;
    let checksums_skip = start
        .is_multiple_of(size)
        .then(|| usize::try_from(chunk - start / size).unwrap_or(usize::MAX));
    Placement::Write(Write { skip, chunk, checksums_skip })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_cases_of_a_client() {
        let write =
            |skip, chunk, checksums_skip| Placement::Write(Write { skip, chunk, checksums_skip });
        // A stream from the start.
        assert_eq!(place(0, 700, 0, 512), write(0, 0, Some(0)));
        // hflush inside a chunk, then the chunk again with more bytes.
        assert_eq!(place(512, 600, 700, 512), write(188, 1, Some(0)));
        assert_eq!(place(0, 2000, 700, 512), write(700, 1, Some(1)));
        // An append fills the last chunk first.
        assert_eq!(place(700, 324, 700, 512), write(0, 1, None));
        // Sent again after a recovery.
        assert_eq!(place(0, 700, 700, 512), Placement::Known);
        assert_eq!(place(1024, 10, 700, 512), Placement::Gap);
        assert_eq!(place(u64::MAX, usize::MAX, 700, 512), Placement::Gap);
    }

    proptest! {
        #[test]
        fn written_bytes_always_continue_the_replica(
            start in 0u64..5000, length in 0usize..5000, on_disk in 0u64..5000,
            chunk in prop::sample::select(vec![0u32, 1, 2, 100, 512]),
        ) {
            match place(start, length, on_disk, chunk) {
                Placement::Gap => prop_assert!(start > on_disk),
                Placement::Known => prop_assert!(start + length as u64 <= on_disk),
                Placement::Write(write) => {
                    prop_assert_eq!(start + write.skip as u64, on_disk);
                    prop_assert!(write.skip < length);
                    if let (Some(skip), true) = (write.checksums_skip, chunk > 0) {
                        let size = u64::from(chunk);
                        prop_assert_eq!(start / size + skip as u64, write.chunk);
                        prop_assert!(write.chunk * size <= on_disk);
                    }
                }
            }
        }
    }
}
