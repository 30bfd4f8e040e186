-- Up Migration

-- How far each job is, in its own words. pg-boss keeps the jobs themselves in its own schema, and makes that itself.
create table smartcrm.job_progress (
  job_id uuid primary key,
  done bigint not null,
  total bigint,
  note text,
  at timestamptz not null default now()
);

-- After which position each reactor acts: the end of the log when it was first seen, or how far it had come when the set of reactors last changed.
create table smartcrm.reactors (
  name text primary key,
  acts_after_commit bigint not null,
  acts_after_prepare bigint not null
);
