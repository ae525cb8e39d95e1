//! The model's file: all that a text's vector needs, in the order in which it is read.
//!
//! After the magic number and three counts come the weights, the vocabulary, the rules of
//! normalisation, and last the table of embeddings. The table is by far the largest part. It stays
//! in the file: a text needs one row of it for each of its pieces.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::normalizer::Normalizer;
use super::pieces::Pieces;
use super::vector::DIMENSIONS;

/// Name of the file in the folder of models.
pub const MODEL_FILE: &str = "meaning-use-3.bin";

/// The first bytes, with the format's version.
const MAGIC: &[u8; 8] = b"CSMEAN\0\x01";
/// Rows of the table. Their scales differ by their number, in this cycle.
pub(crate) const TABLE_ROWS: usize = TABLE_SCALES * 7_530;
pub(crate) const TABLE_SCALES: usize = 17;
/// Limits of the counts, far above the real ones.
const MAX_PIECES: usize = 1 << 20;
const MAX_TEXT_BYTES: usize = 1 << 26;

/// The weights in the file's order: their names in the package, and how many numbers each has.
pub const WEIGHTS: [(&str, usize); 36] = [
    ("scale", TABLE_SCALES),
    ("lo", TABLE_SCALES),
    ("proj2", 512 * 256),
    ("proj3", 512 * 256),
    ("proj5", 512 * 256),
    ("proj_b2", 256),
    ("proj_b3", 256),
    ("proj_b5", 256),
    ("ln_g2", 256),
    ("ln_g3", 256),
    ("ln_g5", 256),
    ("ln_b2", 256),
    ("ln_b3", 256),
    ("ln_b5", 256),
    ("w1_2", 2 * 256 * 256),
    ("b1_2", 256),
    ("w2_2", 2 * 256 * 256),
    ("b2_2", 256),
    ("w1_3", 3 * 256 * 256),
    ("b1_3", 256),
    ("w2_3", 3 * 256 * 256),
    ("b2_3", 256),
    ("w1_5", 5 * 256 * 256),
    ("b1_5", 256),
    ("w2_5", 5 * 256 * 256),
    ("b2_5", 256),
    ("ln_g", 1280),
    ("ln_b", 1280),
    ("cnn_W", 1280 * 512),
    ("cnn_b", 512),
    ("d0", 512 * 320),
    ("p1", 512 * 320),
    ("d1", 320 * 320),
    ("d2", 320 * 512),
    ("p3", 320 * 512),
    ("d3", 512 * 512),
];

/// A piece of the vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its row of the table.
    pub id: u32,
    /// Its score.
    pub score: f32,
}

/// The parts of a model, for [`write_model`].
pub struct ModelParts<'a> {
    /// All weights in the order of [`WEIGHTS`], as little-endian floats.
    pub weights: &'a [u8],
    /// The pieces, in any order.
    pub pieces: Vec<Piece<'a>>,
    /// The rules of normalisation, as SentencePiece has them.
    pub rules: &'a [u8],
    /// The table of embeddings, row by row.
    pub table: &'a [u8],
}

/// Writes a model's file.
///
/// # Errors
/// `InvalidData` if a part has the wrong size; else of the writer.
pub fn write_model(mut parts: ModelParts<'_>, out: &mut impl Write) -> io::Result<()> {
    let numbers: usize = WEIGHTS.iter().map(|(_, count)| count).sum();
    if parts.weights.len() != 4 * numbers || parts.table.len() != TABLE_ROWS * DIMENSIONS {
        return Err(invalid("a part of the model has another size"));
    }
    parts.pieces.sort_by_key(|piece| piece.text);
    let text_bytes: usize = parts.pieces.iter().map(|piece| piece.text.len()).sum();
    out.write_all(MAGIC)?;
    for count in [parts.pieces.len(), text_bytes, parts.rules.len()] {
        out.write_all(&u32::try_from(count).map_err(io::Error::other)?.to_le_bytes())?;
    }
    out.write_all(parts.weights)?;
    parts.pieces.iter().try_for_each(|piece| out.write_all(&piece.score.to_le_bytes()))?;
    parts.pieces.iter().try_for_each(|piece| out.write_all(&piece.id.to_le_bytes()))?;
    let mut start = 0_u32;
    for piece in &parts.pieces {
        out.write_all(&start.to_le_bytes())?;
        start += piece.text.len() as u32;
    }
    out.write_all(&start.to_le_bytes())?;
    parts.pieces.iter().try_for_each(|piece| out.write_all(piece.text.as_bytes()))?;
    out.write_all(parts.rules)?;
    out.write_all(parts.table)
}

/// A model's file that is open.
pub(crate) struct ModelFile {
    /// The weights, in the order of [`WEIGHTS`].
    pub weights: Vec<Vec<f32>>,
    pub pieces: Pieces,
    pub normalizer: Normalizer,
    pub table: Table,
}

/// The table of embeddings in the file.
pub(crate) struct Table {
    file: File,
    start: u64,
}

impl Table {
    /// Reads a row.
    pub fn read(&self, row: u32, to: &mut [u8; DIMENSIONS]) -> io::Result<()> {
        self.file.read_exact_at(to, self.start + u64::from(row) * DIMENSIONS as u64)
    }
}

impl ModelFile {
    /// Opens a model.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        if read(&mut file, MAGIC.len())? != MAGIC {
            return Err(invalid("not a model of meaning, or of another version"));
        }
        let mut count = |limit: usize| {
            let count = u32_at(&read(&mut file, 4)?) as usize;
            if count > limit { Err(invalid("a part of the model is too large")) } else { Ok(count) }
        };
        let pieces = count(MAX_PIECES)?;
        let (text_bytes, rules_bytes) = (count(MAX_TEXT_BYTES)?, count(MAX_TEXT_BYTES)?);
        let weights = WEIGHTS.iter().map(|(_, count)| read_floats(&mut file, *count));
        let weights = weights.collect::<io::Result<_>>()?;
        let scores = read_floats(&mut file, pieces)?;
        let ids = read_numbers(&mut file, pieces)?;
        let starts = read_numbers(&mut file, pieces + 1)?;
        let text = read(&mut file, text_bytes)?;
        let rules = read(&mut file, rules_bytes)?;
        let start = io::Seek::stream_position(&mut file)?;
        if length != start + (TABLE_ROWS * DIMENSIONS) as u64
            || ids.iter().any(|id| *id as usize >= TABLE_ROWS)
        {
            return Err(invalid("the model is incomplete"));
        }
        Ok(Self {
            weights,
            pieces: Pieces::new(text, starts, ids, scores)
                .ok_or_else(|| invalid("the vocabulary is damaged"))?,
            normalizer: Normalizer::parse(&rules).ok_or_else(|| invalid("the rules are damaged"))?,
            table: Table { file, start },
        })
    }
}

fn read(file: &mut File, bytes: usize) -> io::Result<Vec<u8>> {
    let mut read = vec![0; bytes];
    file.read_exact(&mut read)?;
    Ok(read)
}

fn read_numbers(file: &mut File, count: usize) -> io::Result<Vec<u32>> {
    Ok(read(file, 4 * count)?.as_chunks::<4>().0.iter().map(|number| u32::from_le_bytes(*number)).collect())
}

fn read_floats(file: &mut File, count: usize) -> io::Result<Vec<f32>> {
    Ok(read_numbers(file, count)?.into_iter().map(f32::from_bits).collect())
}

fn u32_at(bytes: &[u8]) -> u32 {
    bytes.first_chunk::<4>().map_or(0, |number| u32::from_le_bytes(*number))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
