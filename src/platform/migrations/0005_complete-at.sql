-- Up Migration

-- Where tables that are built anew have to come to before they answer: where they were.
alter table smartcrm.checkpoints add column complete_commit bigint not null default 0, add column complete_prepare bigint not null default 0;
