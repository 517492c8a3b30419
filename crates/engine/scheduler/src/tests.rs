//! The engine on a small random model: right numbers, and the same text in whatever company.

use std::path::Path;
use std::sync::Arc;

use pelton_model::{
    Adapter, AdapterConfig, BaseModel, DecoderConfig, Precision, Projection, open_model,
    quantize_to_gguf,
};
use pelton_tokens::{BYTE_VOCAB_SIZE, TextCodec, write_byte_tokenizer};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::forward::{Part, Workspace, each_logits, forward};
use crate::lora::LoraWeights;
use crate::paged_kv::{BlockPool, SequenceCache};
use crate::plain_decoder;
use crate::prefix_cache::PrefixCache;
use crate::team::Team;
use crate::{
    AdapterError, Completion, Decoder, Event, FinishReason, GenerateRequest, Limits, Sampling,
    Scheduler, SubmitError, TokenLogprob,
};

/// Weights large enough that the next token depends on the whole prompt.
fn model() -> BaseModel {
    let mut config = DecoderConfig::small(BYTE_VOCAB_SIZE, 64, 96, 3, 4, 2);
    config.max_position_embeddings = 2048;
    // A separate head: a tied one would mostly repeat the last token.
    config.tie_word_embeddings = false;
    let mut weights = BaseModel::initialize(config.clone(), 5).unwrap().weights().to_vec();
    for weight in weights.iter_mut().filter(|weight| **weight != 1.0) {
        *weight *= 6.0;
    }
    BaseModel::new(config, weights).unwrap()
}

fn adapter(seed: u64, targets: &[Projection]) -> Adapter {
    let config = AdapterConfig {
        rank: 4,
        alpha: 8.0,
        rank_stabilized: false,
        targets: targets.to_vec(),
        base_model: "random".to_owned(),
    };
    let mut adapter = Adapter::initialize(config, model().config(), seed).unwrap();
    for (at, (_, pair)) in adapter.pairs_mut().enumerate() {
        for (index, b) in pair.b.iter_mut().enumerate() {
            *b = ((index * 7 + at + seed as usize) % 13) as f32 * 0.02 - 0.12;
        }
    }
    adapter
}

fn codec() -> Arc<TextCodec> {
    let folder = TempDir::new().unwrap();
    write_byte_tokenizer(folder.path()).unwrap();
    Arc::new(TextCodec::load(folder.path()).unwrap())
}

fn small_limits() -> Limits {
    Limits {
        max_batch: 16,
        max_batch_tokens: 64,
        kv_tokens: 8192,
        max_waiting: 256,
        guessed_tokens: None,
        threads: 2,
    }
}

fn scheduler_with(limits: Limits, precision: Precision) -> Scheduler {
    Scheduler::start(Decoder::new(&model(), precision).unwrap(), codec(), limits).unwrap()
}

fn scheduler(limits: Limits) -> Scheduler {
    scheduler_with(limits, Precision::F32)
}

fn saved(adapter: &Adapter) -> TempDir {
    let folder = TempDir::new().unwrap();
    adapter.save(folder.path()).unwrap();
    folder
}

/// A prompt of `length` bytes that depends on `seed`.
fn prompt(seed: usize, length: usize) -> Vec<u32> {
    (0..length).map(|at| 7 + ((seed * 31 + at * at * 17 + at * 5) % 256) as u32).collect()
}

fn greedy(prompt: Vec<u32>, max_tokens: usize) -> GenerateRequest {
    GenerateRequest {
        prompt,
        max_tokens: Some(max_tokens),
        ignore_eos: true,
        sampling: Sampling { temperature: 0.0, ..Sampling::default() },
        ..GenerateRequest::default()
    }
}

fn finish(mut events: UnboundedReceiver<Event>) -> (Vec<String>, Completion) {
    let mut pieces = Vec::new();
    loop {
        match events.blocking_recv().unwrap() {
            Event::Prompt(_) => {}
            Event::Text { text, .. } => pieces.push(text),
            Event::Done(completion) => return (pieces, completion),
            Event::Broken(broken) => panic!("{broken}"),
        }
    }
}

fn run(scheduler: &Scheduler, request: GenerateRequest) -> Completion {
    finish(scheduler.submit(request).unwrap()).1
}

fn run_all(scheduler: &Scheduler, requests: Vec<GenerateRequest>) -> Vec<Completion> {
    let all: Vec<_> =
        requests.into_iter().map(|request| scheduler.submit(request).unwrap()).collect();
    all.into_iter().map(|events| finish(events).1).collect()
}

/// Logits after the last token, computed in chunks of the given sizes.
fn engine_logits(
    decoder: &Decoder,
    tokens: &[u32],
    chunks: &[usize],
    adapter: Option<&LoraWeights>,
) -> Vec<f32> {
    team_logits(&Team::default(), decoder, tokens, chunks, adapter)
}

