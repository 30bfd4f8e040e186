-- Up Migration

-- What lets us in at providers outside (OAuth's refresh tokens), each wrapped by a master key. Cleared when it was given back.
create table vault.provider_tokens (
  id uuid primary key,
  master_key text not null references vault.master_keys,
  wrapped bytea not null,
  stored_at timestamptz not null default clock_timestamp()
);

-- What may be used once and was, for as long as it would be good: the states of consents.
create table smartcrm.used_once (
  id uuid primary key,
  good_until timestamptz not null
);

-- Processes that hold keys in memory ask which were destroyed since they last asked.
create index on vault.keys (destroyed_at) where destroyed_at is not null;
