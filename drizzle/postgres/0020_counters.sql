CREATE TABLE "connection_counts" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "connection_counts_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"integration" text NOT NULL,
	"state" text NOT NULL,
	"count" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "hourly_counts" (
	"id" text PRIMARY KEY NOT NULL,
	"hour" bigint NOT NULL,
	"integration" text NOT NULL,
	"metric" text NOT NULL,
	"outcome" text NOT NULL,
	"count" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "hourly_counts_at" ON "hourly_counts" USING btree ("hour");--> statement-breakpoint
CREATE INDEX "hourly_counts_of_integration" ON "hourly_counts" USING btree ("integration","hour");--> statement-breakpoint
-- Until the migration commits, reads go on and writes wait: no connection changes between this count and the triggers.
LOCK TABLE "connections" IN SHARE ROW EXCLUSIVE MODE;--> statement-breakpoint
INSERT INTO "connection_counts" ("integration", "state", "count")
SELECT "integration", CASE WHEN "status" = 'active' AND "failures" > 0 THEN 'failing' ELSE "status" END, count(*)
FROM "connections" GROUP BY 1, 2;--> statement-breakpoint
-- With the search path of the migration: it finds the table of its own schema, whichever session writes.
CREATE FUNCTION "valetkey_count_connections"() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO connection_counts (integration, state, count)
    SELECT integration, CASE WHEN status = 'active' AND failures > 0 THEN 'failing' ELSE status END, count(*) FROM added GROUP BY 1, 2;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO connection_counts (integration, state, count) VALUES
      (old.integration, CASE WHEN old.status = 'active' AND old.failures > 0 THEN 'failing' ELSE old.status END, -1),
      (new.integration, CASE WHEN new.status = 'active' AND new.failures > 0 THEN 'failing' ELSE new.status END, 1);
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO connection_counts (integration, state, count)
    SELECT integration, CASE WHEN status = 'active' AND failures > 0 THEN 'failing' ELSE status END, -count(*) FROM removed GROUP BY 1, 2;
  ELSE
    TRUNCATE connection_counts;
  END IF;
  RETURN NULL;
END $$;--> statement-breakpoint
CREATE TRIGGER "connections_counted_insert" AFTER INSERT ON "connections"
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION "valetkey_count_connections"();--> statement-breakpoint
CREATE TRIGGER "connections_counted_delete" AFTER DELETE ON "connections"
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION "valetkey_count_connections"();--> statement-breakpoint
CREATE TRIGGER "connections_counted_update" AFTER UPDATE OF "integration", "status", "failures" ON "connections"
FOR EACH ROW WHEN (
  old.integration <> new.integration
  OR CASE WHEN old.status = 'active' AND old.failures > 0 THEN 'failing' ELSE old.status END
  <> CASE WHEN new.status = 'active' AND new.failures > 0 THEN 'failing' ELSE new.status END
) EXECUTE FUNCTION "valetkey_count_connections"();--> statement-breakpoint
CREATE TRIGGER "connections_counted_truncate" AFTER TRUNCATE ON "connections"
FOR EACH STATEMENT EXECUTE FUNCTION "valetkey_count_connections"();