fn team_logits(
    team: &Team,
    decoder: &Decoder,
    tokens: &[u32],
    chunks: &[usize],
    adapter: Option<&LoraWeights>,
) -> Vec<f32> {
    let mut pool = BlockPool::new(decoder.blocks, 1000);
    let mut prefixes = PrefixCache::new();
    let mut cache = SequenceCache::default();
    let mut workspace = Workspace::default();
    let mut rest = tokens;
    for &chunk in chunks.iter().chain([&usize::MAX]) {
        let (now, later) = rest.split_at(chunk.min(rest.len()));
        rest = later;
        pool.grow(&mut cache, now.len(), &mut prefixes);
        let logits = usize::from(rest.is_empty());
        let part = Part { tokens: now, cache: &mut cache, adapter, logits };
        let mut last = Vec::new();
        team.pass(|| {
            forward(decoder, &mut [part], &mut workspace, team);
            each_logits(decoder, &mut workspace, team, |logits| last.extend_from_slice(logits));
        });
        if rest.is_empty() {
            return last;
        }
    }
    Vec::new()
}

fn largest_difference(found: &[f32], expected: impl IntoIterator<Item = f64>) -> f64 {
    let differences =
        found.iter().zip(expected).map(|(&found, expected)| (f64::from(found) - expected).abs());
    differences.fold(0.0, f64::max)
}

#[test]
fn logits_equal_the_formulas_at_every_length_and_in_every_chunking() {
    let model = model();
    let decoder = Decoder::new(&model, Precision::F32).unwrap();
    let tokens = prompt(1, 40);
    let expected = plain_decoder::logits(&model, &tokens);
    for length in [1, 2, 15, 16, 17, 33, 40] {
        let whole = engine_logits(&decoder, &tokens[..length], &[], None);
        let reference = expected[length - 1].iter().copied();
        assert!(largest_difference(&whole, reference) < 1e-4, "length {length}");
        for chunks in [&[1][..], &[5, 1, 1], &[16, 1], &[7, 20]] {
            assert_eq!(engine_logits(&decoder, &tokens[..length], chunks, None), whole);
        }
    }
}

#[test]
fn logits_equal_the_formulas_in_every_family() {
    for config in model().config().in_every_family() {
        let mut weights = BaseModel::initialize(config.clone(), 6).unwrap().weights().to_vec();
        for (at, weight) in weights.iter_mut().enumerate() {
            *weight = *weight * 4.0 + (at % 7) as f32 * 0.01;
        }
        let family = config.family().to_owned();
        let model = BaseModel::new(config, weights).unwrap();
        let decoder = Decoder::new(&model, Precision::F32).unwrap();
        let tokens = prompt(1, 40);
        let expected = plain_decoder::logits(&model, &tokens);
        for length in [1, 7, 23, 40] {
            let whole = engine_logits(&decoder, &tokens[..length], &[], None);
            let reference = expected[length - 1].iter().copied();
            let difference = largest_difference(&whole, reference);
            assert!(difference < 1e-4, "{family}, length {length}: {difference}");
            for chunks in [&[1][..], &[5, 1, 1], &[16, 1], &[7, 20]] {
                assert_eq!(engine_logits(&decoder, &tokens[..length], chunks, None), whole);
            }
        }
    }
}

#[test]
fn a_team_computes_the_same_bits_as_one_thread() {
    let tokens = prompt(3, 70);
    let loaded = adapter(2, &Projection::ALL);
    for config in model().config().in_every_family() {
        let model = BaseModel::initialize(config, 6).unwrap();
        for precision in [Precision::F32, Precision::Q8_0] {
            let decoder = Decoder::new(&model, precision).unwrap();
            let lora = LoraWeights::new(&loaded, &decoder).unwrap();
            for threads in [1, 2, 5] {
                let team = Team::start(threads).unwrap();
                for (chunks, adapter) in [(&[][..], None), (&[40, 1, 1], Some(&lora))] {
                    let alone = engine_logits(&decoder, &tokens, chunks, adapter);
                    assert_eq!(team_logits(&team, &decoder, &tokens, chunks, adapter), alone);
                }
            }
        }
    }
}

#[test]
fn q8_stays_near_f32() {
    let model = model();
    let tokens = prompt(2, 30);
    let expected = plain_decoder::logits(&model, &tokens);
    let decoder = Decoder::new(&model, Precision::Q8_0).unwrap();
    let found = engine_logits(&decoder, &tokens, &[], None);
    let last = expected.last().unwrap();
    let spread = last.iter().map(|logit| logit.abs()).fold(0.0, f64::max);
    let difference = largest_difference(&found, last.iter().copied());
    assert!(difference > 0.0 && difference < 0.05 * spread, "{difference} of {spread}");
}

