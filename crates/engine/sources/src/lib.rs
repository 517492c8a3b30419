//! Where models come from: the Hugging Face Hub, S3 buckets, folders, another registry. Lists what
//! there is with its licence, chooses what serving needs, downloads it so that it resumes and is
//! verified. Reaches the network through `pelton-egress` only, and no store.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::panic, reason = "tests"))]

mod address;
mod bucket;
mod card;
mod error;
mod fetch;
mod folder;
mod hub;
mod integrity;
mod listing;
mod partial;
mod path;
mod select_files;
mod web;

pub use address::Address;
pub use bucket::{Bucket, BucketSettings};
pub use card::{card_license, read_card};
pub use error::{Result, SourceError};
pub use fetch::{Download, Fetched, Retry, WORK_FOLDER, fetch};
pub use folder::list_folder;
pub use hub::{Hub, HubSettings};
pub use integrity::Integrity;
pub use listing::{ByteStream, Listing, Opened, Origin, RemoteFile, Source};
pub use path::checked_path;
pub use select_files::{LeftOut, Patterns, Selection, select_files};
