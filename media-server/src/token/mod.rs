//! Links and sessions: the claims of signed tokens, and their verification.
//!
//! The platform mints a **link**, offline or through the API; it lives for minutes. The server
//! exchanges it for a **session**, which lives for the lesson and some hours. Both are signed with
//! a key of the tenant. The key decides for which tenant a token speaks, never the token.

mod claims;
mod validity;
mod wire;

pub use claims::{Link, Session, Window, is_id, is_viewer};
pub use validity::{Lifetimes, Validity};

#[cfg(test)]
mod tests;

use wire::{TokenKind, UnverifiedToken, Version};

/// Finds signing keys by their id.
pub trait Keys {
    /// The owner of a key.
    type Owner;
    /// Returns the owner and secret of a key. `None` if it does not exist or is revoked.
    fn find(&self, kid: &str) -> Option<(Self::Owner, zeroize::Zeroizing<Vec<u8>>)>;
}

/// Why a token is refused. Each is a 403; a client learns "expired" only of a token that was valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalReason {
    /// Malformed, altered, or signed with an unknown key.
    Invalid,
    /// Valid once, now past its expiry.
    Expired,
    /// Revoked.
    Revoked,
    /// Good for longer than a token may be.
    LivesTooLong,
    /// Its issue time lies in the future.
    IssuedInFuture,
    /// Of version 1, all of whose sessions have ended.
    OldVersion,
    /// A time is in milliseconds instead of seconds.
    TimeInMs,
}

/// A verified token.
#[derive(Clone, Debug)]
pub struct VerifiedToken<T, O> {
    /// Its claims.
    pub claims: T,
    /// The owner of the key that signed it.
    pub owner: O,
    /// The id of that key.
    pub kid: String,
}

/// Verifies a link.
///
/// # Errors
/// [`RefusalReason`] if it is not valid.
pub fn verify_link<K: Keys>(
    text: &str,
    keys: &K,
    validity: &Validity,
) -> Result<VerifiedToken<Link, K::Owner>, RefusalReason> {
    let verified = open(text, &Link::KIND, keys, Link::read)?;
    let link: &Link = &verified.claims;
    validity.check_link(link.issued_at_s, link.expires_at_s)?;
    Ok(verified)
}

/// Verifies a session.
///
/// # Errors
/// [`RefusalReason`] if it is not valid.
pub fn verify_session<K: Keys>(
    text: &str,
    keys: &K,
    validity: &Validity,
) -> Result<VerifiedToken<Session, K::Owner>, RefusalReason> {
    verify_session_as(&Session::KIND, text, keys, validity)
}

/// Verifies a session that may load images and nothing else.
///
/// # Errors
/// [`RefusalReason`] if it is not valid.
pub fn verify_images<K: Keys>(
    text: &str,
    keys: &K,
    validity: &Validity,
) -> Result<VerifiedToken<Session, K::Owner>, RefusalReason> {
    verify_session_as(&Session::IMAGES, text, keys, validity)
}

/// True if a text claims to be a session for images. It still has to be verified.
pub fn is_for_images(text: &str) -> bool {
    UnverifiedToken::decode(text, &Session::IMAGES).is_some()
}

fn verify_session_as<K: Keys>(
    kind: &TokenKind,
    text: &str,
    keys: &K,
    validity: &Validity,
) -> Result<VerifiedToken<Session, K::Owner>, RefusalReason> {
    let verified = open(text, kind, keys, Session::read)?;
    validity.check_session(&verified.claims)?;
    Ok(verified)
}

fn open<K: Keys, T>(
    text: &str,
    kind: &TokenKind,
    keys: &K,
    read: impl FnOnce(Version, &mut wire::Reader<'_>) -> Option<T>,
) -> Result<VerifiedToken<T, K::Owner>, RefusalReason> {
    let token = UnverifiedToken::decode(text, kind).ok_or(RefusalReason::Invalid)?;
    let Some((owner, secret)) = keys.find(token.kid()) else {
        // The same work as for a known key, so that the time taken does not reveal which ids exist.
        let _ = token.verify(kind, &[0; 32]);
        return Err(RefusalReason::Invalid);
    };
    let mut reader = token.verify(kind, &secret).ok_or(RefusalReason::Invalid)?;
    let claims = read(token.version(), &mut reader).ok_or(RefusalReason::Invalid)?;
    if !reader.is_at_end() {
        return Err(RefusalReason::Invalid);
    }
    Ok(VerifiedToken { claims, owner, kid: token.kid().to_owned() })
}
