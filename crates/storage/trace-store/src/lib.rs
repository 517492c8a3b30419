//! One record for every call: durable hot segments sealed into Parquet parts. Cannot reach DataFusion or HTTP.
