//! API keys (shown once, stored hashed) and signing keys (the secrets links are minted with).

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// An API key's record. The secret itself is stored nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Public part of the key.
    pub id: String,
    /// The tenant it speaks for.
    pub tenant: String,
    /// What it is for, for people.
    pub name: String,
    /// Hex SHA-256 of the secret part.
    pub secret_sha256: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// True where it is revoked (not part of the stored record).
    #[serde(skip)]
    pub revoked: bool,
}

/// A new API key with its text, which is shown this once.
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
    /// True where it is revoked (not part of the stored record).
    #[serde(skip)]
    pub revoked: bool,
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
    pub fn secret_bytes(&self) -> crate::Result<Zeroizing<Vec<u8>>> {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(&self.secret)
            .map(Zeroizing::new)
            .map_err(|_| crate::Error::corrupt("a signing key cannot be read"))
    }
}
