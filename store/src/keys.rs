//! API keys (returned once, stored hashed) and signing keys (the secrets links are minted with).

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chalkstream_formats::hex;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::objects::sha256_hex;
use crate::{Error, Result};

/// An API key's record. The secret itself is stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public part of the key.
    pub id: String,
    /// The tenant it speaks for.
    pub tenant: String,
    /// Its purpose, for people.
    pub name: String,
    /// Hex SHA-256 of the secret part.
    pub secret_sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// True if it is revoked (not part of the stored record).
    #[serde(skip)]
    pub revoked: bool,
}

/// A new API key with its text, which is returned this once.
pub struct NewApiKey {
    /// Its record.
    pub key: ApiKey,
    /// `cs_{id}_{secret}`.
    pub text: Zeroizing<String>,
}

/// A key links and sessions are signed with. Several live at once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// Its name inside tokens.
    pub kid: String,
    /// The tenant whose recordings it opens.
    pub tenant: String,
    /// The secret as unpadded base64url; at least 32 bytes.
    pub secret: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// True if it is revoked (not part of the stored record).
    #[serde(skip)]
    pub revoked: bool,
}

/// The record that a key is revoked. The holder of a secret writes the issue time of what it
/// signs, so this means everything, for as long as the record is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedKey {
    /// The tenant of the key.
    pub tenant: String,
    /// Id of the API key, or `kid` of the signing key.
    pub key: String,
    /// When.
    pub revoked_at: Timestamp,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl SigningKey {
    /// The secret's bytes.
    pub fn secret_bytes(&self) -> Result<Zeroizing<Vec<u8>>> {
        URL_SAFE_NO_PAD
            .decode(&self.secret)
            .map(Zeroizing::new)
            .map_err(|_| Error::corrupt("a signing key cannot be read"))
    }
}

impl NewApiKey {
    pub(crate) fn make(tenant: &str, name: &str) -> Result<Self> {
        let (id, secret) = (hex::encode(&*random::<8>()?), Zeroizing::new(hex::encode(&*random::<32>()?)));
        let text = Zeroizing::new(format!("cs_{id}_{}", secret.as_str()));
        let key = ApiKey {
            id,
            tenant: tenant.into(),
            name: name.into(),
            secret_sha256: sha256_hex(secret.as_bytes()),
            created_at: Timestamp::now(),
            revoked: false,
        };
        Ok(Self { key, text })
    }
}

impl SigningKey {
    pub(crate) fn make(tenant: &str) -> Result<Self> {
        Ok(Self {
            kid: hex::encode(&*random::<8>()?),
            tenant: tenant.into(),
            secret: URL_SAFE_NO_PAD.encode(random::<32>()?.as_slice()),
            created_at: Timestamp::now(),
            revoked: false,
        })
    }
}

/// The id and the secret of a key's text; `None` if it is not one.
pub(crate) fn split_api_key(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix("cs_")?.split_once('_')?;
    let is_hex = |part: &str| part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    (id.len() == 16 && secret.len() == 64 && is_hex(id) && is_hex(secret)).then_some((id, secret))
}

impl ApiKey {
    /// Whether this is the key's secret. Takes as long for a wrong one, however much of it is
    /// right.
    pub(crate) fn opens_with(&self, secret: &str) -> bool {
        let given = sha256_hex(secret.as_bytes());
        let stored = self.secret_sha256.as_bytes();
        let differ =
            given.bytes().zip(stored).fold(0u8, |differ, (a, b)| std::hint::black_box(differ | (a ^ b)));
        given.len() == stored.len() && differ == 0
    }
}

/// Bytes from the kernel's generator.
fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>> {
    let mut bytes = Zeroizing::new([0; N]);
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut *bytes))
        .map_err(|e| Error::internal("no random numbers can be had").with_source(e))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_own_secret_only() {
        let made = NewApiKey::make("t", "first").unwrap();
        let other = NewApiKey::make("t", "second").unwrap();
        let (id, secret) = split_api_key(&made.text).unwrap();
        assert_eq!(id, made.key.id);
        assert!(made.key.opens_with(secret));
        assert!(!other.key.opens_with(secret));
        assert!(!serde_json::to_string(&made.key).unwrap().contains(secret));
        for bad in ["", "cs_", "cs__", &made.text[3..], "cs_0123456789abcdef_", "cs_../../x_y"] {
            assert!(split_api_key(bad).is_none());
        }
    }

    #[test]
    fn a_signing_key_has_32_bytes_and_hides_them() {
        let key = SigningKey::make("t").unwrap();
        assert_eq!(key.secret_bytes().unwrap().len(), 32);
        assert!(!format!("{key:?}").contains(&key.secret));
    }
}
