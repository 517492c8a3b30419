//! Continuous batching, sampling and adapters over the decoder. Cannot reach HTTP.
