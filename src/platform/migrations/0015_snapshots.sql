-- Up Migration

-- Beside read, building and retired there are places that somebody asked for, each a schema of its own: tables as they were at a past moment (asof_…),
-- what others are compared with (proof_…), and what a changed file makes of the log (trial_…).
alter table smartcrm.projections drop constraint projections_place_check, drop constraint projections_state_check;
alter table smartcrm.projections
  add constraint projections_place_check check (place in ('read', 'building', 'retired', 'moving') or place ~ '^(asof|proof|trial)_[0-9a-f]{12}$'),
  -- frozen: it has come to the moment that it is of, and stays there
  add constraint projections_state_check check (
    state in ('live', 'reading', 'finishing', 'catching-up', 'paused', 'halted', 'outdated', 'kept', 'refused', 'frozen'));
-- Whether what is built is compared as a whole with a second reading of the log before it is switched to.
alter table smartcrm.projections add column proves boolean not null default false;

create table smartcrm.snapshots (
  place text primary key,
  -- Whose it is: of a job or a process that compares something with it; null for one that answers queries.
  owner text,
  -- The last event in it. Nothing after it is, and it stays so.
  commit_position bigint not null,
  prepare_position bigint not null,
  -- Keys that were destroyed later may have been read with: such a snapshot answers nothing any more.
  made_at timestamptz not null default clock_timestamp(),
  used_at timestamptz not null default clock_timestamp(),
  size_bytes bigint
);
create unique index snapshots_past on smartcrm.snapshots (commit_position, prepare_position) where owner is null;

-- What was witnessed of the log while it was new: of each stream the newest event, and of each stretch a digest of all that is in it. Nothing of it is
-- derived again from the log, so what somebody changes there later no longer agrees with it.
create table smartcrm.witnessed_streams (
  stream text primary key,
  revision bigint not null,
  hash text not null,
  commit_position bigint not null,
  prepare_position bigint not null
);
create table smartcrm.witnessed_stretches (
  -- Its last event. It begins after that of the stretch before.
  commit_position bigint not null,
  prepare_position bigint not null,
  -- The latest time of an event up to there, by the log's clock.
  latest timestamptz(3) not null,
  digest text not null,
  primary key (commit_position, prepare_position)
);
create index on smartcrm.witnessed_stretches (latest);

-- What the worker finds when it folds a share of the streams anew, now and then.
create table smartcrm.verified_shares (
  only_row boolean primary key default true check (only_row),
  streams bigint not null default 0,
  wrong bigint not null default 0,
  last_at timestamptz,
  last_wrong_at timestamptz,
  last_wrong text
);
insert into smartcrm.verified_shares default values;
