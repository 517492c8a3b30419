//! Tells who calls: holders of keys, job processes, and on loopback whoever sits at the machine.

use pelton_api::{ApiError, Authenticator, Code};
use pelton_context::{OpContext, Principal, Scope};
use pelton_gateway::AuthError;
use pelton_ids::{JobId, ProjectId, RequestId};
use pelton_metadata::Store;
use pelton_secrets::{Redacted, api_key_from_random, api_key_hash, hashes_equal};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Knows keys, and the tokens of running jobs.
pub struct KeyAuthenticator {
    store: Store,
    project: ProjectId,
    key_required: bool,
    jobs: JobTokens,
}

/// The tokens of job processes: good until the job's process ends, and never stored.
#[derive(Default)]
pub struct JobTokens {
    by_hash: Mutex<HashMap<String, (JobId, ProjectId)>>,
}

impl JobTokens {
    /// A token for a job's process.
    pub fn issue(&self, job: JobId, project: ProjectId) -> std::io::Result<Redacted<String>> {
        let token = api_key_from_random(crate::randomness::SystemRandom::draw()?);
        let mut tokens = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, (of, _)| *of != job);
        tokens.insert(api_key_hash(token.expose()), (job, project));
        Ok(token)
    }

    fn holder(&self, hash: &str) -> Option<(JobId, ProjectId)> {
        let tokens = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.iter().find(|(known, _)| hashes_equal(known, hash)).map(|(_, &holder)| holder)
    }
}

impl KeyAuthenticator {
    /// Knows the keys of `store`; calls without a key belong to `project`, unless one is required.
    pub fn new(store: Store, project: ProjectId, key_required: bool) -> Self {
        Self { store, project, key_required, jobs: JobTokens::default() }
    }

    /// The tokens of job processes.
    pub const fn jobs(&self) -> &JobTokens {
        &self.jobs
    }
}

#[async_trait::async_trait]
impl Authenticator for KeyAuthenticator {
    async fn authenticate(&self, bearer: Option<&str>) -> Result<(Principal, ProjectId), ApiError> {
        let unauthorized = |message| Err(ApiError::new(Code::Unauthorized, message));
        let Some(secret) = bearer else {
            if self.key_required {
                return unauthorized("the request shows no key");
            }
            return Ok((Principal::loopback(), self.project));
        };
        if let Some((job, project)) = self.jobs.holder(&api_key_hash(secret)) {
            let scopes = vec![Scope::Write, Scope::Inference];
            return Ok((Principal { name: format!("job:{job}"), scopes }, project));
        }
        match self.store.api_key_authenticate(secret).await? {
            Some(found) => Ok((found.principal, found.project)),
            // A client that must send some key sends any to a server that asks for none.
            None if !self.key_required && !secret.starts_with(pelton_secrets::API_KEY_PREFIX) => {
                Ok((Principal::loopback(), self.project))
            }
            None => unauthorized("the key is not valid, or was revoked"),
        }
    }

    fn key_required(&self) -> bool {
        self.key_required
    }
}

/// The same knowledge for the serving routes.
#[async_trait::async_trait]
impl pelton_gateway::Authenticator for KeyAuthenticator {
    async fn authenticate(
        &self,
        bearer: Option<&str>,
        request: RequestId,
    ) -> Result<OpContext, AuthError> {
        let missing = bearer.is_none();
        match Authenticator::authenticate(self, bearer).await {
            Ok((principal, project)) => {
                Ok(OpContext { principal, project, request, deadline: None })
            }
            Err(refused) if refused.code() == Code::Unauthorized => {
                Err(if missing { AuthError::Missing } else { AuthError::Invalid })
            }
            Err(_) => Err(AuthError::Unavailable("the metadata store does not answer".into())),
        }
    }
}
