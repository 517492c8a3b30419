//! The handlers, one file for each noun. [`crate::router`] is their table of contents.

pub mod audit;
pub mod blobs;
pub mod datasets;
pub mod endpoints;
pub mod evaluations;
pub mod gates;
pub mod jobs;
pub mod keys;
pub mod models;
pub mod releases;
pub mod render;
pub mod rollouts;
pub mod searches;
pub mod server;
pub mod traces;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use std::sync::Arc;

use crate::error::ApiError;
use crate::state::Api;
use crate::wire::page::{Page, PageQuery};
use pelton_metadata::Listing;

/// The application's state, as a handler's argument.
type Shared = State<Arc<Api>>;
/// What a handler answers.
type Answer<T> = Result<Json<T>, ApiError>;
/// What a handler answers that made something, or accepted work.
type Made<T> = Result<(StatusCode, Json<T>), ApiError>;

fn page_of(query: &PageQuery) -> pelton_metadata::Page {
    pelton_metadata::Page { limit: query.limit(), cursor: query.cursor.clone() }
}

fn listing<T, U>(listing: Listing<T>, change: impl FnMut(T) -> U) -> Json<Page<U>> {
    let Listing { items, next_cursor } = listing.map(change);
    Json(Page { items, next_cursor })
}
