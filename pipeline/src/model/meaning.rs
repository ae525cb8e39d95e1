//! Conversion of the model of meaning from its package: an archive of arrays (numpy's `npz`), and a
//! vocabulary of SentencePiece.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use chalkstream_meaning::{DIMENSIONS, ModelParts, Piece, WEIGHTS, write_model};
use zip::ZipArchive;

use super::protobuf::{MessageFields, Value};
use crate::error::{Error, Result};

/// The table of embeddings lies in so many arrays: row `n` in array `n % TABLE_ARRAYS`.
const TABLE_ARRAYS: usize = 17;
/// Bytes before the numbers of an array: magic number, version, length of the description.
const ARRAY_HEAD_BYTES: usize = 10;
/// Types of pieces that occur in texts: normal ones, which is the default, and those of users.
const PIECE_TYPES: [u64; 2] = [1, 4];

/// Writes the model in our format.
pub fn convert(weights: &Path, vocabulary: &[u8], out: &mut impl Write) -> Result<()> {
    let mut archive = ZipArchive::new(File::open(weights)?).map_err(damaged)?;
    let mut numbers = Vec::new();
    for (name, count) in WEIGHTS {
        let array = read_array(&mut archive, name, "<f4")?;
        if array.len() != 4 * count {
            return Err(Error::internal(format!("the model of meaning has another size of {name}")));
        }
        numbers.extend_from_slice(&array);
    }
    let arrays = (1..=TABLE_ARRAYS).map(|n| read_array(&mut archive, &format!("q{n}"), "|u1"));
    let arrays = arrays.collect::<Result<Vec<_>>>()?;
    let rows = arrays.iter().map(Vec::len).sum::<usize>() / DIMENSIONS;
    let mut table = Vec::with_capacity(rows * DIMENSIONS);
    for row in 0..rows {
        let from = row / TABLE_ARRAYS * DIMENSIONS;
        let values = arrays[row % TABLE_ARRAYS].get(from..from + DIMENSIONS);
        table.extend_from_slice(values.ok_or_else(|| Error::internal("the table of meanings has a gap"))?);
    }
    let (pieces, rules) = read_vocabulary(vocabulary);
    Ok(write_model(ModelParts { weights: &numbers, pieces, rules, table: &table }, out)?)
}

/// Reads the numbers of an array, whose type must be `kind`.
fn read_array(archive: &mut ZipArchive<File>, name: &str, kind: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    archive.by_name(&format!("{name}.npy")).map_err(damaged)?.read_to_end(&mut bytes)?;
    let head = bytes.first_chunk::<ARRAY_HEAD_BYTES>().filter(|head| head.starts_with(b"\x93NUMPY\x01"));
    let start = head.map(|head| ARRAY_HEAD_BYTES + usize::from(u16::from_le_bytes([head[8], head[9]])));
    let described = start.and_then(|start| bytes.split_at_checked(start));
    let Some((head, numbers)) = described else {
        return Err(Error::internal(format!("{name} of the model of meaning is no array")));
    };
    let head = String::from_utf8_lossy(head);
    if !head.contains(&format!("'descr': '{kind}', 'fortran_order': False")) {
        return Err(Error::internal(format!("{name} of the model of meaning has another type")));
    }
    Ok(numbers.to_vec())
}

/// Reads the pieces and the rules of normalisation: fields 1 and 3 of the message. Of a piece these
/// are text, score and type, of the rules field 2.
fn read_vocabulary(message: &[u8]) -> (Vec<Piece<'_>>, &[u8]) {
    let (mut pieces, mut rules) = (Vec::new(), &[][..]);
    let mut id = 0;
    for field in MessageFields::new(message) {
        match field {
            (1, Value::Bytes(piece)) => {
                let (mut text, mut score, mut kind) = ("", 0.0, 1);
                for field in MessageFields::new(piece) {
                    match field {
                        (1, Value::Bytes(bytes)) => text = std::str::from_utf8(bytes).unwrap_or_default(),
                        (2, Value::Number(bits)) => score = f32::from_bits(bits as u32),
                        (3, Value::Number(number)) => kind = number,
                        _ => {}
                    }
                }
                if PIECE_TYPES.contains(&kind) && !text.is_empty() {
                    pieces.push(Piece { text, id, score });
                }
                id += 1;
            }
            (3, Value::Bytes(normalizer)) => {
                for field in MessageFields::new(normalizer) {
                    if let (2, Value::Bytes(bytes)) = field {
                        rules = bytes;
                    }
                }
            }
            _ => {}
        }
    }
    (pieces, rules)
}

fn damaged(error: zip::result::ZipError) -> Error {
    Error::internal("the model of meaning is damaged").with_source(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arrays_are_read_if_they_have_the_type() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        let mut archive = zip::ZipWriter::new(File::create(&path).unwrap());
        archive.start_file("lo.npy", zip::write::SimpleFileOptions::default()).unwrap();
        let head = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n";
        archive.write_all(b"\x93NUMPY\x01\0").unwrap();
        archive.write_all(&(head.len() as u16).to_le_bytes()).unwrap();
        archive.write_all(head.as_bytes()).unwrap();
        archive.write_all(&[7, 8, 9]).unwrap();
        archive.finish().unwrap();
        let mut archive = ZipArchive::new(File::open(&path).unwrap()).unwrap();
        assert_eq!(read_array(&mut archive, "lo", "|u1").unwrap(), [7, 8, 9]);
        assert!(read_array(&mut archive, "lo", "<f4").is_err());
        assert!(read_array(&mut archive, "hi", "|u1").is_err());
    }

    #[test]
    fn pieces_that_no_text_has_keep_their_number() {
        let mut message = Vec::new();
        for (text, kind) in [("<s>", 3), ("a", 1), ("own", 4)] {
            let mut piece = vec![0x0a, text.len() as u8];
            piece.extend_from_slice(text.as_bytes());
            piece.push(0x15);
            piece.extend_from_slice(&(-1.5_f32).to_le_bytes());
            piece.extend_from_slice(&[0x18, kind]);
            message.extend_from_slice(&[0x0a, piece.len() as u8]);
            message.extend_from_slice(&piece);
        }
        message.extend_from_slice(&[0x1a, 4, 0x12, 2, 5, 6]);
        let piece = |text, id| Piece { text, id, score: -1.5 };
        assert_eq!(read_vocabulary(&message), (vec![piece("a", 1), piece("own", 2)], &[5, 6][..]));
    }
}
