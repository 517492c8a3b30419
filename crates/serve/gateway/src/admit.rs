//! Room for a call: beyond the bound, callers are sent away at once instead of queued.

use crate::meter::Meter;
use crate::refusal::GatewayError;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) struct Admission {
    places: Arc<Semaphore>,
    bound: usize,
    meter: Arc<Meter>,
}

/// A call's place; freed when dropped.
pub(crate) struct Place {
    _permit: OwnedSemaphorePermit,
    meter: Arc<Meter>,
}

impl Admission {
    pub(crate) fn new(bound: usize, meter: Arc<Meter>) -> Self {
        let bound = bound.clamp(1, Semaphore::MAX_PERMITS);
        Self { places: Arc::new(Semaphore::new(bound)), bound, meter }
    }

    pub(crate) fn admit(&self) -> Result<Place, GatewayError> {
        let permit = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| GatewayError::Overloaded { bound: self.bound })?;
        self.meter.in_flight(1);
        Ok(Place { _permit: permit, meter: Arc::clone(&self.meter) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.meter.in_flight(-1);
    }
}
