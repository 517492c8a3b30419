//! Random conditions over random traffic: hot, sealed and naive agree.

use super::aggregates::{assert_same, query as aggregate_query};
use super::lists::all_pages;
use super::naive;
use super::traffic::{PLACES, Stored, Traffic, project, stored};
use pelton_trace_store::{Expr, Field, GroupKey, Kind, Op, Order, TimeUnit, TraceQuery, Value};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fn any_field() -> impl Strategy<Value = Field> {
    prop::sample::select(vec![
        Field::Endpoint,
        Field::ReleaseName,
        Field::Model,
        Field::Status,
        Field::ErrorCode,
        Field::Streamed,
        Field::LatencyUs,
        Field::TtftUs,
        Field::PromptTokens,
        Field::CompletionTokens,
        Field::CostNanousd,
        Field::Unit,
        Field::Tag("tier".into()),
        Field::Tag("odd, key".into()),
        Field::FeedbackCount,
        Field::Score,
        Field::HasCorrection,
    ])
}

fn value_for(field: &Field) -> BoxedStrategy<Value> {
    let words =
        ["support", "search", "support@1", "tiny", "ok", "error", "user-3", "gold", "ñ\n", ""];
    match field.kind() {
        Kind::Text => prop::sample::select(words.to_vec()).prop_map(Value::from).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Int | Kind::Float => prop_oneof![
            (0..3_i64).prop_map(Value::Int),
            (0..2_000_000_i64).prop_map(Value::Int),
            (0..8_000_i64).prop_map(|eighths| Value::Float(eighths as f64 / 8.0)),
            Just(Value::Float(0.5)),
        ]
        .boxed(),
    }
}

fn leaf() -> impl Strategy<Value = Expr> {
    let ops = vec![Op::Eq, Op::Ne, Op::Lt, Op::Le, Op::Gt, Op::Ge];
    let texts = vec!["bill", "é", "REÇU", "is here", "4", "%"];
    prop_oneof![
        5 => (any_field(), prop::sample::select(ops)).prop_flat_map(|(field, op)| {
            value_for(&field).prop_map(move |value| Expr::compare(field.clone(), op, value))
        }),
        2 => any_field().prop_flat_map(|field| {
            prop::collection::vec(value_for(&field), 0..4)
                .prop_map(move |values| Expr::In { field: field.clone(), values })
        }),
        1 => any_field().prop_map(Expr::Present),
        1 => prop::sample::select(texts).prop_map(Expr::text),
    ]
}

fn condition() -> impl Strategy<Value = Expr> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Expr::All),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Expr::Any),
            inner.prop_map(Expr::negated),
        ]
    })
}

#[test]
fn random_conditions_mean_the_same_everywhere() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let traffic = Traffic::generate(17, 250);
    let places: Vec<Stored> =
        PLACES.iter().map(|place| runtime.block_on(stored(&traffic, *place))).collect();
    let config = Config { cases: 60, failure_persistence: None, ..Config::default() };
    let seeded = TestRng::from_seed(RngAlgorithm::ChaCha, &[9; 32]);
    let strategy = (condition(), any::<bool>(), 1_usize..120);
    let outcome =
        TestRunner::new_with_rng(config, seeded).run(&strategy, |(filter, newest, limit)| {
            let order = if newest { Order::Newest } else { Order::Oldest };
            let list = TraceQuery {
                order,
                ..TraceQuery::newest(project(1), limit).filtered(filter.clone())
            };
            let keys = vec![GroupKey::Time(TimeUnit::Hour), GroupKey::Field(Field::Status)];
            let aggregate = aggregate_query(keys, Some(filter.clone()));
            // Survives its way through JSON, as the API sends it.
            let json = serde_json::to_string(&list).unwrap();
            prop_assert_eq!(&serde_json::from_str::<TraceQuery>(&json).unwrap(), &list);
            let (rows, groups) =
                (naive::list(&traffic, &list), naive::aggregate(&traffic, &aggregate));
            for (stored, place) in places.iter().zip(PLACES) {
                let found = runtime.block_on(all_pages(&stored.engine, &list));
                prop_assert_eq!(&found, &rows, "{:?}", place);
                let found = runtime.block_on(stored.engine.aggregate(&aggregate)).unwrap();
                assert_same(&found, &groups, &format!("{place:?} {filter:?}"));
            }
            Ok(())
        });
    outcome.unwrap();
}
