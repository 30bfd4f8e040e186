-- Up Migration

-- What is known of API keys. The events of the stream key-<key_id> are the truth; a row is what they come to, up to `revision` (-1: it is not in the log
-- yet), kept here because every request asks for it. The last twelve digits of `key_id` are `id`, which stands in the key.
alter table vault.api_keys
  add column key_id uuid unique,
  add column revision bigint not null default -1,
  add column name text not null default '',
  add column scopes text[],
  add column sees text not null default 'all' check (sees in ('all', 'team', 'own')),
  add column owner text,
  add column team text,
  add column rate_limit jsonb,
  add column expires_at timestamptz,
  add column revoked_at timestamptz,
  add column replaced_by uuid,
  add column last_used_at timestamptz;
update vault.api_keys set key_id = (substr(gen_random_uuid()::text, 1, 24) || id)::uuid, name = 'First key';
alter table vault.api_keys alter column key_id set not null;

-- Roles beside those that come with SmartCRM, as the events of role-<id> say up to `revision`. Null: it was removed.
create table vault.roles (
  name text primary key,
  revision bigint not null,
  permissions text[]
);

-- How many requests each key has had in its present window. Processes take them in blocks; `granted` is what the last one got.
create table smartcrm.rate_limits (
  key text primary key,
  window_start timestamptz not null,
  used bigint not null,
  granted bigint not null
);
