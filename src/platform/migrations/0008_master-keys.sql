-- Up Migration

-- How a master key gives way to another while all runs (vault-rotation.ts). From the moment that `replaced_by` names its successor nothing new is wrapped
-- by it; until everything else is rewrapped each of the two is here sealed by the other, so that whoever holds one of them has both. Then it is retired,
-- and opens nothing any more. `kms_wrapped`: the master key itself, where a key management service wraps it.
alter table vault.master_keys
  add column kms_wrapped bytea,
  add column replaced_by text references vault.master_keys deferrable initially deferred,
  add column successor_sealed bytea,
  add column self_sealed bytea,
  add column retired_at timestamptz;

create unique index master_keys_current on vault.master_keys ((replaced_by is null)) where replaced_by is null;
