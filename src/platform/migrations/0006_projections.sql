-- Up Migration

-- A schema is a place of tables: `read` answers, `building` is being built beside it, `retired` is what a switch replaced, for a day.
drop schema read cascade;
create schema read;
create schema building;
create schema retired;

-- What belongs to a position. `beside-…` are the positions of projections that are not at the live one: rebuilding, catching up, paused, retired.
delete from smartcrm.checkpoints where name = 'live';
alter table smartcrm.checkpoints
  drop column complete_commit,
  drop column complete_prepare,
  add column events bigint not null default 0,
  -- Events a second, decaying with a time constant of ten seconds from moved_at on.
  add column speed double precision not null default 0,
  add column moved_at timestamptz not null default clock_timestamp(),
  add column began_at timestamptz not null default clock_timestamp(),
  -- Grows with every change of what is parked, so that whoever leads knows when to look again.
  add column parked_version bigint not null default 0,
  -- Why it does not move, in words; null while it does.
  add column trouble text;
insert into smartcrm.checkpoints (name) values ('live');

-- The tables that a projection has in each place, and at which position they stand.
create table smartcrm.projections (
  name text not null,
  place text not null check (place in ('read', 'building', 'retired', 'moving')),
  version integer not null,
  tables text[] not null,
  checkpoint text not null references smartcrm.checkpoints,
  -- live: at the shared position · reading, finishing, catching-up: on the way there · paused, halted: until somebody says so · outdated: its code does
  -- not run · kept: for a rollback · refused: a rollback left it, so it is not built again by itself
  state text not null check (state in ('live', 'reading', 'finishing', 'catching-up', 'paused', 'halted', 'outdated', 'kept', 'refused')),
  reason text,
  -- Whether an event that it cannot apply is parked, or halts it.
  parks boolean not null default true,
  since timestamptz not null default clock_timestamp(),
  primary key (name, place),
  check ((state = 'live') = (checkpoint = 'live'))
);
create index on smartcrm.projections (checkpoint);

-- Events that a projection could not apply, and the later ones of their streams: where they are, never what is in them.
create table smartcrm.parked_events (
  projection text not null,
  place text not null,
  stream text not null,
  revision bigint not null,
  event_id uuid not null,
  type text not null,
  commit_position bigint not null,
  prepare_position bigint not null,
  -- Why; null where it only waits behind one that could not be applied.
  error text,
  parked_at timestamptz not null default clock_timestamp(),
  primary key (projection, place, stream, revision),
  foreign key (projection, place) references smartcrm.projections on update cascade on delete cascade
);
