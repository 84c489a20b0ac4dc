//! Names in one byte arena, addressed by 32-bit word offsets.
//!
//! Layout of one name, padded to whole 4-byte words: one length byte and the bytes; a length byte
//! of 255 is followed by the length as two little-endian bytes. A freed name's first word holds the
//! offset of the next free one of its size, so that freeing needs no memory.

/// Bytes per chunk. Chunks never move; a name never crosses a border.
const CHUNK: usize = 1 << 20;
const CHUNK_WORDS: u32 = (CHUNK / WORD) as u32;
const WORD: usize = 4;
const LONG: u8 = 255;

/// End of a free list.
const NONE: u32 = u32::MAX;

/// Longest name in bytes: what the edit log's string can carry.
pub(crate) const NAME_BYTES_MAX: usize = 65_535;

/// All names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    chunks: Vec<Vec<u8>>,
    /// First free offset for each size in words.
    free: Vec<u32>,
}

impl Names {
    /// The bytes of a name.
    pub(crate) fn get(&self, offset: u32) -> &[u8] {
        let chunk = &self.chunks[(offset / CHUNK_WORDS) as usize];
        let bytes = &chunk[(offset % CHUNK_WORDS) as usize * WORD..];
        match bytes[0] {
            LONG => &bytes[3..3 + usize::from(u16::from_le_bytes([bytes[1], bytes[2]]))],
            length => &bytes[1..1 + usize::from(length)],
        }
    }

    /// Stores a name of at most [`NAME_BYTES_MAX`] bytes (longer ones are cut).
    pub(crate) fn insert(&mut self, name: &[u8]) -> u32 {
        let name = &name[..name.len().min(NAME_BYTES_MAX)];
        let words = words_of(name.len());
        let offset = self.room(words);
        let start = (offset % CHUNK_WORDS) as usize * WORD;
        let chunk = &mut self.chunks[(offset / CHUNK_WORDS) as usize];
        let target = &mut chunk[start..start + words * WORD];
        let head = if name.len() < usize::from(LONG) {
            target[0] = name.len() as u8;
            1
        } else {
            let [low, high] = (name.len() as u16).to_le_bytes();
            target[..3].copy_from_slice(&[LONG, low, high]);
            3
        };
        target[head..head + name.len()].copy_from_slice(name);
        offset
    }

    pub(crate) fn remove(&mut self, offset: u32) {
        let words = words_of(self.get(offset).len());
        if self.free.len() <= words {
            self.free.resize(words + 1, NONE);
        }
        let next = std::mem::replace(&mut self.free[words], offset);
        self.word_mut(offset).copy_from_slice(&next.to_le_bytes());
    }

    fn word_mut(&mut self, offset: u32) -> &mut [u8] {
        let start = (offset % CHUNK_WORDS) as usize * WORD;
        &mut self.chunks[(offset / CHUNK_WORDS) as usize][start..start + WORD]
    }

    /// Room for so many words: a freed name of the same size, or the end of the last chunk.
    fn room(&mut self, words: usize) -> u32 {
        if let Some(&offset) = self.free.get(words).filter(|&&offset| offset != NONE) {
            let mut next = [0; WORD];
            next.copy_from_slice(self.word_mut(offset));
            self.free[words] = u32::from_le_bytes(next);
            return offset;
        }
        let bytes = words * WORD;
        if self.chunks.last().is_none_or(|chunk| chunk.len() + bytes > CHUNK) {
            // The first chunk grows by doubling, so that a small namespace stays small.
            let room = if self.chunks.is_empty() { 0 } else { CHUNK };
            self.chunks.push(Vec::with_capacity(room));
        }
        let index = self.chunks.len() - 1;
        let chunk = &mut self.chunks[index];
        let start = chunk.len();
        chunk.resize(start + bytes, 0);
        index as u32 * CHUNK_WORDS + (start / WORD) as u32
    }

    /// Bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.chunks.iter().map(Vec::capacity).sum::<usize>() + self.free.capacity() * 4
    }
}

fn words_of(length: usize) -> usize {
    let head = if length < usize::from(LONG) { 1 } else { 3 };
    (head + length).div_ceil(WORD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_length_come_back() {
        let mut names = Names::default();
        let lengths = [0, 1, 3, 4, 253, 254, 255, 256, 1000, NAME_BYTES_MAX];
        let texts: Vec<Vec<u8>> =
            lengths.iter().map(|&length| (0..length).map(|i| i as u8).collect()).collect();
        let offsets: Vec<_> = texts.iter().map(|text| names.insert(text)).collect();
        for (text, offset) in texts.iter().zip(offsets) {
            assert_eq!(names.get(offset), text);
        }
    }

    #[test]
    fn room_is_reused_by_size() {
        let mut names = Names::default();
        let first = names.insert(b"part-00001");
        let second = names.insert(b"part-00002");
        names.remove(first);
        names.remove(second);
        assert_eq!(names.insert(b"part-00003"), second);
        assert_eq!(names.insert(b"part-00004"), first);
        assert_eq!(names.get(second), b"part-00003");
    }

    #[test]
    fn names_do_not_cross_chunks() {
        let mut names = Names::default();
        let text = vec![b'x'; 60_000];
        let offsets: Vec<_> = (0..40).map(|_| names.insert(&text)).collect();
        assert!(names.chunks.len() > 1);
        assert!(offsets.iter().all(|&offset| names.get(offset) == text));
    }
}
