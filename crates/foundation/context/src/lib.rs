//! Who asks, for which tenant, until when: the first argument of every operation. Cannot reach I/O.

mod clock;
mod principal;

pub use clock::{Clock, ManualClock, SystemClock};
pub use principal::{Principal, Scope};

use pelton_ids::{Micros, ProjectId, RequestId};

/// What every operation is told about its caller.
///
/// A store function takes one and answers only for `project`.
#[derive(Debug, Clone)]
pub struct OpContext {
    /// Who asks.
    pub principal: Principal,
    /// The tenant whose things are read or written.
    pub project: ProjectId,
    /// Names the request in logs, errors and audit entries.
    pub request: RequestId,
    /// When the answer is no longer wanted.
    pub deadline: Option<Micros>,
}

/// The caller lacks a right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{who} may not do this: it needs the `{needs}` scope")]
pub struct Forbidden {
    /// The caller's name.
    pub who: String,
    /// The missing right.
    pub needs: Scope,
}

impl OpContext {
    /// Work that Pelton does on its own behalf: migrations, schedules, job bodies.
    #[must_use]
    pub fn system(project: ProjectId) -> Self {
        Self {
            principal: Principal::system(),
            project,
            request: RequestId::generate(),
            deadline: None,
        }
    }

    /// Checks that the caller holds `scope`.
    ///
    /// # Errors
    /// [`Forbidden`], naming the scope, when it does not.
    pub fn require(&self, scope: Scope) -> Result<(), Forbidden> {
        if self.principal.holds(scope) {
            return Ok(());
        }
        Err(Forbidden { who: self.principal.name.clone(), needs: scope })
    }
}
