-- Until the migration commits, reads go on and writes of connections wait: none changes between the copy of its times and the
-- triggers. Connections before leases, as everywhere.
LOCK TABLE "connections" IN SHARE ROW EXCLUSIVE MODE;--> statement-breakpoint
ALTER TABLE "leases" ADD COLUMN "integration" text DEFAULT '' NOT NULL;--> statement-breakpoint
ALTER TABLE "leases" ADD COLUMN "due_at" bigint;--> statement-breakpoint
ALTER TABLE "leases" ADD COLUMN "dead_at" bigint;--> statement-breakpoint
ALTER TABLE "leases" ADD COLUMN "ends_at" bigint;--> statement-breakpoint
INSERT INTO "leases" ("connection_id", "fence", "integration", "due_at", "dead_at", "ends_at")
SELECT "id", 0, "integration",
  CASE WHEN "status" = 'active' THEN "next_refresh_at" END,
  CASE WHEN "status" = 'needs_reauth' THEN "updated_at" END,
  CASE WHEN "status" = 'active' THEN "reauth_due_at" END
FROM "connections" WHERE "status" <> 'revoked'
ON CONFLICT ("connection_id") DO UPDATE SET "integration" = excluded."integration", "due_at" = excluded."due_at",
  "dead_at" = excluded."dead_at", "ends_at" = excluded."ends_at";--> statement-breakpoint
CREATE INDEX "leases_due" ON "leases" USING btree ("integration","due_at","connection_id") WHERE due_at is not null;--> statement-breakpoint
CREATE INDEX "leases_dead" ON "leases" USING btree ("integration","dead_at") WHERE dead_at is not null;--> statement-breakpoint
CREATE INDEX "leases_ending" ON "leases" USING btree ("ends_at","connection_id") WHERE ends_at is not null;--> statement-breakpoint
-- With the search path of the migration, as that of the counts.
CREATE FUNCTION "valetkey_time_connections"() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  INSERT INTO leases (connection_id, fence, integration, due_at, dead_at, ends_at)
  SELECT id, 0, integration,
    CASE WHEN status = 'active' THEN next_refresh_at END,
    CASE WHEN status = 'needs_reauth' THEN updated_at END,
    CASE WHEN status = 'active' THEN reauth_due_at END
  FROM added WHERE status <> 'revoked';
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE FUNCTION "valetkey_time_connection"() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  due bigint := CASE WHEN new.status = 'active' THEN new.next_refresh_at END;
  dead bigint := CASE WHEN new.status = 'needs_reauth' THEN new.updated_at END;
  ends bigint := CASE WHEN new.status = 'active' THEN new.reauth_due_at END;
BEGIN
  -- A commit that has set the times of the lease before writes nothing here.
  UPDATE leases SET integration = new.integration, due_at = due, dead_at = dead, ends_at = ends
  WHERE connection_id = new.id AND (integration <> new.integration
    OR due_at IS DISTINCT FROM due OR dead_at IS DISTINCT FROM dead OR ends_at IS DISTINCT FROM ends);
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "connections_timed_insert" AFTER INSERT ON "connections"
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION "valetkey_time_connections"();--> statement-breakpoint
CREATE TRIGGER "connections_timed_update"
AFTER UPDATE OF "integration", "status", "next_refresh_at", "reauth_due_at", "updated_at" ON "connections"
FOR EACH ROW WHEN (
  old.integration <> new.integration
  OR CASE WHEN old.status = 'active' THEN old.next_refresh_at END
    IS DISTINCT FROM CASE WHEN new.status = 'active' THEN new.next_refresh_at END
  OR CASE WHEN old.status = 'needs_reauth' THEN old.updated_at END
    IS DISTINCT FROM CASE WHEN new.status = 'needs_reauth' THEN new.updated_at END
  OR CASE WHEN old.status = 'active' THEN old.reauth_due_at END
    IS DISTINCT FROM CASE WHEN new.status = 'active' THEN new.reauth_due_at END
) EXECUTE FUNCTION "valetkey_time_connection"();--> statement-breakpoint
-- One round trip for a claim: each statement of the function sees what was committed before it, so that the lease, the
-- generation and the credentials are read with the connection locked, and not as of an older snapshot. `p_expired_fence`: a
-- claim that the process has watched for as long as a lease lasts. `p_unsent_fence`: a claim of its own under which nothing
-- was sent. `p_waits`: false: of several connections in one statement, so that one that is locked (or gone) holds up none;
-- its outcome is `locked`.
CREATE FUNCTION "valetkey_claim"(
  p_id text, p_generation integer, p_attempt text, p_now bigint, p_due_again bigint, p_spent_after bigint,
  p_expired_fence integer, p_unsent_fence integer, p_unsent_attempt text, p_unsent_at bigint,
  p_holder text, p_judges boolean, p_dead_after interval, p_in_doubt_for interval, p_waits boolean
) RETURNS TABLE (
  outcome text, claimed_fence integer, unresolved_attempt text, unresolved_at bigint,
  connection connections, credentials grants
) LANGUAGE plpgsql AS $$
DECLARE
  lease leases;