#[test]
fn an_adapter_equals_its_merged_weights() {
    let model = model();
    let decoder = Decoder::new(&model, Precision::F32).unwrap();
    let tokens = prompt(3, 21);
    let plain = engine_logits(&decoder, &tokens, &[], None);
    for targets in [&Projection::ALL[..], &[Projection::Value, Projection::Down], &[Projection::Up]]
    {
        let adapter = adapter(1, targets);
        let weights = LoraWeights::new(&adapter, &decoder).unwrap();
        let found = engine_logits(&decoder, &tokens, &[4], Some(&weights));
        let merged = Decoder::new(&model.merged(&adapter).unwrap(), Precision::F32).unwrap();
        let expected = engine_logits(&merged, &tokens, &[], None);
        let expected = || expected.iter().map(|&logit| f64::from(logit));
        assert!(largest_difference(&found, expected()) < 1e-4);
        assert!(largest_difference(&plain, expected()) > 0.01, "the adapter changes nothing");
    }
}

/// Greedy and sampled requests of all lengths, with and without adapters.
fn varied_requests(count: usize) -> Vec<GenerateRequest> {
    (0..count)
        .map(|at| {
            let mut request = greedy(prompt(at, 1 + at * 7 % 90), 1 + at * 5 % 24);
            if at % 3 == 0 {
                request.sampling =
                    Sampling { seed: Some(at as u64), top_p: 0.95, ..Sampling::default() };
            }
            request.adapter = [None, Some("one"), Some("two")][at % 3].map(str::to_owned);
            if at % 4 == 0 {
                request.logprobs = Some(3);
            }
            request
        })
        .collect()
}

#[test]
fn company_does_not_change_a_single_token_or_logprob() {
    let one = saved(&adapter(1, &Projection::ALL));
    let two = saved(&adapter(2, &[Projection::Query, Projection::Gate]));
    for precision in [Precision::F32, Precision::Q8_0] {
        let load = |scheduler: &Scheduler| {
            scheduler.load_adapter("one", one.path(), false).unwrap();
            scheduler.load_adapter("two", two.path(), false).unwrap();
        };
        let alone = Limits { max_batch: 1, max_batch_tokens: 4096, threads: 1, ..small_limits() };
        let alone = scheduler_with(alone, precision);
        let crowded = scheduler_with(small_limits(), precision);
        load(&alone);
        load(&crowded);
        let expected: Vec<_> =
            varied_requests(40).into_iter().map(|request| run(&alone, request)).collect();
        let found = run_all(&crowded, varied_requests(40));
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.tokens, expected.tokens, "request {at}");
            assert_eq!(found.logprobs, expected.logprobs, "request {at}");
            assert_eq!(found.text, expected.text, "request {at}");
        }
        let distinct: std::collections::HashSet<_> =
            expected.iter().map(|completion| &completion.tokens).collect();
        assert!(distinct.len() > 30, "the model answers everything alike");
    }
}

#[test]
fn a_cached_prefix_gives_the_same_text_and_belongs_to_one_adapter_generation() {
    let scheduler = scheduler(small_limits());
    let first = saved(&adapter(1, &Projection::ALL));
    let second = saved(&adapter(2, &Projection::ALL));
    scheduler.load_adapter("a", first.path(), false).unwrap();
    let ask = |adapter: Option<&str>| {
        let request =
            GenerateRequest { adapter: adapter.map(str::to_owned), ..greedy(prompt(4, 50), 12) };
        run(&scheduler, request)
    };
    let base = ask(None);
    assert_eq!((base.usage.prompt_tokens, base.usage.cached_tokens), (50, 0));
    let again = ask(None);
    assert_eq!(again.usage.cached_tokens, 48);
    assert_eq!(again.tokens, base.tokens);

    let tuned = ask(Some("a"));
    assert_eq!(tuned.usage.cached_tokens, 0);
    assert_ne!(tuned.tokens, base.tokens);
    scheduler.load_adapter("a", second.path(), true).unwrap();
    let retuned = ask(Some("a"));
    assert_eq!(retuned.usage.cached_tokens, 0);
    assert_ne!(retuned.tokens, tuned.tokens);
    assert_eq!(ask(Some("a")).usage.cached_tokens, 48);
}

#[test]
fn a_running_request_keeps_the_adapter_it_began_with() {
    let scheduler = scheduler(small_limits());
    let first = saved(&adapter(1, &Projection::ALL));
    let second = saved(&adapter(2, &Projection::ALL));
    let request = GenerateRequest { adapter: Some("a".into()), ..greedy(prompt(5, 9), 200) };
    let loaded = scheduler.load_adapter("a", first.path(), false).unwrap();
    let expected = run(&scheduler, request.clone());
    let events = scheduler.submit(request.clone()).unwrap();
    let replaced = scheduler.load_adapter("a", second.path(), true).unwrap();
    assert!(replaced.generation > loaded.generation);
    assert_ne!(run(&scheduler, request.clone()).tokens, expected.tokens);
    scheduler.unload_adapter("a").unwrap();
    assert_eq!(finish(events).1.tokens, expected.tokens);
    assert_eq!(scheduler.submit(request).unwrap_err(), SubmitError::UnknownAdapter("a".into()));
}

