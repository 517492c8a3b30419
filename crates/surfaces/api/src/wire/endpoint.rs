//! Endpoints: the names that applications call.

use super::rollout::Rollout;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name that applications call.
#[derive(Debug, Serialize, ToSchema)]
pub struct Endpoint {
    /// `ep_…`
    pub id: String,
    /// The model name that applications send.
    pub name: String,
    /// Grows with every change of traffic.
    pub generation: i64,
    /// Which releases answer.
    pub traffic: Vec<TrafficShare>,
    /// The rollout that goes on.
    pub rollout: Option<Rollout>,
    /// When it was made.
    pub created_at: String,
    /// When its traffic last changed.
    pub updated_at: String,
    /// The latest changes of traffic, newest first, 20 at most.
    pub history: Vec<TrafficChange>,
}

/// One release's share.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct TrafficShare {
    /// The release.
    pub release_id: String,
    /// Its name.
    pub release_name: String,
    /// Its share in percent; all shares of an endpoint sum to 100.
    pub weight: u32,
}

/// A change of traffic.
#[derive(Debug, Serialize, ToSchema)]
pub struct TrafficChange {
    /// The generation that it made.
    pub generation: i64,
    /// When.
    pub at: String,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// The traffic from then on.
    pub traffic: Vec<TrafficShare>,
}

/// Sets an endpoint's traffic; makes the endpoint if there is none.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTraffic {
    /// Which releases answer; weights must sum to 100.
    pub traffic: Vec<WeightedRelease>,
    /// For the history.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A release and its share.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedRelease {
    /// The release's id or name.
    pub release_id: String,
    /// Its share in percent.
    pub weight: u32,
}
