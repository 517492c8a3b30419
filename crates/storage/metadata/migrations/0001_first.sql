-- One text for SQLite and PostgreSQL: TEXT ids and JSON, BIGINT microseconds and booleans.

CREATE TABLE projects (
  id TEXT PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL
);

-- The last link of each project's audit chain. Every mutation locks its row first.
CREATE TABLE audit_heads (
  project_id TEXT PRIMARY KEY REFERENCES projects (id),
  seq BIGINT NOT NULL,
  hash TEXT NOT NULL
);

CREATE TABLE audit_entries (
  project_id TEXT NOT NULL REFERENCES projects (id),
  seq BIGINT NOT NULL,
  id TEXT NOT NULL UNIQUE,
  created_at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  action TEXT NOT NULL,
  object_kind TEXT NOT NULL,
  object_id TEXT NOT NULL,
  detail TEXT NOT NULL,
  request_id TEXT NOT NULL,
  prev_hash TEXT NOT NULL,
  hash TEXT NOT NULL,
  PRIMARY KEY (project_id, seq)
);
CREATE INDEX audit_entries_by_object ON audit_entries (project_id, object_kind, object_id, seq);

CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  prefix TEXT NOT NULL,
  hash TEXT NOT NULL UNIQUE,
  scopes TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  revoked_at BIGINT,
  last_used_at BIGINT
);
CREATE INDEX api_keys_by_prefix ON api_keys (prefix);
CREATE UNIQUE INDEX api_keys_live_name ON api_keys (project_id, name) WHERE revoked_at IS NULL;

