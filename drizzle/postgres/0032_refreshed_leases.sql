-- A routine refresh was a row of the change feed, which is written once and deleted minutes later. Now its lease says it, which
-- the commit writes anyway.
ALTER TABLE "leases" ADD COLUMN "refreshed_xid" "xid8";--> statement-breakpoint
ALTER TABLE "leases" ADD COLUMN "refreshed_generation" integer;--> statement-breakpoint
ALTER TABLE "replicas" ADD COLUMN "reads_refreshes" boolean DEFAULT false NOT NULL;--> statement-breakpoint
CREATE INDEX "leases_refreshed" ON "leases" USING btree ("refreshed_xid") WHERE refreshed_xid is not null;--> statement-breakpoint
CREATE INDEX "replicas_earlier" ON "replicas" USING btree ("holder") WHERE not reads_refreshes;--> statement-breakpoint
-- As before, but for that. Replicas of the release before, which call it too, find a refresh among the changes only: it is there
-- as long as one of them may be alive. They are found by an index: a scan of the table is switched off here, and before
-- PostgreSQL 18 a statement with one that cannot be avoided is so dear that it would be compiled at each call.
CREATE OR REPLACE FUNCTION "valetkey_commit_refreshes"(
  p_id text[], p_fence integer[], p_generation integer[], p_replaces_issued_at bigint[], p_issued_at bigint[],
  p_expires_at bigint[], p_next_refresh_at bigint[], p_reauth_due_at bigint[], p_last_refreshed_at bigint[],
  p_updated_at bigint[], p_access_token text[], p_refresh_token text[], p_id_token text[], p_credentials text[]
) RETURNS TABLE (place integer, xid xid8) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  -- Read by the trigger below. Not by SET above, which only a superuser may.
  PERFORM set_config('valetkey.times_of_leases', 'set', true);
  RETURN QUERY
  WITH answers AS (
    SELECT * FROM unnest(p_id, p_fence, p_generation, p_replaces_issued_at, p_issued_at, p_expires_at, p_next_refresh_at,
        p_reauth_due_at, p_last_refreshed_at, p_updated_at, p_access_token, p_refresh_token, p_id_token, p_credentials)
      WITH ORDINALITY AS a (id, fence, generation, replaces_issued_at, issued_at, expires_at, next_refresh_at,
        reauth_due_at, last_refreshed_at, updated_at, access_token, refresh_token, id_token, credentials, place)
  ), locked AS MATERIALIZED (
    SELECT a.* FROM answers a JOIN connections c ON c.id = a.id
    WHERE c.status = 'active' AND c.failures = 0 AND c.generation = a.generation
      AND c.issued_at = coalesce(a.replaces_issued_at, c.issued_at) FOR NO KEY UPDATE OF c SKIP LOCKED
  ), released AS MATERIALIZED (
    UPDATE leases l SET holder = NULL, attempt = NULL, started_at = NULL, due_at = a.next_refresh_at,
      ends_at = a.reauth_due_at, refreshed_xid = pg_current_xact_id(), refreshed_generation = a.generation + 1
    FROM locked a WHERE l.connection_id = a.id AND l.fence = a.fence RETURNING a.*
  ), refreshed AS (
    UPDATE connections c SET generation = c.generation + 1, issued_at = a.issued_at, expires_at = a.expires_at,
      next_refresh_at = a.next_refresh_at, reauth_due_at = a.reauth_due_at, last_refreshed_at = a.last_refreshed_at,
      updated_at = a.updated_at
    FROM released a WHERE c.id = a.id
  ), replaced AS (
    UPDATE grants g SET access_token = a.access_token, refresh_token = a.refresh_token, id_token = a.id_token,
      credentials = a.credentials
    FROM released a WHERE g.connection_id = a.id
  ), told AS (
    INSERT INTO changes (kind, id, generation) SELECT 'connection', a.id, a.generation + 1 FROM released a
    WHERE EXISTS (SELECT FROM replicas WHERE NOT reads_refreshes AND seen_at > clock_timestamp() - interval '1 hour')
  )
  SELECT a.place::integer, pg_current_xact_id() FROM released a;
  PERFORM set_config('valetkey.times_of_leases', '', true);
END $$;
