//! Limits on what happens at once: on this server, of each tenant, and of each session. So one
//! tenant cannot take everything, and one session cannot take all of its tenant's.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use http::StatusCode;

/// Numbers that are allowed at once.
#[derive(Clone, Copy, Debug)]
pub struct PermitLimits {
    /// On this server.
    pub server: usize,
    /// Of one tenant.
    pub tenant: usize,
    /// Of one session.
    pub session: usize,
}

/// The limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// Of this server: others are busy.
    Server,
    /// Of the caller's tenant.
    Tenant,
    /// Of the caller's session.
    Session,
}

impl Reached {
    /// The status of the refusal: 429 if the caller itself has reached a limit.
    pub fn status(self) -> StatusCode {
        match self {
            Reached::Server => StatusCode::SERVICE_UNAVAILABLE,
            Reached::Tenant | Reached::Session => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

/// Hands out permits. Clones share the limits.
#[derive(Clone)]
pub struct Permits {
    limits: PermitLimits,
    held: Arc<Mutex<HeldPermits>>,
}

#[derive(Default)]
struct HeldPermits {
    all: usize,
    tenants: HashMap<Arc<str>, usize>,
    sessions: HashMap<Arc<str>, usize>,
}

/// The right to do one thing, until it is dropped.
pub struct Permit {
    permits: Permits,
    tenant: Arc<str>,
    session: Option<Arc<str>>,
}

impl Permits {
    /// Permits within `limits`.
    pub fn new(limits: PermitLimits) -> Self {
        Self { limits, held: Arc::default() }
    }

    /// Takes a permit for a tenant, or for one of its sessions.
    ///
    /// # Errors
    /// The limit that is reached.
    pub fn take(&self, tenant: &str, session: Option<&str>) -> Result<Permit, Reached> {
        let count = |of: &HashMap<Arc<str>, usize>, name: &str| of.get(name).copied().unwrap_or(0);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if session.is_some_and(|session| count(&held.sessions, session) >= self.limits.session) {
            return Err(Reached::Session);
        }
        if count(&held.tenants, tenant) >= self.limits.tenant {
            return Err(Reached::Tenant);
        }
        if held.all >= self.limits.server {
            return Err(Reached::Server);
        }
        held.all += 1;
        let tenant = add(&mut held.tenants, tenant);
        let session = session.map(|session| add(&mut held.sessions, session));
        Ok(Permit { permits: self.clone(), tenant, session })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.permits.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        remove(&mut held.tenants, &self.tenant);
        if let Some(session) = &self.session {
            remove(&mut held.sessions, session);
        }
    }
}

fn add(counts: &mut HashMap<Arc<str>, usize>, name: &str) -> Arc<str> {
    if let Some((name, _)) = counts.get_key_value(name) {
        let name = Arc::clone(name);
        counts.entry(Arc::clone(&name)).and_modify(|count| *count += 1);
        return name;
    }
    let name: Arc<str> = name.into();
    counts.insert(Arc::clone(&name), 1);
    name
}

fn remove(counts: &mut HashMap<Arc<str>, usize>, name: &str) {
    match counts.get_mut(name) {
        Some(count @ 2..) => *count -= 1,
        _ => drop(counts.remove(name)),
    }
}

/// The permit of a request, from when its caller is known until its response's body is sent.
#[derive(Clone, Default)]
pub struct RequestPermit(Arc<OnceLock<Permit>>);

impl RequestPermit {
    /// Keeps the permit. A request has one caller, so a second permit is not needed.
    pub fn keep(&self, permit: Permit) {
        let _ = self.0.set(permit);
    }

    /// True if the caller is known and has one.
    pub fn is_taken(&self) -> bool {
        self.0.get().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tenant_or_session_cannot_take_everything() {
        let permits = Permits::new(PermitLimits { server: 4, tenant: 3, session: 2 });
        let refused = |tenant: &str, session| permits.take(tenant, session).err();
        let one = permits.take("a", Some("s")).ok();
        let two = permits.take("a", Some("s")).ok();
        assert_eq!(refused("a", Some("s")), Some(Reached::Session));
        let three = permits.take("a", Some("t")).ok();
        assert_eq!(refused("a", None), Some(Reached::Tenant));
        let four = permits.take("b", None).ok();
        assert!(four.is_some(), "another tenant is served");
        assert_eq!(refused("c", None), Some(Reached::Server));
        drop(one);
        assert_eq!(refused("a", Some("s")), None);
        drop((two, three, four));
        let held = permits.held.lock().unwrap();
        assert!(held.all == 0 && held.tenants.is_empty() && held.sessions.is_empty());
    }
}
