-- Up Migration

-- When something was last deleted that is to be made physically gone from this database; null: nothing waits for that.
create table smartcrm.rewrite_due (
  only_row boolean primary key default true check (only_row),
  asked_at timestamptz,
  done_at timestamptz
);
insert into smartcrm.rewrite_due default values;

-- How a table was when it was last rewritten, so that a large one to which nothing has happened since is left alone.
create table smartcrm.rewritten_tables (
  relation oid primary key,
  fingerprint text not null,
  at timestamptz not null default clock_timestamp()
);
