//! Links and sessions: the claims of signed tokens, and their verification.
//!
//! The platform mints a **link**, offline or through the API; it lives for minutes. The server
//! exchanges it for a **session**, which lives for the lesson and some hours. Both are signed with
//! a key of the tenant. The key decides for which tenant a token speaks, never the token.

mod claims;
mod wire;

pub use claims::{Link, Session, Window, is_id, is_viewer};

#[cfg(test)]
mod tests;

use wire::UnverifiedToken;

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
/// [`RefusalReason`] if it is not valid at `now_s` (seconds since 1970).
pub fn verify_link<K: Keys>(
    text: &str,
    keys: &K,
    now_s: u64,
) -> Result<VerifiedToken<Link, K::Owner>, RefusalReason> {
    let (verified, expires_at_s) = open(text, Link::KIND, Link::DOMAIN, keys, |reader| {
        let claims = Link::read(reader)?;
        let expiry = claims.expires_at_s;
        Some((claims, expiry))
    })?;
    check_expiry(verified, expires_at_s, now_s)
}

/// Verifies a session.
///
/// # Errors
/// [`RefusalReason`] if it is not valid at `now_s` (seconds since 1970).
pub fn verify_session<K: Keys>(
    text: &str,
    keys: &K,
    now_s: u64,
) -> Result<VerifiedToken<Session, K::Owner>, RefusalReason> {
    let (verified, expires_at_s) = open(text, Session::KIND, Session::DOMAIN, keys, |reader| {
        let claims = Session::read(reader)?;
        let expiry = claims.expires_at_s;
        Some((claims, expiry))
    })?;
    check_expiry(verified, expires_at_s, now_s)
}

fn check_expiry<T, O>(
    verified: VerifiedToken<T, O>,
    expires_at_s: u64,
    now_s: u64,
) -> Result<VerifiedToken<T, O>, RefusalReason> {
    if now_s < expires_at_s { Ok(verified) } else { Err(RefusalReason::Expired) }
}

type OpenToken<T, O> = (VerifiedToken<T, O>, u64);

fn open<K: Keys, T>(
    text: &str,
    kind: u8,
    domain: &str,
    keys: &K,
    read: impl FnOnce(&mut wire::Reader<'_>) -> Option<(T, u64)>,
) -> Result<OpenToken<T, K::Owner>, RefusalReason> {
    let token = UnverifiedToken::decode(text, kind).ok_or(RefusalReason::Invalid)?;
    let Some((owner, secret)) = keys.find(token.kid()) else {
        // The same work as for a known key, so that the time taken does not reveal which ids exist.
        let _ = token.verify(domain, &[0; 32]);
        return Err(RefusalReason::Invalid);
    };
    let mut reader = token.verify(domain, &secret).ok_or(RefusalReason::Invalid)?;
    let (claims, expires_at_s) = read(&mut reader).ok_or(RefusalReason::Invalid)?;
    if !reader.is_at_end() {
        return Err(RefusalReason::Invalid);
    }
    Ok((VerifiedToken { claims, owner, kid: token.kid().to_owned() }, expires_at_s))
}
