//! Reader and writer of whisper.cpp's model file: a header, mel filters, token texts, then tensors
//! up to the end. All numbers are little-endian. Dimensions are written fastest first.

use std::io::{ErrorKind, Read, Write};

use super::quantise;
use crate::error::{Error, Result};

/// The file's first four bytes.
pub const MAGIC: u32 = 0x6767_6d6c;
/// Number of bands in Whisper's spectrograms.
pub const BANDS: usize = 80;
/// Index of the weight type among the header's numbers.
const FILE_TYPE_INDEX: usize = 10;
/// Weight type of a file of 16-bit weights.
pub const FILE_F16: i32 = 1;
/// Weight type of a file of 8-bit blocks (quantisation version 2).
const FILE_Q8_0: i32 = 2007;

/// Maximum number of dimensions of a tensor.
const MAX_DIMENSIONS: u32 = 4;
/// Maximum length of a tensor's name.
const MAX_NAME_BYTES: u32 = 256;
/// Upper bound of the numbers in a tensor: a damaged file must not allocate all memory.
const MAX_TENSOR_NUMBERS: usize = 1 << 30;

/// Type of a tensor's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit blocks of 32.
    Q8,
}

impl TensorType {
    fn code(self) -> i32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q8 => 8,
        }
    }

    fn size_bytes(self, numbers: usize) -> usize {
        match self {
            Self::F32 => numbers * 4,
            Self::F16 => numbers * 2,
            Self::Q8 => numbers / quantise::BLOCK_NUMBERS * quantise::BLOCK_BYTES,
        }
    }
}

/// Writes the start of a model file: the header's eleven numbers, the mel filters and the tokens.
pub fn write_header(out: &mut impl Write, header: [i32; 11], mel: &[f32], tokens: &[Vec<u8>]) -> Result<()> {
    out.write_all(&MAGIC.to_le_bytes())?;
    for number in header {
        out.write_all(&number.to_le_bytes())?;
    }
    out.write_all(&(BANDS as i32).to_le_bytes())?;
    out.write_all(&(crate::mel::BINS as i32).to_le_bytes())?;
    for value in mel {
        out.write_all(&value.to_le_bytes())?;
    }
    out.write_all(&(tokens.len() as i32).to_le_bytes())?;
    for token in tokens {
        out.write_all(&(token.len() as i32).to_le_bytes())?;
        out.write_all(token)?;
    }
    Ok(())
}

/// Writes one tensor; `shape` is row-major, slowest first.
pub fn write_tensor(
    out: &mut impl Write,
    name: &str,
    shape: &[u32],
    kind: TensorType,
    data: &[u8],
) -> Result<()> {
    let numbers: usize = shape.iter().map(|d| *d as usize).product();
    if data.len() != kind.size_bytes(numbers) {
        return Err(Error::internal(format!("tensor {name} has {} bytes", data.len())));
    }
    out.write_all(&(shape.len() as i32).to_le_bytes())?;
    out.write_all(&(name.len() as i32).to_le_bytes())?;
    out.write_all(&kind.code().to_le_bytes())?;
    for dimension in shape.iter().rev() {
        out.write_all(&dimension.to_le_bytes())?;
    }
    out.write_all(name.as_bytes())?;
    Ok(out.write_all(data)?)
}

/// Copies a model of 16-bit weights, and quantises its matrices to 8-bit blocks. Holds one tensor
/// in memory at a time.
///
/// Convolutions, biases, norms and positions are copied: they are small, and whisper.cpp expects
/// them unquantised.
pub fn quantise_file(input: &mut impl Read, out: &mut impl Write) -> Result<()> {
    if read_u32(input)? != MAGIC {
        return Err(Error::internal("not a model file"));
    }
    let mut header = [0i32; 11];
    for number in &mut header {
        *number = read_u32(input)? as i32;
    }
    if header[FILE_TYPE_INDEX] != FILE_F16 {
        return Err(Error::internal("not a model of 16-bit weights"));
    }
    header[FILE_TYPE_INDEX] = FILE_Q8_0;
    out.write_all(&MAGIC.to_le_bytes())?;
    for number in header {
        out.write_all(&number.to_le_bytes())?;
    }
    let (bands, bins) = (copy_u32(input, out)?, copy_u32(input, out)?);
    copy(input, out, u64::from(bands) * u64::from(bins) * 4)?;
    for _ in 0..copy_u32(input, out)? {
        let length = copy_u32(input, out)?;
        copy(input, out, length.into())?;
    }
    while let Some(dimensions) = read_u32_or_end(input)? {
        let (name_bytes, code) = (read_u32(input)?, read_u32(input)?);
        if dimensions > MAX_DIMENSIONS || name_bytes > MAX_NAME_BYTES {
            return Err(Error::internal("the model file is damaged"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.insert(0, read_u32(input)?);
        }
        let mut name = vec![0; name_bytes as usize];
        input.read_exact(&mut name)?;
        let name = String::from_utf8(name).map_err(|e| Error::internal("bad tensor name").with_source(e))?;
        let kind = match code {
            0 => TensorType::F32,
            1 => TensorType::F16,
            _ => return Err(Error::internal("unknown tensor type")),
        };
        let numbers = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d as usize));
        let numbers =
            numbers.filter(|n| *n < MAX_TENSOR_NUMBERS).ok_or_else(|| Error::internal("a huge tensor"))?;
        let mut data = vec![0; kind.size_bytes(numbers)];
        input.read_exact(&mut data)?;
        let fills_blocks =
            shape.last().is_some_and(|row| (*row as usize).is_multiple_of(quantise::BLOCK_NUMBERS));
        if kind == TensorType::F16 && shape.len() == 2 && fills_blocks {
            write_tensor(out, &name, &shape, TensorType::Q8, &quantise::q8_0(&data))?;
        } else {
            write_tensor(out, &name, &shape, kind, &data)?;
        }
    }
    Ok(())
}

