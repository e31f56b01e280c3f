-- The claims, and the commits of routine answers, that come together: a statement for all of them, and not a function for each.
-- The planner does not know how few they are, and is kept from reading whole tables.
--
-- Claims of connections whose lease is free, and whose last attempt is resolved. One that has no row in the result was left
-- out: it is locked, gone, or leased, and `valetkey_claim` says which.
CREATE FUNCTION "valetkey_claim_free"(
  p_id text[], p_generation integer[], p_attempt text[], p_now bigint[], p_due_again bigint[], p_holder text
) RETURNS TABLE (place integer, claimed_fence integer, connection connections, credentials grants) LANGUAGE plpgsql
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  locked text[];
BEGIN
  -- Two statements: the second one sees what was committed before the locks were taken, the credentials included.
  locked := ARRAY(
    SELECT c.id FROM unnest(p_id) AS asked (id) JOIN connections c ON c.id = asked.id
    WHERE c.status = 'active' FOR NO KEY UPDATE OF c SKIP LOCKED);
  RETURN QUERY
  UPDATE leases l SET fence = l.fence + 1, holder = p_holder, attempt = asked.attempt, started_at = asked.now,
    due_at = CASE WHEN l.due_at < asked.due_again THEN asked.due_again ELSE l.due_at END
  FROM unnest(p_id, p_generation, p_attempt, p_now, p_due_again) WITH ORDINALITY
      AS asked (id, generation, attempt, now, due_again, place)
    JOIN connections c ON c.id = asked.id
    JOIN grants g ON g.connection_id = asked.id
  WHERE asked.id = ANY (locked) AND c.generation <= asked.generation
    AND l.connection_id = asked.id AND l.holder IS NULL AND l.attempt IS NULL
  RETURNING asked.place::integer, l.fence, c, g;
END $$;--> statement-breakpoint
-- The answers of the newest claims, which change tokens and times only, of connections without failures. One that has no row
-- in the result is not that, or its connection is locked, and nothing of it has changed. `xid`: of the transaction.
-- "valetkey_commit_refresh" is deprecated: for replicas of the release before.
CREATE FUNCTION "valetkey_commit_refreshes"(
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
      ends_at = a.reauth_due_at
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
  ), changed AS (
    INSERT INTO changes (kind, id, generation) SELECT 'connection', a.id, a.generation + 1 FROM released a
  )
  SELECT a.place::integer, pg_current_xact_id() FROM released a;
  PERFORM set_config('valetkey.times_of_leases', '', true);
END $$;--> statement-breakpoint
-- The function above has set the times of the leases itself: calling this trigger for each is 4 to 7 % of a commit.
DROP TRIGGER "connections_timed_update" ON "connections";--> statement-breakpoint
CREATE TRIGGER "connections_timed_update"
AFTER UPDATE OF "integration", "status", "next_refresh_at", "reauth_due_at", "updated_at" ON "connections"
FOR EACH ROW WHEN (
  current_setting('valetkey.times_of_leases', true) IS DISTINCT FROM 'set' AND (
    old.integration <> new.integration
    OR CASE WHEN old.status = 'active' THEN old.next_refresh_at END
      IS DISTINCT FROM CASE WHEN new.status = 'active' THEN new.next_refresh_at END
    OR CASE WHEN old.status = 'needs_reauth' THEN old.updated_at END
      IS DISTINCT FROM CASE WHEN new.status = 'needs_reauth' THEN new.updated_at END
    OR CASE WHEN old.status = 'active' THEN old.reauth_due_at END
      IS DISTINCT FROM CASE WHEN new.status = 'active' THEN new.reauth_due_at END)
) EXECUTE FUNCTION "valetkey_time_connection"();