#[test]
fn adapters_are_listed_and_clashes_are_named() {
    let scheduler = scheduler(small_limits());
    let folder = saved(&adapter(1, &Projection::ALL));
    let info = scheduler.load_adapter("a", folder.path(), false).unwrap();
    assert_eq!((info.name.as_str(), info.rank), ("a", 4));
    assert_eq!(scheduler.adapters(), [info]);
    let again = scheduler.load_adapter("a", folder.path(), false).unwrap_err();
    assert!(matches!(again, AdapterError::AlreadyLoaded(_)));
    assert!(matches!(scheduler.unload_adapter("b"), Err(AdapterError::NotLoaded(_))));
    let broken = scheduler.load_adapter("b", Path::new("/nowhere"), false).unwrap_err();
    assert!(broken.to_string().contains("/nowhere"), "{broken}");
    let weights = folder.path().join("adapter_model.safetensors");
    let bytes = std::fs::read(&weights).unwrap();
    std::fs::write(&weights, &bytes[..bytes.len() / 2]).unwrap();
    let damaged = scheduler.load_adapter("b", folder.path(), false).unwrap_err();
    assert!(damaged.to_string().contains("is damaged"), "{damaged}");
}

#[test]
fn streamed_pieces_make_the_whole_text() {
    let scheduler = scheduler(small_limits());
    let request = GenerateRequest { stream: true, ..greedy(prompt(6, 20), 40) };
    let (pieces, completion) = finish(scheduler.submit(request.clone()).unwrap());
    assert!(pieces.len() > 1);
    assert_eq!(pieces.concat(), completion.text);
    assert_eq!(completion.finish_reason, FinishReason::Length);
    assert_eq!(completion.usage.completion_tokens, 40);
    let unary = run(&scheduler, GenerateRequest { stream: false, ..request });
    assert_eq!(unary.text, completion.text);
    assert_eq!(unary.text, scheduler.codec().decode(&unary.tokens));
}

#[test]
fn a_stop_text_ends_the_answer_before_it() {
    let scheduler = scheduler(small_limits());
    let whole = run(&scheduler, greedy(prompt(7, 20), 40)).text;
    let characters: Vec<(usize, char)> = whole.char_indices().collect();
    let (from, to) = (characters[characters.len() / 2].0, characters[characters.len() / 2 + 3].0);
    let stop = &whole[from..to];
    let at = whole.find(stop).unwrap();
    let request = GenerateRequest {
        stop: vec!["never in there".into(), stop.into()],
        stream: true,
        ..greedy(prompt(7, 20), 40)
    };
    let (pieces, completion) = finish(scheduler.submit(request).unwrap());
    assert_eq!(completion.text, whole[..at]);
    assert_eq!(pieces.concat(), whole[..at]);
    assert_eq!(completion.finish_reason, FinishReason::Stop);
}

#[test]
fn the_end_token_ends_the_answer_and_leaves_no_text() {
    let scheduler = scheduler(small_limits());
    // A bias makes the end token (2) certain after any prompt.
    let mut request = greedy(prompt(8, 5), 40);
    request.sampling.logit_bias = vec![(2, 1000.0)];
    request.ignore_eos = false;
    let completion = run(&scheduler, request);
    assert_eq!((completion.text.as_str(), completion.tokens.as_slice()), ("", &[2][..]));
    assert_eq!(completion.finish_reason, FinishReason::Stop);
}

#[test]
fn logprobs_are_those_of_the_model() {
    let model = model();
    let scheduler = scheduler(small_limits());
    let request = GenerateRequest { logprobs: Some(4), ..greedy(prompt(9, 12), 3) };
    let completion = run(&scheduler, request);
    assert_eq!(completion.logprobs.len(), 3);
    let mut tokens = prompt(9, 12);
    for (token, logprob) in completion.tokens.iter().zip(&completion.logprobs) {
        let logits = plain_decoder::logits(&model, &tokens);
        let probabilities = plain_decoder::softmax(logits.last().unwrap());
        let expected = probabilities[*token as usize].ln();
        assert!((f64::from(logprob.logprob) - expected).abs() < 1e-4);
        assert_eq!((logprob.token, logprob.top[0].0, logprob.top.len()), (*token, *token, 4));
        assert!(logprob.top.windows(2).all(|pair| pair[0].1 >= pair[1].1));
        tokens.push(*token);
    }
}

