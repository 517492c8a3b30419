//! Which release answers: by weight, and the same one for the same unit.
//!
//! Weighted rendezvous hashing: every release draws a score from the hash of endpoint, release and
//! unit, and the highest wins. When a weight grows, units move only to that release and no other
//! unit moves, whatever the order of the shares.

use crate::receive::{Received, Unit};
use crate::refusal::GatewayError;
use crate::snapshot::{Endpoint, Release, Share, Snapshot, Target};
use pelton_ids::ReleaseId;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// Where a call goes, and why.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// The release; none for a direct call of a model.
    pub(crate) release: Option<Arc<Release>>,
    direct: Option<Target>,
    pub(crate) reason: String,
}

impl Route {
    pub(crate) fn targets(&self) -> &[Target] {
        match (&self.release, &self.direct) {
            (Some(release), _) => &release.targets,
            (None, Some(target)) => std::slice::from_ref(target),
            (None, None) => &[],
        }
    }
}

pub(crate) fn route(snapshot: &Snapshot, received: &Received) -> Result<Route, GatewayError> {
    let name = &received.request.model;
    if let Some(endpoint) = snapshot.endpoints.get(name) {
        return through(snapshot, endpoint, &received.unit);
    }
    if let Some(target) = snapshot.models.get(name) {
        let reason = format!("direct call of model `{name}`");
        return Ok(Route { release: None, direct: Some(target.clone()), reason });
    }
    Err(GatewayError::UnknownModel { model: name.clone(), known: known(snapshot) })
}

fn through(snapshot: &Snapshot, endpoint: &Endpoint, unit: &Unit) -> Result<Route, GatewayError> {
    let empty = || GatewayError::NoTraffic { endpoint: endpoint.name.clone() };
    let share = pick(&endpoint.name, &endpoint.traffic, &unit.key()).ok_or_else(empty)?;
    let release = snapshot.releases.get(&share.release).cloned().ok_or_else(empty)?;
    let total: u64 = endpoint.traffic.iter().map(|share| u64::from(share.weight)).sum();
    let reason = format!(
        "endpoint `{}`: release `{}` at weight {} of {total}, {}",
        endpoint.name,
        release.name,
        share.weight,
        unit.how()
    );
    Ok(Route { release: Some(release), direct: None, reason })
}

/// The names that can be called, endpoints first.
fn known(snapshot: &Snapshot) -> Vec<String> {
    let mut endpoints: Vec<String> = snapshot.endpoints.keys().cloned().collect();
    let mut models: Vec<String> = snapshot.models.keys().cloned().collect();
    endpoints.sort_unstable();
    models.sort_unstable();
    endpoints.extend(models);
    endpoints
}

fn pick(endpoint: &str, traffic: &[Share], unit: &str) -> Option<Share> {
    traffic
        .iter()
        .filter(|share| share.weight > 0)
        .map(|share| (score(endpoint, share.release, unit, share.weight), share))
        .max_by(|(left, _), (right, _)| left.total_cmp(right))
        .map(|(_, share)| *share)
}

/// `-weight / ln(u)` for `u` uniform in (0, 1). Schindelhauer and Schomaker, "Weighted
/// distributed hash tables", 2005.
#[expect(clippy::cast_precision_loss, reason = "53 bits of a hash are enough")]
fn score(endpoint: &str, release: ReleaseId, unit: &str, weight: u32) -> f64 {
    let mut key = Vec::with_capacity(endpoint.len() + unit.len() + 17);
    key.extend_from_slice(endpoint.as_bytes());
    key.push(0);
    key.extend_from_slice(&release.as_u128().to_be_bytes());
    key.extend_from_slice(unit.as_bytes());
    let uniform = ((xxh3_64(&key) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / uniform.ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(release: u128, weight: u32) -> Share {
        Share { release: ReleaseId::from_u128(release), weight }
    }

    fn chosen(traffic: &[Share], unit: usize) -> u128 {
        pick("telco", traffic, &format!("user-{unit}")).unwrap().release.as_u128()
    }

    #[test]
    fn shares_follow_weights() {
        let traffic = [share(1, 90), share(2, 10), share(3, 0)];
        let second = (0..20_000).filter(|&unit| chosen(&traffic, unit) == 2).count();
        // Four standard deviations of a binomial with p = 0.1.
        assert!((1_830..=2_170).contains(&second), "{second}");
        assert!((0..20_000).all(|unit| chosen(&traffic, unit) != 3));
    }

    #[test]
    fn nothing_to_choose_from() {
        assert_eq!(pick("telco", &[], "u"), None);
        assert_eq!(pick("telco", &[share(1, 0)], "u"), None);
    }

    proptest! {
        #[test]
        fn a_growing_canary_only_draws_units_to_itself(
            unit in 0_usize..5_000, base in 1_u32..100, less in 1_u32..50, more in 0_u32..50,
        ) {
            let before = chosen(&[share(1, base), share(2, less), share(3, 20)], unit);
            let after = chosen(&[share(3, 20), share(2, less + more), share(1, base)], unit);
            prop_assert!(after == before || after == 2);
        }
    }
}
