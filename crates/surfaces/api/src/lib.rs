//! The native REST surface and its OpenAPI document.
