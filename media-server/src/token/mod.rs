//! Links and sessions: what a signed token says, and whether it is believed.
//!
//! A **link** is minted by the platform, offline or through the API, and lives for minutes. The server exchanges
//! it for a **session**, which lives for the lesson and some hours. Both are signed with a key of the tenant,
//! so which tenant a token speaks for comes from the key and never from the token.

mod claims;
mod wire;

pub use claims::{Link, Session, Window, is_id, is_viewer};

#[cfg(test)]
mod tests;

use wire::Unverified;

/// Looks a signing key up by its name. Gives the tenant it belongs to and its secret.
pub trait Keys {
    /// What is remembered of the key's owner.
    type Owner;
    /// The key, if it exists and is not withdrawn.
    fn find(&self, kid: &str) -> Option<(Self::Owner, zeroize::Zeroizing<Vec<u8>>)>;
}

/// Why a token is refused. Every one of them is a 403; a client learns «expired» only of a token that was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Malformed, altered, or signed with a key that is not known.
    Invalid,
    /// Good once, past its expiry.
    Expired,
    /// Withdrawn.
    Revoked,
}

/// A token that was believed, and whose key signed it.
#[derive(Clone, Debug)]
pub struct Verified<T, O> {
    /// What it says.
    pub claims: T,
    /// Whose key signed it.
    pub owner: O,
    /// The name of that key.
    pub kid: String,
}

/// Verifies a link.
///
/// # Errors
/// [`Refused`] where it is not to be believed at `now_s` (seconds since 1970).
pub fn verify_link<K: Keys>(text: &str, keys: &K, now_s: u64) -> Result<Verified<Link, K::Owner>, Refused> {
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
/// [`Refused`] where it is not to be believed at `now_s` (seconds since 1970).
pub fn verify_session<K: Keys>(
    text: &str,
    keys: &K,
    now_s: u64,
) -> Result<Verified<Session, K::Owner>, Refused> {
    let (verified, expires_at_s) = open(text, Session::KIND, Session::DOMAIN, keys, |reader| {
        let claims = Session::read(reader)?;
        let expiry = claims.expires_at_s;
        Some((claims, expiry))
    })?;
    check_expiry(verified, expires_at_s, now_s)
}

fn check_expiry<T, O>(
    verified: Verified<T, O>,
    expires_at_s: u64,
    now_s: u64,
) -> Result<Verified<T, O>, Refused> {
    if now_s < expires_at_s { Ok(verified) } else { Err(Refused::Expired) }
}

type Opened<T, O> = (Verified<T, O>, u64);

fn open<K: Keys, T>(
    text: &str,
    kind: u8,
    domain: &str,
    keys: &K,
    read: impl FnOnce(&mut wire::Reader<'_>) -> Option<(T, u64)>,
) -> Result<Opened<T, K::Owner>, Refused> {
    let token = Unverified::decode(text, kind).ok_or(Refused::Invalid)?;
    let Some((owner, secret)) = keys.find(token.kid()) else {
        // The same work as for a known key, so that the time taken does not tell which names exist.
        let _ = token.verify(domain, &[0; 32]);
        return Err(Refused::Invalid);
    };
    let mut reader = token.verify(domain, &secret).ok_or(Refused::Invalid)?;
    let (claims, expires_at_s) = read(&mut reader).ok_or(Refused::Invalid)?;
    if !reader.is_at_end() {
        return Err(Refused::Invalid);
    }
    Ok((Verified { claims, owner, kid: token.kid().to_owned() }, expires_at_s))
}