fn read_u32(input: &mut impl Read) -> Result<u32> {
    let mut word = [0; 4];
    input.read_exact(&mut word)?;
    Ok(u32::from_le_bytes(word))
}

/// Reads the next number; `None` exactly at the end of the file.
fn read_u32_or_end(input: &mut impl Read) -> Result<Option<u32>> {
    let mut word = [0; 4];
    loop {
        match input.read(&mut word[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    input.read_exact(&mut word[1..])?;
    Ok(Some(u32::from_le_bytes(word)))
}

fn copy_u32(input: &mut impl Read, out: &mut impl Write) -> Result<u32> {
    let number = read_u32(input)?;
    out.write_all(&number.to_le_bytes())?;
    Ok(number)
}

fn copy(input: &mut impl Read, out: &mut impl Write, bytes: u64) -> Result<()> {
    if std::io::copy(&mut input.take(bytes), out)? == bytes {
        return Ok(());
    }
    Err(Error::internal("the model file is cut off"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn small(file_type: i32) -> Vec<u8> {
        let mut out = Vec::new();
        let header = [3, 1, 32, 1, 1, 1, 32, 1, 1, 80, file_type];
        let mel = vec![0.5; BANDS * crate::mel::BINS];
        write_header(&mut out, header, &mel, &[b"a".to_vec(), b" b".to_vec()]).unwrap();
        write_tensor(&mut out, "bias", &[2], TensorType::F32, &[1; 8]).unwrap();
        write_tensor(&mut out, "matrix", &[2, 32], TensorType::F16, &[0; 128]).unwrap();
        write_tensor(&mut out, "conv", &[2, 1, 32], TensorType::F16, &[7; 128]).unwrap();
        out
    }

    #[test]
    fn only_matrices_are_quantised_and_all_else_is_copied() {
        let before = small(FILE_F16);
        let mut after = Vec::new();
        quantise_file(&mut before.as_slice(), &mut after).unwrap();
        assert_eq!(after.len(), before.len() - 128 + 2 * quantise::BLOCK_BYTES);
        assert_eq!(after[4 + 40..8 + 40], FILE_Q8_0.to_le_bytes());
        let start = 48 + 8 + 80 * 201 * 4 + 4 + 5 + 6;
        assert_eq!(after[48..start], before[48..start], "filters and tokens");
        // bias: 12 bytes, one dimension, name, data.
        let bias = start + 12 + 4 + 4 + 8;
        assert_eq!(after[start..bias], before[start..bias]);
        assert_eq!(after[bias..bias + 12], [2, 0, 0, 0, 6, 0, 0, 0, 8, 0, 0, 0]);
        assert_eq!(after[bias + 12..bias + 20], [32, 0, 0, 0, 2, 0, 0, 0], "fastest first");
        assert_eq!(after[after.len() - 128..], [7; 128], "a convolution stays");
    }

    #[test]
    fn damage_is_an_error() {
        let complete = small(FILE_F16);
        for cut in [3, 20, 60, complete.len() - 1] {
            assert!(quantise_file(&mut &complete[..cut], &mut Vec::new()).is_err(), "cut at {cut}");
        }
        assert!(quantise_file(&mut small(7).as_slice(), &mut Vec::new()).is_err());
        assert!(write_tensor(&mut Vec::new(), "t", &[3], TensorType::F32, &[0; 4]).is_err());
    }
}
