//! The bytes of a token: length-prefixed fields, base64url, one MAC. `docs/ref/tokens.md` is the
//! reference.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Layout of the fields. Each version has domains of its own, and all use the same algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// Without an issue time. Written only for the session of a link of version 1.
    V1 = 1,
    /// With an issue time.
    V2 = 2,
}

impl Version {
    fn from_byte(byte: u8) -> Option<Self> {
        [Version::V1, Version::V2].into_iter().find(|version| *version as u8 == byte)
    }
}

/// A kind of token.
pub struct TokenKind {
    /// The byte after the version.
    pub letter: u8,
    /// What is signed along with version 1, so that no other signature by the key is a token.
    pub domain_v1: &'static str,
    /// The same for version 2.
    pub domain_v2: &'static str,
}

impl TokenKind {
    fn domain(&self, version: Version) -> &'static str {
        match version {
            Version::V1 => self.domain_v1,
            Version::V2 => self.domain_v2,
        }
    }
}

/// Length of the MAC, in bytes.
pub const TAG_BYTES: usize = 32;
/// Size limit of a token's text; a longer one is refused before it is decoded.
pub const MAX_TOKEN_CHARS: usize = 1024;

/// Appends fields, each as a big-endian `u16` length and its bytes.
#[derive(Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// Starts a payload: version, kind, and the key's id.
    pub fn new(version: Version, kind: &TokenKind, kid: &str) -> Self {
        let mut writer = Self(vec![version as u8, kind.letter]);
        writer.bytes(kid.as_bytes());
        writer
    }

    /// One field. The limits on every field keep values below what a `u16` can state.
    pub fn bytes(&mut self, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(&value[..usize::from(length)]);
        self
    }

    /// A number, as eight big-endian bytes.
    pub fn number(&mut self, value: u64) -> &mut Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A number that may be absent: then the field is empty.
    pub fn optional(&mut self, value: Option<u64>) -> &mut Self {
        match value {
            Some(value) => self.number(value),
            None => self.bytes(&[]),
        }
    }

    /// Signs the payload and returns the token's text.
    pub fn seal(&self, version: Version, kind: &TokenKind, secret: &[u8]) -> String {
        let mut token = self.0.clone();
        token.extend_from_slice(&mac(kind.domain(version), &self.0, secret).finalize().into_bytes());
        URL_SAFE_NO_PAD.encode(token)
    }
}

/// Reads fields. Every method returns `None` past the end or on a wrong length.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// One field.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        self.0 = rest;
        Some(value)
    }

    /// A field that is UTF-8.
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }

    /// A number of eight bytes.
    pub fn number(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.bytes()?.try_into().ok()?))
    }

    /// A number or nothing.
    pub fn optional(&mut self) -> Option<Option<u64>> {
        match self.bytes()? {
            [] => Some(None),
            bytes => Some(Some(u64::from_be_bytes(bytes.try_into().ok()?))),
        }
    }

    /// True if nothing is left.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
}

/// A decoded token that is not verified: only the key's id may be read before
/// [`UnverifiedToken::verify`].
pub struct UnverifiedToken {
    payload: Vec<u8>,
    tag: [u8; TAG_BYTES],
    fields_at: usize,
    version: Version,
    kid: String,
}

impl UnverifiedToken {
    /// Decodes a token of this kind. `None` for anything but the canonical spelling.
    pub fn decode(text: &str, kind: &TokenKind) -> Option<Self> {
        if text.len() > MAX_TOKEN_CHARS {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        // The decoder refuses stray bits at the end. This guarantees one text per token, whatever
        // it does.
        if URL_SAFE_NO_PAD.encode(&bytes) != text {
            return None;
        }
        let (payload, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG_BYTES)?)?;
        let (&[version, letter], rest) = payload.split_first_chunk::<2>()?;
        let version = Version::from_byte(version).filter(|_| letter == kind.letter)?;
        let mut reader = Reader(rest);
        let kid = reader.text()?.to_owned();
        Some(Self {
            fields_at: payload.len() - reader.0.len(),
            payload: payload.to_vec(),
            tag: tag.try_into().ok()?,
            version,
            kid,
        })
    }

    /// The id of the key that the token claims.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The version that the token claims.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Compares the MAC in constant time; only then are the fields readable.
    pub fn verify(&self, kind: &TokenKind, secret: &[u8]) -> Option<Reader<'_>> {
        mac(kind.domain(self.version), &self.payload, secret).verify_slice(&self.tag).ok()?;
        Some(Reader(&self.payload[self.fields_at..]))
    }
}

fn mac(domain: &str, payload: &[u8], secret: &[u8]) -> Hmac<Sha256> {
    let mut signed = Writer::default();
    signed.bytes(domain.as_bytes()).bytes(payload);
    // HMAC accepts a key of any length; short ones are refused where keys are made and read.
    #[expect(clippy::expect_used, reason = "HMAC accepts every key length")]
    let mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes any key length");
    mac.chain_update(&signed.0)
}
