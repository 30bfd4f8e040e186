-- Up Migration

-- What is to be shown no more, though the events that hold it can be read: by its HMAC (src/platform/concealed.ts). Derived from a stream, whose
-- revision it has, so that rows only grow. What was recorded up to `until` stays hidden when it may be used again.
create table vault.concealed (
  digest text primary key,
  revision bigint not null,
  until_commit bigint,
  changed_at timestamptz not null default clock_timestamp()
);
create index on vault.concealed (changed_at);
