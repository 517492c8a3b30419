//! One full turn of the wheel as a client of the API: the telco desk, banking77, the report.
