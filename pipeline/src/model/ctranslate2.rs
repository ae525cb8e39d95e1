//! Reader of CTranslate2's model file (binary version 6): named variables, little-endian,
//! row-major.

use std::collections::BTreeMap;

use crate::error::{Error, Result};

/// A variable of the file.
#[derive(Debug, PartialEq)]
pub struct Variable<'a> {
    /// Dimensions, slowest first; empty for a single number.
    pub shape: Vec<u32>,
    /// Type of its numbers: 0 is f32, 1 i8, 2 i16, 3 i32, 4 f16.
    pub type_code: u8,
    /// The numbers.
    pub data: &'a [u8],
}

/// Type code of 16-bit floats.
pub const TYPE_F16: u8 = 4;
/// Type code of 16-bit integers.
pub const TYPE_I16: u8 = 2;

/// Reads all variables of a Whisper model.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, Variable<'_>>> {
    let mut reader = ModelReader { rest: bytes };
    let (version, specification) = (reader.u32()?, reader.string()?);
    let (revision, count) = (reader.u32()?, reader.u32()?);
    if version != 6 || specification != "WhisperSpec" || revision != 3 {
        return Err(Error::internal("the weights are of an unknown format"));
    }
    let mut variables = BTreeMap::new();
    for _ in 0..count {
        let name = reader.string()?;
        let rank = reader.take(1)?[0];
        let shape = (0..rank).map(|_| reader.u32()).collect::<Result<Vec<_>>>()?;
        let type_code = reader.take(1)?[0];
        let size_bytes = reader.u32()? as usize;
        let data = reader.take(size_bytes)?;
        let width: u64 = match type_code {
            0 | 3 => 4,
            2 | TYPE_F16 => 2,
            _ => 1,
        };
        let expected = shape.iter().try_fold(width, |n, d| n.checked_mul((*d).into()));
        if expected != Some(size_bytes as u64) {
            return Err(Error::internal("a variable's size does not fit its shape"));
        }
        variables.insert(name, Variable { shape, type_code, data });
    }
    // Aliases follow. There is one, of the projection to the embedding; whisper.cpp implies it.
    Ok(variables)
}

struct ModelReader<'a> {
    rest: &'a [u8],
}

impl<'a> ModelReader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) =
            self.rest.split_at_checked(count).ok_or_else(|| Error::internal("the weights are cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }

    /// Reads a string: its length with the closing zero, then its bytes.
    fn string(&mut self) -> Result<String> {
        let length = self.take(2)?;
        let bytes = self.take(u16::from_le_bytes([length[0], length[1]]).into())?;
        let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        String::from_utf8(text.to_vec()).map_err(|e| Error::internal("a name is not text").with_source(e))
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A file of these variables, as the format says.
    pub fn file(variables: &[(&str, &[u32], u8, Vec<u8>)]) -> Vec<u8> {
        let string = |text: &str| {
            let mut out = (text.len() as u16 + 1).to_le_bytes().to_vec();
            out.extend(text.as_bytes());
            out.push(0);
            out
        };
        let mut out = 6u32.to_le_bytes().to_vec();
        out.extend(string("WhisperSpec"));
        out.extend(3u32.to_le_bytes());
        out.extend((variables.len() as u32).to_le_bytes());
        for (name, shape, kind, data) in variables {
            out.extend(string(name));
            out.push(shape.len() as u8);
            out.extend(shape.iter().flat_map(|d| d.to_le_bytes()));
            out.push(*kind);
            out.extend((data.len() as u32).to_le_bytes());
            out.extend(data);
        }
        out.extend(0u32.to_le_bytes());
        out
    }

    #[test]
    fn variables_come_out_as_they_went_in() {
        let bytes = file(&[("a/b", &[2, 3], TYPE_F16, vec![1; 12]), ("heads", &[], TYPE_I16, vec![6, 0])]);
        let read = read(&bytes).unwrap();
        assert_eq!(read["a/b"], Variable { shape: vec![2, 3], type_code: TYPE_F16, data: &[1; 12] });
        assert_eq!(read["heads"], Variable { shape: vec![], type_code: TYPE_I16, data: &[6, 0] });
    }

    #[test]
    fn damage_is_an_error() {
        let complete = file(&[("a", &[2], TYPE_F16, vec![1; 4])]);
        for cut in 0..complete.len() - 4 {
            assert!(read(&complete[..cut]).is_err(), "cut at {cut}");
        }
        assert!(read(&file(&[("a", &[3], TYPE_F16, vec![1; 4])])).is_err(), "size against shape");
    }
}
