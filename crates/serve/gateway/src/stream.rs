//! A stream on its way: the upstream's bytes, event by event, until its end or the caller's.
//!
//! A pump per stream stands between upstream and caller. It sees the caller go away even while the
//! upstream is silent, stops the upstream then, and closes the record in every case.

use crate::admit::Place;
use crate::attempt::Begun;
use crate::limits::Limits;
use crate::record::{OpenRecord, Status};
use crate::watch_stream::{Sight, StreamWatch};
use bytes::Bytes;
use futures_util::Stream;
use pelton_egress::Inbound;
use pelton_llm_types::{ErrorBody, SseReader, encode_data};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

/// Pieces that may wait for a slow caller before the upstream is no longer read.
const WAITING_PIECES: usize = 16;
/// How long the upstream's last bytes are waited for, so that its connection can be used again.
const LINGER: Duration = Duration::from_millis(250);

/// Server-sent events for the caller. Dropping it cancels the call.
#[derive(Debug)]
pub struct AnswerStream(mpsc::Receiver<Bytes>);

impl Stream for AnswerStream {
    type Item = Bytes;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.0.poll_recv(context)
    }
}

/// How a stream ended.
enum End {
    /// The answer is whole.
    Whole,
    /// The upstream stopped, with a code and in words.
    Broken(&'static str, String),
    /// The upstream sent an error, which the caller has got.
    Error(String),
    /// The caller went away, or stopped reading.
    Gone(&'static str),
}

/// The caller's end of a stream, and the pump that fills it.
pub(crate) fn open(
    begun: Begun,
    record: OpenRecord,
    place: Place,
    limits: Limits,
    deadline: Instant,
) -> (AnswerStream, impl Future<Output = ()> + Send + 'static) {
    let (sender, receiver) = mpsc::channel(WAITING_PIECES);
    let pump = Pump {
        inbound: begun.inbound,
        reader: begun.reader,
        ready: begun.ready,
        record,
        out: sender,
        limits,
        deadline,
    };
    (AnswerStream(receiver), pump.run(place))
}

struct Pump {
    inbound: Inbound,
    reader: SseReader,
    ready: Vec<u8>,
    record: OpenRecord,
    out: mpsc::Sender<Bytes>,
    limits: Limits,
    deadline: Instant,
}

impl Pump {
    async fn run(mut self, place: Place) {
        let end = self.flow().await;
        let Self { mut inbound, mut ready, record, out, .. } = self;
        let whole = matches!(end, End::Whole);
        close(record, end, &mut ready);
        if !ready.is_empty() {
            // A caller that is gone misses nothing that was recorded as given.
            let _: Result<(), _> = out.try_send(ready.into());
        }
        drop(out);
        drop(place);
        if whole {
            let _: Result<_, _> = timeout(LINGER, inbound.next()).await;
        }
    }

    /// Passes events on until the end; what is ready then has not been sent yet.
    async fn flow(&mut self) -> End {
        loop {
            if let Some(end) = self.read_along() {
                return self.settle(end).await;
            }
            if let Err(end) = self.send().await {
                return end;
            }
            let now = Instant::now();
            let until = self.deadline.min(now + self.limits.idle);
            let next = tokio::select! {
                biased;
                () = self.out.closed() => return End::Gone("The caller went away."),
                next = timeout_at(until, self.inbound.next()) => next,
            };
            match next {
                Ok(Ok(Some(bytes))) => self.reader.push(&bytes),
                Ok(Ok(None)) => return self.at_end().await,
                Ok(Err(error)) => return self.broken("upstream_cut", error.to_string()).await,
                Err(_) if self.deadline <= Instant::now() => {
                    let seconds = self.limits.total.as_secs_f64();
                    let what = format!("the answer took longer than {seconds} s");
                    return self.broken("upstream_timeout", what).await;
                }
                Err(_) => {
                    let seconds = self.limits.idle.as_secs_f64();
                    let what = format!("the upstream was silent for {seconds} s");
                    return self.broken("upstream_timeout", what).await;
                }
            }
        }
    }

    /// Moves whole events from the reader to what is ready.
    fn read_along(&mut self) -> Option<End> {
        if self.record.watch.as_ref().is_some_and(StreamWatch::done) {
            return Some(End::Whole);
        }
        loop {
            let frame = match self.reader.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return None,
                Err(error) => return Some(End::Broken("upstream_cut", error.to_string())),
            };
            let sight = self.record.watch.as_mut()?.see(&frame);
            if sight != Sight::Hidden {
                self.ready.extend(frame.raw);
            }
            match sight {
                Sight::Done => return Some(End::Whole),
                Sight::Error(message) => return Some(End::Error(message)),
                Sight::Preamble | Sight::Content | Sight::Hidden => {}
            }
        }
    }

    /// The upstream closed its stream: the last event may lack its blank line.
    async fn at_end(&mut self) -> End {
        if !self.reader.rest().is_empty() {
            self.reader.push(b"\n\n");
            if let Some(end) = self.read_along() {
                return self.settle(end).await;
            }
        }
        self.broken("upstream_cut", "the stream ended before the answer did".into()).await
    }

    /// The upstream stopped; if the answer is whole all the same, that is its end.
    async fn broken(&mut self, code: &'static str, what: String) -> End {
        let whole = self.record.watch.as_ref().is_some_and(StreamWatch::whole);
        let end = if whole { End::Whole } else { End::Broken(code, what) };
        self.settle(end).await
    }

    /// Makes room for the last piece, so that sending it need not wait.
    async fn settle(&mut self, end: End) -> End {
        let until = self.deadline.max(Instant::now()).min(Instant::now() + self.limits.stalled);
        match timeout_at(until, self.out.reserve()).await {
            Ok(Ok(_permit)) => end,
            Ok(Err(_)) if matches!(end, End::Whole) => end,
            Ok(Err(_)) => End::Gone("The caller went away."),
            Err(_) => End::Gone("The caller stopped reading."),
        }
    }

    async fn send(&mut self) -> Result<(), End> {
        if self.ready.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.ready));
        let until = self.deadline.min(Instant::now() + self.limits.stalled);
        match timeout_at(until, self.out.send(piece)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone("The caller went away.")),
            Err(_) => Err(End::Gone("The caller stopped reading.")),
        }
    }
}

/// Closes the record before the caller can see the end, and tells the caller of a broken one: an
/// error event, and no end marker that would make it look whole.
fn close(record: OpenRecord, end: End, ready: &mut Vec<u8>) {
    match end {
        End::Whole => record.ended(Status::Ok, None),
        End::Error(message) => record.ended(Status::Partial, Some(("upstream_failed", message))),
        End::Gone(why) => {
            ready.clear();
            record.ended(Status::Cancelled, Some(("cancelled", why.into())));
        }
        End::Broken(code, message) => {
            let body = ErrorBody::new(
                "upstream_error",
                code,
                None,
                format!("The answer broke off: {message}."),
            );
            if let Ok(json) = serde_json::to_string(&body) {
                ready.extend(encode_data(&json));
            }
            record.ended(Status::Partial, Some((code, message)));
        }
    }
}