/// The event of a read prompt, and the completion.
fn scored(scheduler: &Scheduler, request: GenerateRequest) -> (Vec<TokenLogprob>, Completion) {
    let mut events = scheduler.submit(request).unwrap();
    let Event::Prompt(scored) = events.blocking_recv().unwrap() else { panic!("no scores first") };
    (scored, finish(events).1)
}

#[test]
fn a_prompt_is_scored_in_every_chunking_and_behind_the_prefix_cache() {
    let model = model();
    let tokens = prompt(14, 150);
    let rows = plain_decoder::logits(&model, &tokens);
    for budget in [7, 64, 1024] {
        let scheduler = scheduler(Limits { max_batch_tokens: budget, ..small_limits() });
        let plain = greedy(tokens.clone(), 5);
        let answer = run(&scheduler, plain.clone());
        // Its prompt is in the prefix cache now, and others run beside it.
        let others = run_all_later(&scheduler, 3);
        let asked = GenerateRequest { prompt_logprobs: Some(2), ..plain };
        let (found, completion) = scored(&scheduler, asked.clone());
        assert_eq!(completion.usage.cached_tokens, 0);
        assert_eq!(completion.text, answer.text);
        assert_eq!(found.len(), tokens.len() - 1);
        for (at, found) in found.iter().enumerate() {
            let expected = plain_decoder::softmax(&rows[at])[tokens[at + 1] as usize].ln();
            assert_eq!((found.token, found.top.len()), (tokens[at + 1], 2));
            assert!((f64::from(found.logprob) - expected).abs() < 1e-3, "token {at}");
        }
        for events in others {
            finish(events);
        }
        let (again, nothing) = scored(&scheduler, GenerateRequest { max_tokens: Some(0), ..asked });
        assert_eq!(again, found);
        assert_eq!((nothing.text.as_str(), nothing.tokens.len()), ("", 0));
        assert_eq!(nothing.finish_reason, FinishReason::Length);
        assert_eq!(run(&scheduler, greedy(tokens.clone(), 5)).usage.cached_tokens, 144);
    }
}

#[test]
fn a_scored_prompt_that_makes_room_is_scored_once_and_right() {
    let asked = |seed| GenerateRequest { prompt_logprobs: Some(1), ..greedy(prompt(seed, 90), 60) };
    let alone = scheduler(small_limits());
    let expected: Vec<_> = (60..66).map(|seed| scored(&alone, asked(seed))).collect();
    let crowded = scheduler(Limits { kv_tokens: 384, max_batch_tokens: 40, ..small_limits() });
    let running: Vec<_> = (60..66).map(|seed| crowded.submit(asked(seed)).unwrap()).collect();
    for (mut events, (scores, completion)) in running.into_iter().zip(expected) {
        let Event::Prompt(found) = events.blocking_recv().unwrap() else { panic!("no scores") };
        assert_eq!(found, scores);
        assert_eq!(finish(events).1.tokens, completion.tokens);
    }
    assert!(crowded.counters().preemptions > 0);
}

fn run_all_later(scheduler: &Scheduler, count: usize) -> Vec<UnboundedReceiver<Event>> {
    let ask = |seed| scheduler.submit(greedy(prompt(40 + seed, 30), 20)).unwrap();
    (0..count).map(ask).collect()
}

#[test]
fn stops_are_kept_where_the_request_says_so() {
    let scheduler = scheduler(small_limits());
    let plain = run(&scheduler, greedy(prompt(15, 20), 24));
    let text = plain.text.clone();
    let (at, middle) = text.char_indices().nth(5).unwrap();
    let stop: String = text[at..].chars().take(2).collect();
    let first = text.find(&stop).unwrap();
    let by_text = GenerateRequest { stop: vec![stop.clone()], ..greedy(prompt(15, 20), 24) };
    assert_eq!(run(&scheduler, by_text.clone()).text, text[..first]);
    let kept = run(&scheduler, GenerateRequest { include_stop: true, ..by_text });
    assert_eq!(kept.text, text[..first + stop.len()], "{middle}");

    let last = plain.tokens[7];
    let first = plain.tokens.iter().position(|&token| token == last).unwrap();
    let by_token = GenerateRequest { stop_token_ids: vec![last], ..greedy(prompt(15, 20), 24) };
    let ended = run(&scheduler, by_token.clone());
    assert_eq!(ended.tokens, plain.tokens[..=first]);
    assert_eq!(ended.finish_reason, FinishReason::Stop);
    assert_eq!(ended.text, codec().decode(&plain.tokens[..first]));
    let kept = run(&scheduler, GenerateRequest { include_stop: true, ..by_token });
    assert_eq!(kept.text, codec().decode(&plain.tokens[..=first]));
}

