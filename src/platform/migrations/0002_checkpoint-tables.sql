-- Up Migration

-- The tables that the position speaks for. A projector whose own tables are others must not take the lease: it would leave these behind in silence.
alter table smartcrm.checkpoints add column tables text[] not null default '{}';
