//! The part of protocol buffers that the weights of an ONNX file need: fields, one level at a time.

/// One field of a message.
#[derive(Debug, PartialEq)]
pub enum Value<'a> {
    /// A number: a varint, or 32 or 64 bits.
    Number(u64),
    /// Text, bytes, a nested message, or packed numbers.
    Bytes(&'a [u8]),
}

/// Iterates over a message's fields as (field number, value). Stops at the end, or at damage.
pub struct MessageFields<'a> {
    rest: &'a [u8],
}

impl<'a> MessageFields<'a> {
    /// The fields of `message`.
    pub fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for MessageFields<'a> {
    type Item = (u64, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let key = self.varint()?;
        let little_endian = |bytes: &[u8]| bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b));
        let value = match key & 7 {
            0 => Value::Number(self.varint()?),
            1 => Value::Number(little_endian(self.take(8)?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Number(little_endian(self.take(4)?)),
            _ => return None,
        };
        Some((key >> 3, value))
    }
}

/// Reads numbers that are packed as varints.
pub fn parse_packed(bytes: &[u8]) -> Vec<u64> {
    let mut fields = MessageFields::new(bytes);
    std::iter::from_fn(|| if fields.rest.is_empty() { None } else { fields.varint() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_each_kind() {
        // 1: varint 300; 2: "hi"; 3: fixed32 1; 4: fixed64 2
        let message = [0x08, 0xac, 0x02, 0x12, 2, b'h', b'i', 0x1d, 1, 0, 0, 0, 0x21, 2, 0, 0, 0, 0, 0, 0, 0];
        let fields: Vec<_> = MessageFields::new(&message).collect();
        assert_eq!(
            fields,
            [(1, Value::Number(300)), (2, Value::Bytes(b"hi")), (3, Value::Number(1)), (4, Value::Number(2))]
        );
        assert_eq!(parse_packed(&[3, 0xac, 0x02]), [3, 300]);
    }

    #[test]
    fn damage_ends_the_fields() {
        assert_eq!(MessageFields::new(&[0x12, 200, 1]).count(), 0);
        assert_eq!(MessageFields::new(&[0xff; 20]).count(), 0);
    }
}