#[test]
fn a_seed_gives_the_same_text_and_another_seed_another() {
    let scheduler = scheduler(small_limits());
    let ask = |seed| {
        let sampling = Sampling { seed: Some(seed), ..Sampling::default() };
        run(&scheduler, GenerateRequest { sampling, ..greedy(prompt(10, 10), 30) }).tokens
    };
    assert_eq!(ask(1), ask(1));
    assert_ne!(ask(1), ask(2));
}

#[test]
fn an_abandoned_request_makes_room() {
    let scheduler = scheduler(Limits { max_batch: 1, ..small_limits() });
    let mut long =
        scheduler.submit(GenerateRequest { stream: true, ..greedy(prompt(11, 10), 2000) }).unwrap();
    assert!(matches!(long.blocking_recv(), Some(Event::Text { .. })));
    let next = scheduler.submit(greedy(prompt(12, 10), 2)).unwrap();
    drop(long);
    assert_eq!(finish(next).1.tokens.len(), 2);
    let counters = scheduler.counters();
    assert_eq!((counters.aborted, counters.length), (1, 1));
}

#[test]
fn more_than_may_wait_is_refused() {
    let scheduler = scheduler(Limits { max_batch: 1, max_waiting: 1, ..small_limits() });
    let mut long =
        scheduler.submit(GenerateRequest { stream: true, ..greedy(prompt(13, 10), 2000) }).unwrap();
    assert!(matches!(long.blocking_recv(), Some(Event::Text { .. })));
    let waits = scheduler.submit(greedy(prompt(14, 10), 2)).unwrap();
    assert_eq!(
        scheduler.submit(greedy(prompt(15, 10), 2)).unwrap_err(),
        SubmitError::Overloaded { waiting: 1 }
    );
    drop(long);
    finish(waits);
    assert_eq!(run(&scheduler, greedy(prompt(15, 10), 2)).tokens.len(), 2);
    assert_eq!(scheduler.counters().rejected, 1);
}

#[test]
fn little_memory_means_making_room_not_failing() {
    let roomy = scheduler(small_limits());
    let tight = scheduler(Limits { kv_tokens: 160, ..small_limits() });
    let sampled = Sampling { seed: Some(3), presence_penalty: 0.5, ..Sampling::default() };
    let requests = || {
        (0..24).map(|at| GenerateRequest {
            sampling: if at % 2 == 0 { greedy(Vec::new(), 1).sampling } else { sampled.clone() },
            logprobs: Some(2),
            prompt_logprobs: (at % 3 == 0).then_some(1),
            ..greedy(prompt(at % 5, 20 + at), 60)
        })
    };
    let found = run_all(&tight, requests().collect());
    let expected = run_all(&roomy, requests().collect());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((&found.tokens, &found.logprobs), (&expected.tokens, &expected.logprobs));
        assert_eq!(found.usage.prompt_tokens, expected.usage.prompt_tokens);
    }
    let (tight, roomy) = (tight.counters(), roomy.counters());
    assert!(tight.preemptions > 0 && roomy.preemptions == 0, "{tight:?}");
    assert_eq!((tight.waiting, tight.running), (0, 0));
}

#[test]
fn a_long_limit_does_not_hold_memory_that_a_short_answer_never_needs() {
    let scheduler = scheduler(Limits { kv_tokens: 2048, ..small_limits() });
    // Each may take up all of the memory; stopped early, eight fit beside each other.
    let brief = |at| GenerateRequest {
        stop_token_ids: (0..=u32::from(u8::MAX)).map(|byte| byte + 7).collect(),
        ..greedy(prompt(at, 40), 2000)
    };
    let requests: Vec<_> = (0..8).map(brief).collect();
    let all: Vec<_> = requests.into_iter().map(|one| scheduler.submit(one).unwrap()).collect();
    for events in all {
        assert!(finish(events).1.tokens.len() <= 2000);
    }
    let counters = scheduler.counters();
    assert_eq!(counters.preemptions, 0);
    // One after another they would take a step each for prompt and answer.
    assert!(counters.steps < 8, "{} steps", counters.steps);
}

#[test]
fn what_is_urgent_overtakes_and_has_others_make_room() {
    let scheduler = scheduler(Limits { max_batch: 1, ..small_limits() });
    let of = |seed, priority| GenerateRequest {
        stream: true,
        priority,
        ..greedy(prompt(seed, 10), 400)
    };
    let expected = run(&scheduler, greedy(prompt(16, 10), 400));
    let mut long = scheduler.submit(of(16, 5)).unwrap();
    let Some(Event::Text { text: begun, .. }) = long.blocking_recv() else { panic!("no text") };
    let later = scheduler.submit(of(17, 5)).unwrap();
    let urgent = scheduler.submit(GenerateRequest { priority: -1, ..greedy(prompt(18, 10), 2) });
    finish(urgent.unwrap());
    let counters = scheduler.counters();
    assert_eq!((counters.preemptions, counters.length), (1, 2), "the long one made room");
    // It goes on where it was, before what came later.
    let (pieces, completion) = finish(long);
    assert_eq!(completion.tokens, expected.tokens);
    assert_eq!(begun + &pieces.concat(), expected.text);
    assert_eq!(finish(later).1.tokens.len(), 400);
}

