//! Mixed load for some minutes: short and long prompts, answers that are cut off by their callers,
//! adapters that come and go. `soak MODEL MINUTES THREADS` prints one JSON object; what matters in it
//! is that no request is stuck, and that memory stops growing.

use std::collections::VecDeque;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pelton_model::{Adapter, AdapterConfig, BaseModel, Precision, Projection};
use pelton_scheduler::{Decoder, Event, GenerateRequest, Limits, Sampling, Scheduler};
use pelton_tokens::TextCodec;

use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::mpsc::error::TryRecvError;

type Failure = Box<dyn std::error::Error>;

/// Requests under way at most.
const IN_FLIGHT: usize = 96;
/// Longest that a request may take.
const STUCK: Duration = Duration::from_secs(300);
const ADAPTERS: u64 = 6;

struct Call {
    events: UnboundedReceiver<Event>,
    begun: Instant,
    /// Events after which the caller goes away.
    patience: usize,
}

#[derive(Debug, Default)]
struct Tally {
    finished: u64,
    cancelled: u64,
    refused: u64,
    swaps: u64,
    tokens: u64,
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [model, minutes, threads] = arguments.as_slice() else {
        return Err("usage: soak MODEL MINUTES THREADS".into());
    };
    let folder = Path::new(model);
    let base = BaseModel::load(folder)?;
    let codec = Arc::new(TextCodec::load(folder)?);
    let limits = Limits {
        threads: threads.parse()?,
        // Little memory, so that sequences have to make room.
        kv_tokens: 12_288,
        guessed_tokens: Some(8),
        ..Limits::default()
    };
    let saved = tempfile::tempdir()?;
    for number in 0..ADAPTERS {
        adapter(&base, number)?.save(&saved.path().join(number.to_string()))?;
    }
    let decoder = Decoder::new(&base, Precision::Q8_0)?;
    let vocabulary = codec.vocab_size() as u32;
    let context = decoder.context_length();
    let scheduler = Scheduler::start(decoder, codec, limits)?;
    let length = Duration::from_secs_f64(minutes.parse::<f64>()? * 60.0);
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut calls: VecDeque<Call> = VecDeque::new();
    let (mut tally, mut memory) = (Tally::default(), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < length {
        if memory.len() <= begun.elapsed().as_secs() as usize / 5 {
            memory.push(resident_mib()?);
        }
        if random.random_ratio(1, 50) {
            swap(&scheduler, saved.path(), &mut random)?;
            tally.swaps += 1;
        }
        while calls.len() < IN_FLIGHT {
            let request = request(&mut random, vocabulary, context);
            let patience =
                if random.random_ratio(1, 4) { random.random_range(0..20) } else { usize::MAX };
            match scheduler.submit(request) {
                Ok(events) => calls.push_back(Call { events, begun: Instant::now(), patience }),
                // The adapter was unloaded meanwhile.
                Err(_) => tally.refused += 1,
            }
        }
        listen(&mut calls, &mut tally)?;
    }
    while !calls.is_empty() {
        listen(&mut calls, &mut tally)?;
    }
    let counters = scheduler.counters();
    scheduler.stop();
    let half = memory.len() / 2;
    let most = |part: &[f64]| part.iter().copied().fold(0.0, f64::max);
    let report = format!(
        "{{\"minutes\":{minutes},\"finished\":{},\"cancelled\":{},\"refused\":{},\"adapter_swaps\":{},\
         \"tokens\":{},\"preemptions\":{},\"guessed\":{},\"guessed_right\":{},\"kv_usage_after\":{},\
         \"running_after\":{},\"waiting_after\":{},\"rss_first_half_mb\":{},\"rss_second_half_mb\":{}}}",
        tally.finished,
        tally.cancelled,
        tally.refused,
        tally.swaps,
        tally.tokens,
        counters.preemptions,
        counters.guessed,
        counters.guessed_right,
        counters.kv_usage,
        counters.running,
        counters.waiting,
        most(&memory[..half]),
        most(&memory[half..]),
    );
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

fn adapter(base: &BaseModel, number: u64) -> Result<Adapter, Failure> {
    let config = AdapterConfig {
        rank: 16,
        alpha: 16.0,
        rank_stabilized: number.is_multiple_of(2),
        targets: Projection::ALL.to_vec(),
        base_model: "random".to_owned(),
    };
    Ok(Adapter::initialize(config, base.config(), number)?)
}

/// Loads an adapter anew, or unloads one.
fn swap(scheduler: &Scheduler, saved: &Path, random: &mut ChaCha8Rng) -> Result<(), Failure> {
    let number = random.random_range(0..ADAPTERS).to_string();
    if random.random_ratio(1, 5) {
        // It may not be loaded at the time.
        let _ = scheduler.unload_adapter(&number);
    } else {
        scheduler.load_adapter(&number, &saved.join(&number), true)?;
    }
    Ok(())
}

fn request(random: &mut ChaCha8Rng, vocabulary: u32, context: usize) -> GenerateRequest {
    let prompt = match random.random_range(0..10) {
        0 => random.random_range(context / 2..context - 200),
        1..4 => random.random_range(100..300),
        _ => random.random_range(4..60),
    };
    // Prompts begin alike, so that blocks are shared.
    let alike = prompt.min(random.random_range(0..100));
    let prompt = (0..prompt).map(|at| {
        if at < alike { at as u32 % 50 + 10 } else { random.random_range(0..vocabulary) }
    });
    GenerateRequest {
        prompt: prompt.collect(),
        adapter: random.random_bool(0.6).then(|| random.random_range(0..ADAPTERS).to_string()),
        // Rarely urgent: whoever is always overtaken would wait for good, as priorities have it.
        priority: if random.random_ratio(1, 20) { -1 } else { 0 },
        flow: ["one", "two", "three"][random.random_range(0..3)].into(),
        max_tokens: random.random_bool(0.8).then(|| random.random_range(1..200)),
        sampling: Sampling { temperature: random.random_range(0.0..1.0), ..Sampling::default() },
        stream: true,
        ..GenerateRequest::default()
    }
}

/// Takes what came of all calls, and gives up those whose callers have no more patience.
fn listen(calls: &mut VecDeque<Call>, tally: &mut Tally) -> Result<(), Failure> {
    let mut idle = true;
    for _ in 0..calls.len() {
        let Some(mut call) = calls.pop_front() else { break };
        match call.events.try_recv() {
            Ok(Event::Done(completion)) => {
                idle = false;
                tally.finished += 1;
                tally.tokens += completion.tokens.len() as u64;
            }
            Ok(_) if call.patience == 0 => tally.cancelled += 1,
            Ok(_) => {
                idle = false;
                call.patience -= 1;
                calls.push_back(call);
            }
            Err(TryRecvError::Empty) if call.begun.elapsed() > STUCK => {
                return Err(format!("a request was stuck for {STUCK:?}").into());
            }
            Err(TryRecvError::Empty) => calls.push_back(call),
            Err(TryRecvError::Disconnected) => return Err("the engine ended".into()),
        }
    }
    if idle {
        std::thread::yield_now();
    }
    Ok(())
}

fn resident_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<f64>()? / 1024.0)
}