CREATE TABLE gates (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  passed BIGINT NOT NULL,
  rules TEXT NOT NULL,
  task TEXT NOT NULL,
  regression TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX gates_by_time ON gates (project_id, created_at DESC, id DESC);

CREATE TABLE releases (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  digest TEXT NOT NULL,
  bundle TEXT NOT NULL,
  gate_id TEXT REFERENCES gates (id),
  created_by TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (project_id, name)
);
CREATE INDEX releases_by_time ON releases (project_id, created_at DESC, id DESC);

CREATE TABLE endpoints (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  generation BIGINT NOT NULL,
  traffic TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  UNIQUE (project_id, name)
);

CREATE TABLE endpoint_generations (
  endpoint_id TEXT NOT NULL REFERENCES endpoints (id),
  generation BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  actor TEXT NOT NULL,
  reason TEXT NOT NULL,
  traffic TEXT NOT NULL,
  rollout_id TEXT,
  restores BIGINT,
  PRIMARY KEY (endpoint_id, generation)
);

CREATE TABLE rollouts (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  endpoint_id TEXT NOT NULL REFERENCES endpoints (id),
  baseline_id TEXT NOT NULL REFERENCES releases (id),
  candidate_id TEXT NOT NULL REFERENCES releases (id),
  state TEXT NOT NULL,
  stage BIGINT NOT NULL,
  weight BIGINT NOT NULL,
  stages TEXT NOT NULL,
  policy TEXT NOT NULL,
  machine TEXT NOT NULL,
  gate_id TEXT REFERENCES gates (id),
  override_gate TEXT,
  baseline_traffic TEXT NOT NULL,
  reason TEXT,
  revision BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  ended_at BIGINT
);
CREATE INDEX rollouts_by_time ON rollouts (project_id, created_at DESC, id DESC);
CREATE UNIQUE INDEX rollouts_one_running ON rollouts (endpoint_id) WHERE state = 'running';

CREATE TABLE rollout_decisions (
  rollout_id TEXT NOT NULL REFERENCES rollouts (id),
  seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  action TEXT NOT NULL,
  reason TEXT NOT NULL,
  stage BIGINT NOT NULL,
  observed TEXT NOT NULL,
  PRIMARY KEY (rollout_id, seq)
);

CREATE TABLE datasets (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  UNIQUE (project_id, name)
);

CREATE TABLE dataset_versions (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  dataset_id TEXT NOT NULL REFERENCES datasets (id),
  version BIGINT NOT NULL,
  row_counts TEXT NOT NULL,
  dropped TEXT NOT NULL,
  scrubbed TEXT NOT NULL,
  statistics TEXT NOT NULL,
  source TEXT NOT NULL,
  digest TEXT NOT NULL,
  card TEXT NOT NULL,
  job_id TEXT,
  created_at BIGINT NOT NULL,
  UNIQUE (dataset_id, version)
);
CREATE UNIQUE INDEX dataset_versions_by_job ON dataset_versions (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE models (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  version BIGINT NOT NULL,
  kind TEXT NOT NULL,
  base TEXT,
  digest TEXT NOT NULL,
  size_bytes BIGINT NOT NULL,
  license TEXT NOT NULL,
  card TEXT NOT NULL,
  lineage TEXT,
  files TEXT NOT NULL,
  job_id TEXT,
  created_at BIGINT NOT NULL,
  UNIQUE (project_id, name, version)
);
CREATE INDEX models_by_time ON models (project_id, created_at DESC, id DESC);
CREATE UNIQUE INDEX models_by_job ON models (job_id) WHERE job_id IS NOT NULL;

CREATE TABLE evaluations (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  target TEXT NOT NULL,
  suite TEXT NOT NULL,
  summary TEXT NOT NULL,
  samples TEXT NOT NULL,
  job_id TEXT,
  created_at BIGINT NOT NULL
);
CREATE INDEX evaluations_by_time ON evaluations (project_id, created_at DESC, id DESC);
CREATE UNIQUE INDEX evaluations_by_job ON evaluations (job_id) WHERE job_id IS NOT NULL;

-- Which stored bytes are needed, and by what: garbage collection keeps these.
CREATE TABLE artifact_refs (
  project_id TEXT NOT NULL REFERENCES projects (id),
  owner_kind TEXT NOT NULL,
  owner_id TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY (project_id, owner_kind, owner_id, digest)
);

CREATE TABLE jobs (
  id TEXT PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES projects (id),
  kind TEXT NOT NULL,
  title TEXT NOT NULL,
  state TEXT NOT NULL,
  spec TEXT NOT NULL,
  priority BIGINT NOT NULL,
  run_at BIGINT NOT NULL,
  attempt BIGINT NOT NULL,
  max_attempts BIGINT NOT NULL,
  failures BIGINT NOT NULL,
  failed_at BIGINT NOT NULL,
  dedupe_key TEXT,
  cancel_requested BIGINT NOT NULL,
  progress TEXT,
  result TEXT,
  error TEXT,
  lease_owner TEXT,
  lease_epoch BIGINT NOT NULL,
  lease_until BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  ended_at BIGINT
);
CREATE INDEX jobs_by_time ON jobs (project_id, created_at DESC, id DESC);
CREATE INDEX jobs_to_do ON jobs (priority DESC, run_at) WHERE state IN ('queued', 'running');
CREATE UNIQUE INDEX jobs_live_dedupe ON jobs (project_id, dedupe_key)
  WHERE dedupe_key IS NOT NULL AND state IN ('queued', 'running');

CREATE TABLE job_events (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  kind TEXT NOT NULL,
  detail TEXT NOT NULL,
  PRIMARY KEY (job_id, seq)
);

CREATE TABLE job_logs (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  level TEXT NOT NULL,
  message TEXT NOT NULL,
  PRIMARY KEY (job_id, seq)
);

-- One row a step: a job that resumes writes its steps again and changes nothing.
CREATE TABLE job_metrics (
  job_id TEXT NOT NULL REFERENCES jobs (id),
  step BIGINT NOT NULL,
  seq BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  metric_values TEXT NOT NULL,
  PRIMARY KEY (job_id, step)
);
CREATE UNIQUE INDEX job_metrics_by_seq ON job_metrics (job_id, seq);

-- One holder at a time for a singleton task; the epoch fences those who lost it.
CREATE TABLE leases (
  name TEXT PRIMARY KEY,
  holder TEXT NOT NULL,
  epoch BIGINT NOT NULL,
  until_at BIGINT NOT NULL
);

CREATE TABLE trace_segments (
  segment TEXT PRIMARY KEY,
  sealed_at BIGINT NOT NULL
);

CREATE TABLE trace_parts (
  part_id TEXT PRIMARY KEY,
  segment TEXT NOT NULL REFERENCES trace_segments (segment),
  project_id TEXT,
  path_narrow TEXT NOT NULL,
  path_payload TEXT,
  row_count BIGINT NOT NULL,
  size_bytes BIGINT NOT NULL,
  min_at BIGINT NOT NULL,
  max_at BIGINT NOT NULL,
  detail TEXT NOT NULL,
  sealed_at BIGINT NOT NULL
);
CREATE INDEX trace_parts_by_time ON trace_parts (max_at, min_at);

CREATE TABLE settings (
  project_id TEXT NOT NULL REFERENCES projects (id),
  name TEXT NOT NULL,
  content TEXT NOT NULL,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (project_id, name)
);

-- Grows with every change that a gateway must see.
CREATE TABLE config_generation (
  id BIGINT PRIMARY KEY CHECK (id = 1),
  generation BIGINT NOT NULL
);
INSERT INTO config_generation (id, generation) VALUES (1, 0);