#[test]
fn flows_share_the_engine_whoever_asks_more() {
    let scheduler = scheduler(Limits { max_batch: 1, ..small_limits() });
    let of =
        |flow: &str, seed| GenerateRequest { flow: flow.into(), ..greedy(prompt(seed, 30), 20) };
    // One holds the batch while the others queue: twenty of a greedy flow, then two of a modest one.
    let mut first = scheduler.submit(GenerateRequest { stream: true, ..of("greedy", 1) }).unwrap();
    assert!(matches!(first.blocking_recv(), Some(Event::Text { .. })));
    let many: Vec<_> = (0..20).map(|at| scheduler.submit(of("greedy", at)).unwrap()).collect();
    let few: Vec<_> = (0..2).map(|at| scheduler.submit(of("modest", 40 + at)).unwrap()).collect();
    few.into_iter().for_each(|events| drop(finish(events)));
    let done = scheduler.counters().length;
    assert!(done < 10, "the modest flow's two calls were behind {done} others");
    many.into_iter().for_each(|events| drop(finish(events)));
}

#[test]
fn guessing_ahead_changes_no_text() {
    let plain = scheduler(small_limits());
    let guessing = scheduler(Limits { guessed_tokens: Some(48), ..small_limits() });
    let requests = || {
        // Prompts that repeat themselves: there is something to find.
        (0..12).map(|at| {
            let once = prompt(at % 4, 12);
            let sampling = match at % 3 {
                0 => Sampling { temperature: 0.0, ..Sampling::default() },
                1 => Sampling { seed: Some(at as u64), temperature: 0.4, ..Sampling::default() },
                _ => Sampling {
                    temperature: 0.0,
                    frequency_penalty: 0.3,
                    repetition_penalty: 1.1,
                    ..Sampling::default()
                },
            };
            GenerateRequest {
                sampling,
                logprobs: Some(1),
                stop: if at == 5 { vec!["q".to_owned()] } else { Vec::new() },
                ..greedy(once.repeat(3), 150 + at)
            }
        })
    };
    let found = run_all(&guessing, requests().collect());
    let expected = run_all(&plain, requests().collect());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!((&found.tokens, &found.text), (&expected.tokens, &expected.text));
        assert_eq!(found.logprobs, expected.logprobs);
    }
    let one = |scheduler: &Scheduler| {
        let before = scheduler.counters().steps;
        run(scheduler, greedy(prompt(1, 12).repeat(3), 300));
        scheduler.counters().steps - before
    };
    let counters = guessing.counters();
    assert!(counters.guessed_right > 0 && counters.guessed > counters.guessed_right);
    assert!(one(&guessing) < one(&plain), "right guesses save steps");
}

#[test]
fn the_next_turn_finds_the_answer_in_the_prefix_cache() {
    let scheduler = scheduler(small_limits());
    let mut turn = prompt(20, 40);
    let answer = run(&scheduler, greedy(turn.clone(), 40));
    turn.extend(&answer.tokens);
    turn.extend(prompt(21, 10));
    // All but the last token of the answer was computed: 79 tokens, four whole blocks.
    assert_eq!(run(&scheduler, greedy(turn, 1)).usage.cached_tokens, 64);
}

#[test]
fn blocks_are_reused_and_never_more_than_there_are() {
    let decoder = Decoder::new(&model(), Precision::F32).unwrap();
    let mut pool = BlockPool::new(decoder.blocks, 4);
    let mut prefixes = PrefixCache::new();
    for round in 0..6 {
        let tokens = prompt(round, 40);
        let mut cache = SequenceCache::with_prefix(prefixes.find(0, &tokens));
        assert!(pool.grow(&mut cache, 60, &mut prefixes));
        assert_eq!(pool.available(&prefixes), 0);
        // A fifth block is not there, and asking for it takes nothing away.
        assert!(!pool.grow(&mut cache, 80, &mut prefixes));
        cache.advance(40);
        let spare = prefixes.remember(0, &tokens, cache.seal_full_blocks());
        pool.put_back(spare);
        pool.release(cache, &mut prefixes);
        assert!(pool.existing() <= 4);
        assert_eq!((pool.available(&prefixes), prefixes.idle()), (4, prefixes.len()));
    }
    // The last prompt's two full blocks are still known.
    assert_eq!(prefixes.find(0, &prompt(5, 40)).len(), 2);
    assert_eq!(prefixes.find(1, &prompt(5, 40)).len(), 0);
    assert!(prefixes.len() <= 4);
}