BEGIN
  IF p_waits THEN
    SELECT * INTO connection FROM connections WHERE id = p_id AND status = 'active' FOR NO KEY UPDATE;
  ELSE
    SELECT * INTO connection FROM connections WHERE id = p_id AND status = 'active' FOR NO KEY UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
      outcome := 'locked';
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;
  IF connection.id IS NULL OR connection.generation > p_generation THEN
    connection := NULL;
    outcome := 'gone';
    RETURN NEXT;
    RETURN;
  END IF;
  SELECT * INTO credentials FROM grants WHERE connection_id = p_id;
  IF NOT FOUND THEN
    connection := NULL;
    outcome := 'gone';
    RETURN NEXT;
    RETURN;
  END IF;
  SELECT * INTO lease FROM leases WHERE connection_id = p_id;
  IF lease.holder <> p_holder AND lease.fence IS DISTINCT FROM p_expired_fence THEN
    IF EXISTS (SELECT FROM replicas WHERE holder = lease.holder
        AND (NOT p_judges OR seen_at > clock_timestamp() - p_dead_after)) THEN
      outcome := 'busy';
    ELSIF lease.attempt IS NOT NULL AND greatest(0, p_now - coalesce(lease.started_at, p_now)) > p_spent_after
        AND EXISTS (SELECT FROM replicas WHERE holder = lease.holder AND seen_at > clock_timestamp() - p_in_doubt_for) THEN
      outcome := 'in_doubt';
    END IF;
    IF outcome IS NOT NULL THEN
      claimed_fence := lease.fence;
      connection := NULL;
      credentials := NULL;
      RETURN NEXT;
      RETURN;
    END IF;
  END IF;
  outcome := 'claimed';
  claimed_fence := coalesce(lease.fence, 0) + 1;
  IF lease.fence = p_unsent_fence THEN
    unresolved_attempt := p_unsent_attempt;
    unresolved_at := p_unsent_at;
  ELSIF lease.attempt IS NOT NULL AND lease.started_at IS NOT NULL THEN
    unresolved_attempt := lease.attempt;
    unresolved_at := lease.started_at;
  END IF;
  UPDATE leases SET fence = claimed_fence, holder = p_holder, attempt = p_attempt,
    started_at = coalesce(unresolved_at, p_now),
    due_at = CASE WHEN due_at < p_due_again THEN p_due_again ELSE due_at END
  WHERE connection_id = p_id;
  IF NOT FOUND THEN
    INSERT INTO leases (connection_id, fence, holder, attempt, started_at, integration, due_at, ends_at)
    VALUES (p_id, claimed_fence, p_holder, p_attempt, p_now, connection.integration, connection.next_refresh_at,
      connection.reauth_due_at);
  END IF;
  RETURN NEXT;
END $$;--> statement-breakpoint
-- One round trip for the answer of the newest claim, which changes tokens and times only, of a connection without failures.
-- False: it is not that, or the connection is locked, and nothing has changed.
CREATE FUNCTION "valetkey_commit_refresh"(
  p_id text, p_fence integer, p_generation integer, p_replaces_issued_at bigint, p_issued_at bigint, p_expires_at bigint,
  p_next_refresh_at bigint, p_reauth_due_at bigint, p_last_refreshed_at bigint, p_updated_at bigint,
  p_access_token text, p_refresh_token text, p_id_token text, p_credentials text
) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  PERFORM FROM connections
  WHERE id = p_id AND status = 'active' AND failures = 0 AND generation = p_generation
    AND issued_at = coalesce(p_replaces_issued_at, issued_at) FOR NO KEY UPDATE SKIP LOCKED;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE leases SET holder = NULL, attempt = NULL, started_at = NULL, due_at = p_next_refresh_at, ends_at = p_reauth_due_at
  WHERE connection_id = p_id AND fence = p_fence;
  IF NOT FOUND THEN RETURN false; END IF;
  UPDATE connections SET generation = generation + 1, issued_at = p_issued_at, expires_at = p_expires_at,
    next_refresh_at = p_next_refresh_at, reauth_due_at = p_reauth_due_at, last_refreshed_at = p_last_refreshed_at,
    updated_at = p_updated_at
  WHERE id = p_id;
  UPDATE grants SET access_token = p_access_token, refresh_token = p_refresh_token, id_token = p_id_token,
    credentials = p_credentials
  WHERE connection_id = p_id;
  INSERT INTO changes (kind, id, generation) VALUES ('connection', p_id, p_generation + 1);
  RETURN true;
END $$;--> statement-breakpoint
-- Room for the next version of a row beside it: then a refresh writes no index of `connections` and `grants` (HOT).
ALTER TABLE "connections" SET (fillfactor = 85);--> statement-breakpoint
ALTER TABLE "grants" SET (fillfactor = 85);--> statement-breakpoint
-- Every refresh moves its entries on: what is left behind is removed soon.
ALTER TABLE "leases" SET (fillfactor = 75, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);--> statement-breakpoint
-- Written by every refresh and deleted within minutes.
ALTER TABLE "changes" SET (autovacuum_vacuum_scale_factor = 0.05);--> statement-breakpoint
-- Last, since reads wait from here on: what a refresh changes is in no index of the wide row.
DROP INDEX "connections_due";--> statement-breakpoint
DROP INDEX "connections_dead";--> statement-breakpoint
DROP INDEX "connections_ending";
