//! The request path, stage by stage. Cannot reach a database: what it needs comes in through traits.
//!
//! A call meets the stages in this order: `authenticate` (may the caller infer?), `receive` (read
//! the body), `admit` (is there room?), `route` (which release answers?), `render_prompt`
//! (what is sent upstream?), `dispatch` (attempts until one begins to answer), `stream` (the
//! answer on its way), `account` (tokens and cost), `record` (exactly one record, however it
//! ended).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod account;
mod admit;
mod attempt;
mod authenticate;
mod dispatch;
mod failure;
mod limits;
mod meter;
mod plan_retry;
mod receive;
mod record;
mod refusal;
mod render_prompt;
mod retry_budget;
mod route;
mod snapshot;
mod stream;
mod watch_stream;

pub use account::Price;
pub use authenticate::{AuthError, Authenticator};
pub use limits::Limits;
pub use receive::{BodyError, Call};
pub use record::{
    Attempt, CallRecord, ChannelRecorder, Recorder, RouteTrace, Slot, Status, channel,
};
pub use refusal::{GatewayError, Refusal};
pub use snapshot::{Endpoint, Release, Share, Snapshot, Target};
pub use stream::AnswerStream;

use admit::Admission;
use arc_swap::ArcSwap;
use bytes::Bytes;
use dispatch::{Dispatch, Dispatched};
use meter::Meter;
use pelton_context::Clock;
use pelton_egress::Egress;
use pelton_ids::{InferenceId, ReleaseId};
use pelton_telemetry::Metrics;
use record::OpenRecord;
use retry_budget::RetryBudget;
use std::sync::Arc;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// The request path. One for the process; calls share it.
pub struct Gateway {
    snapshot: Arc<ArcSwap<Snapshot>>,
    recorder: Arc<dyn Recorder>,
    egress: Arc<Egress>,
    clock: Arc<dyn Clock>,
    limits: Limits,
    admission: Admission,
    retries: RetryBudget,
    meter: Arc<Meter>,
    streams: TaskTracker,
}

/// An answer, begun or whole.
#[derive(Debug)]
pub struct Served {
    /// Names the call in records and feedback.
    pub inference: InferenceId,
    /// What answered; none for a direct call of a model.
    pub release: Option<(ReleaseId, String)>,
    /// The answer itself.
    pub body: ServedBody,
}

/// The answer of a call.
#[derive(Debug)]
pub enum ServedBody {
    /// The upstream's JSON, byte for byte.
    Whole(Bytes),
    /// Server-sent events, the upstream's bytes.
    Stream(AnswerStream),
}

impl Gateway {
    /// A gateway that answers by whatever `snapshot` holds when a call comes in.
    pub fn new(
        snapshot: Arc<ArcSwap<Snapshot>>,
        recorder: Arc<dyn Recorder>,
        egress: Arc<Egress>,
        limits: Limits,
        clock: Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Self {
        let meter = Arc::new(Meter::new(metrics));
        Self {
            snapshot,
            recorder,
            egress,
            clock,
            admission: Admission::new(limits.max_in_flight, Arc::clone(&meter)),
            retries: RetryBudget::default(),
            limits,
            meter,
            streams: TaskTracker::new(),
        }
    }

    /// What is served now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Answers a call. Dropping the future, or the stream it gives, cancels the upstream call and
    /// records it as cancelled.
    ///
    /// # Errors
    /// [`Refusal`], which says what the caller is told. A refused call is recorded too, whatever
    /// its body, unless the record store is behind.
    pub async fn serve(&self, call: Call) -> Result<Served, Refusal> {
        let started = Instant::now();
        let Some(slot) = self.recorder.reserve() else {
            let error = Box::new(GatewayError::RecordsBehind);
            self.meter.refused(error.code());
            return Err(Refusal { error, inference: None, release: None });
        };
        let snapshot = self.snapshot.load_full();
        let mut open = OpenRecord::begin(
            slot,
            &call,
            &snapshot,
            started,
            self.clock.now(),
            Arc::clone(&self.meter),
        );
        match self.answer(call, &snapshot, started, &mut open).await {
            Ok((Dispatched::Whole { bytes, answer }, _)) => {
                let (inference, release) = open.identity();
                open.answered(&bytes, answer);
                Ok(Served { inference, release, body: ServedBody::Whole(bytes) })
            }
            Ok((Dispatched::Begun(begun), place)) => {
                let (inference, release) = open.identity();
                let deadline = started + self.limits.total;
                let (stream, pump) =
                    stream::open(begun, open, place, self.limits.clone(), deadline);
                self.streams.spawn(pump);
                Ok(Served { inference, release, body: ServedBody::Stream(stream) })
            }
            Err(error) => {
                let (inference, release) = open.identity();
                open.refused(&error);
                Err(Refusal { error: Box::new(error), inference: Some(inference), release })
            }
        }
    }

    async fn answer(
        &self,
        call: Call,
        snapshot: &Snapshot,
        started: Instant,
        open: &mut OpenRecord,
    ) -> Result<(Dispatched, admit::Place), GatewayError> {
        authenticate::may_infer(&call.context)?;
        let received = receive::read(call, open.inference())?;
        open.received(&received, snapshot);
        let place = self.admission.admit()?;
        let route = route::route(snapshot, &received)?;
        open.routed(&route);
        self.meter.overhead(started.elapsed());
        let dispatch = Dispatch {
            egress: &self.egress,
            limits: &self.limits,
            budget: &self.retries,
            meter: &self.meter,
            deadline: started + self.limits.total,
        };
        let dispatched = dispatch.run(&received.request, &route, open).await?;
        Ok((dispatched, place))
    }

    /// Waits until open streams have ended: the last step of a graceful stop.
    pub async fn drain(&self) {
        self.streams.close();
        self.streams.wait().await;
    }
}