#[test]
fn what_cannot_run_is_refused_with_numbers() {
    let scheduler = scheduler(small_limits());
    let refused = |request| scheduler.submit(request).unwrap_err().to_string();
    assert_eq!(refused(greedy(Vec::new(), 5)), "the prompt is empty");
    assert_eq!(refused(greedy(vec![9999], 5)), "token 9999 is not in the vocabulary of 263 tokens");
    assert_eq!(
        refused(greedy(prompt(1, 2000), 100)),
        "this model's maximum context length is 2048 tokens, but 2000 tokens of prompt and 100 of \
         answer were asked for; shorten the prompt or lower max_tokens"
    );
    let unlimited = GenerateRequest { max_tokens: None, ..greedy(prompt(1, 2047), 1) };
    assert_eq!(run(&scheduler, unlimited).tokens.len(), 1);
}

#[test]
fn stopping_closes_what_runs_and_refuses_what_comes() {
    let scheduler = scheduler(small_limits());
    let mut long =
        scheduler.submit(GenerateRequest { stream: true, ..greedy(prompt(16, 10), 2000) }).unwrap();
    assert!(matches!(long.blocking_recv(), Some(Event::Text { .. })));
    assert!(scheduler.is_running());
    scheduler.stop();
    while let Some(event) = long.blocking_recv() {
        assert!(matches!(event, Event::Text { .. }), "it was not stopped");
    }
    // The thread is gone, as its end of the event channel was.
    assert_eq!(scheduler.submit(greedy(prompt(16, 10), 1)).unwrap_err(), SubmitError::Stopped);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(scheduler.ended());
    assert!(!scheduler.is_running());
}

/// Rows of 512 and 256, so that super-blocks fit.
fn wide_model(tied: bool) -> BaseModel {
    let mut config = DecoderConfig::small(BYTE_VOCAB_SIZE, 256, 512, 8, 8, 2);
    config.tie_word_embeddings = tied;
    let mut weights = BaseModel::initialize(config.clone(), 5).unwrap().weights().to_vec();
    for weight in weights.iter_mut().filter(|weight| **weight != 1.0) {
        *weight *= 3.0;
    }
    BaseModel::new(config, weights).unwrap()
}

#[test]
fn fewer_bits_move_the_logits_less_than_the_bits_that_were_cut() {
    let model = wide_model(false);
    let tokens = prompt(1, 40);
    let exact = engine_logits(&Decoder::new(&model, Precision::F32).unwrap(), &tokens, &[], None);
    let size = exact.iter().map(|logit| logit * logit).sum::<f32>().sqrt();
    let mut bytes = usize::MAX;
    for (precision, most) in [
        (Precision::F16, 0.01),
        (Precision::Q8_0, 0.1),
        (Precision::Q6K, 0.25),
        (Precision::Q4KM, 0.8),
        (Precision::Q4K, 0.9),
    ] {
        let decoder = Decoder::new(&model, precision).unwrap();
        let found = engine_logits(&decoder, &tokens, &[], None);
        let away = found.iter().zip(&exact).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt();
        assert!(away / size < most, "{precision}: {}", away / size);
        assert!(away / size > 1e-5, "{precision} rounds something");
        let told = Decoder::needed_bytes(&model, precision).unwrap() as f64;
        let taken = decoder.weight_bytes() as f64;
        assert!((told / taken - 1.0).abs() < 0.05, "{precision}: {told} told, {taken} taken");
        assert!(decoder.weight_bytes() < bytes, "{precision} is smaller than what came before");
        bytes = decoder.weight_bytes();
        for chunks in [&[1][..], &[16, 1], &[7, 20]] {
            assert_eq!(engine_logits(&decoder, &tokens, chunks, None), found, "{precision}");
        }
    }
}

#[test]
fn a_gguf_file_computes_what_its_folder_computes() {
    let folder = TempDir::new().unwrap();
    let tokens = prompt(2, 30);
    for (tied, precision) in [
        (false, Precision::F32),
        (true, Precision::F16),
        (true, Precision::Q8_0),
        (false, Precision::Q4KM),
        (true, Precision::Q4KM),
    ] {
        let model = wide_model(tied);
        let path = folder.path().join(format!("{tied}-{precision}.gguf"));
        quantize_to_gguf(&model, precision, "", Vec::new(), &path, &mut |_, _| {}).unwrap();
        let expected = Decoder::new(&model, precision).unwrap();
        // What the file has in blocks stays as it is, whatever is asked for.
        let floats = if precision == Precision::F16 { precision } else { Precision::F32 };
        let found = Decoder::new(open_model(&path).unwrap().as_ref(), floats).unwrap();
        assert_eq!(found.weight_bytes(), expected.weight_bytes());
        assert_eq!(
            engine_logits(&found, &tokens, &[], None),
            engine_logits(&expected, &tokens, &[], None),
            "{precision}"
        );
    }
}
