//! BLOCK_CHECKSUM: one checksum of a block from its stored chunk checksums, without reading the
//! data (but for a partial last chunk).

use std::io;
use std::os::unix::fs::FileExt;

use bytes::Bytes;
use hdfs_core::datanode::Block;
use hdfs_wire::checksum::{self, CHECKSUM_LEN, ChecksumKind};
use hdfs_wire::proto::hdfs::{
    BlockChecksumOptionsProto, BlockChecksumTypeProto, BlockOpResponseProto, ChecksumTypeProto,
    OpBlockChecksumProto, OpBlockChecksumResponseProto,
};
use hdfs_wire::transfer::{Status, write_delimited};
use md5::{Digest, Md5};

use super::read::refuse;
use super::{After, Connection, Transfers};
use crate::reading::Reading;

/// Checksums read at once.
const SUMS_AT_ONCE: u64 = 64 * 1024;

impl Transfers {
    /// Runs one BLOCK_CHECKSUM.
    pub(super) fn block_checksum(
        &self,
        connection: &Connection,
        op: &OpBlockChecksumProto,
    ) -> After {
        let options = op.block_checksum_options.unwrap_or_default();
        let answered = self.block(&op.header.block).and_then(|block| {
            let visible = self.store.visible_length(block)?;
            let length = if block.length == 0 { visible } else { block.length.min(visible) };
            let reading = self.store.open(block, length)?;
            let volume = reading.volume;
            answer(&reading, length.min(reading.length), options)
                .map_err(|error| self.store.io_fault(volume, "sum", block, &error))
        });
        let response = match answered {
            Ok(answer) => BlockOpResponseProto {
                status: Status::Success as i32,
                checksum_response: Some(answer),
                ..Default::default()
            },
            Err(fault) => {
                let block = Block::from(&op.header.block);
                tracing::info!(%block, %fault, "checksum refused");
                return refuse(connection, "blockChecksum", &self.store.pool, block, &fault);
            }
        };
        match write_delimited(&response, &mut &*connection.socket) {
            Ok(()) => After::Reuse { status: false },
            Err(_) => After::Close,
        }
    }
}

/// The checksum of the first `length` bytes.
fn answer(
    reading: &Reading,
    length: u64,
    options: BlockChecksumOptionsProto,
) -> io::Result<OpBlockChecksumResponseProto> {
    let stored = reading.checksum;
    let size = u64::from(stored.chunk_size);
    let mut md5 = Md5::new();
    let mut composite = Composite::new(stored.kind, size);
    let chunks = if stored.kind == ChecksumKind::Null { 0 } else { length.div_ceil(size) };
    let (mut first, mut sums) = (0, Vec::new());
    while first < chunks {
        let next = (first + SUMS_AT_ONCE).min(chunks);
        let end = (next * size).min(length);
        let whole = end == length && !length.is_multiple_of(size) && length < reading.length;
        reading.sums(
            first,
            if whole { next * size } else { end }.min(reading.length),
            &mut sums,
        )?;
        if whole {
            // The stored checksum is of more bytes than are asked for.
            let mut bytes = vec![0; usize::try_from(length % size).unwrap_or(0)];
            reading.data.read_exact_at(&mut bytes, length - length % size)?;
            if let Some(last) = sums.last_chunk_mut::<CHECKSUM_LEN>() {
                *last = checksum::crc(stored.kind, &bytes).to_be_bytes();
            }
        }
        md5.update(&sums);
        for (index, sum) in sums.as_chunks::<CHECKSUM_LEN>().0.iter().enumerate() {
            let bytes = size.min(length - (first + index as u64) * size);
            composite.push(u32::from_be_bytes(*sum), bytes);
        }
        first = next;
    }
    let block_checksum = match options.block_checksum_type() {
        BlockChecksumTypeProto::Md5crc => Bytes::copy_from_slice(&md5.finalize()),
        BlockChecksumTypeProto::CompositeCrc => {
            Bytes::copy_from_slice(&composite.value.to_be_bytes())
        }
    };
    Ok(OpBlockChecksumResponseProto {
        bytes_per_crc: stored.chunk_size,
        crc_per_block: chunks,
        block_checksum,
        crc_type: Some(ChecksumTypeProto::from(stored.kind) as i32),
        block_checksum_options: Some(options),
    })
}

/// The CRC of a whole from the CRCs of its parts: appending n bytes multiplies the CRC so far by
/// x^(8n) modulo the polynomial (bits reflected, highest power in the lowest bit).
struct Composite {
    polynomial: u32,
    chunk_size: u64,
    /// x^(8 * chunk size).
    chunk_power: u32,
    value: u32,
}

impl Composite {
    fn new(kind: ChecksumKind, chunk_size: u64) -> Self {
        let polynomial = match kind {
            ChecksumKind::Crc32 => 0xedb8_8320,
            ChecksumKind::Crc32c | ChecksumKind::Null => 0x82f6_3b78,
        };
        let chunk_power = power(polynomial, chunk_size);
        Self { polynomial, chunk_size, chunk_power, value: 0 }
    }

    fn push(&mut self, sum: u32, bytes: u64) {
        let by = match bytes == self.chunk_size {
            true => self.chunk_power,
            false => power(self.polynomial, bytes),
        };
        self.value = multiply(self.polynomial, by, self.value) ^ sum;
    }
}

/// The product of two polynomials modulo a third.
fn multiply(polynomial: u32, a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    for bit in (0..32).rev() {
        if a >> bit & 1 == 1 {
            product ^= b;
        }
        b = (b >> 1) ^ (polynomial & 0u32.wrapping_sub(b & 1));
    }
    product
}

/// x^(8 * bytes).
fn power(polynomial: u32, bytes: u64) -> u32 {
    const ONE: u32 = 1 << 31;
    let (mut result, mut square, mut exponent) = (ONE, ONE >> 8, bytes);
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = multiply(polynomial, square, result);
        }
        square = multiply(polynomial, square, square);
        exponent >>= 1;
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_make_the_sum_of_the_whole() {
        let data: Vec<u8> = (0..2000u32).map(|each| (each * 7 % 251) as u8).collect();
        for kind in [ChecksumKind::Crc32, ChecksumKind::Crc32c] {
            for length in [0, 1, 511, 512, 513, 2000] {
                let mut composite = Composite::new(kind, 512);
                for chunk in data[..length].chunks(512) {
                    composite.push(checksum::crc(kind, chunk), chunk.len() as u64);
                }
                assert_eq!(composite.value, checksum::crc(kind, &data[..length]), "{length}");
            }
        }
    }
}
