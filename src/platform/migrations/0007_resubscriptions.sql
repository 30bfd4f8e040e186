-- Up Migration

-- How often which role had to subscribe to the log again, and why; for /metrics, since only the API has one. Written when it happens, which is rare.
create table smartcrm.resubscriptions (
  role text not null,
  -- See Resubscriptions in src/platform/subscription.ts.
  reason text not null,
  count bigint not null default 0,
  primary key (role, reason)
);
