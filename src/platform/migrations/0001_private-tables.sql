-- Up Migration

create schema if not exists vault;

-- Which master key wraps what is in here; a known text sealed by it tells a wrong master key at start.
create table vault.master_keys (
  id text primary key,
  sealed_check bytea not null,
  created_at timestamptz not null default now()
);

-- Subject keys, each wrapped by a master key. Destroying one (wrapped set to null) erases its subject from the log.
create table vault.keys (
  id uuid primary key,
  master_key text not null references vault.master_keys,
  wrapped bytea,
  created_at timestamptz not null default now(),
  destroyed_at timestamptz,
  check ((wrapped is null) = (destroyed_at is not null))
);

-- Secrets of the service itself: the one that hides addresses in claims, the one that recognises repeated requests.
create table vault.secrets (
  name text primary key,
  master_key text not null references vault.master_keys,
  wrapped bytea not null
);

create table vault.api_keys (
  id text primary key,
  secret_hash bytea not null,
  role text not null,
  created_at timestamptz not null default now()
);

-- One row a group of tables that moves together. `epoch` is the fencing token of the projector that holds the lease.
create table smartcrm.checkpoints (
  name text primary key,
  commit_position bigint not null default 0,
  prepare_position bigint not null default 0,
  epoch bigint not null default 0,
  owner uuid,
  lease_until timestamptz not null default '-infinity'
);

create schema read;

create extension if not exists pg_trgm schema public;
create extension if not exists unaccent schema public;

-- unaccent() itself is only stable, since its dictionary could change; an index needs the promise that it does not.
create function smartcrm.plain(text) returns text language sql immutable strict parallel safe
  return lower(public.unaccent('public.unaccent'::regdictionary, $1));
