CREATE TABLE "rate_buckets" (
	"integration" text PRIMARY KEY NOT NULL,
	"allowance" double precision NOT NULL,
	"filled_at" bigint NOT NULL,
	"taken" integer NOT NULL
);
--> statement-breakpoint
-- As first released, 0000_first.sql said REFERENCES "public"."…": in a database whose tables are in another schema, the
-- foreign keys may point to the tables of another application. Those are made again, for the tables of the own schema.
DO $$
DECLARE
	own constant regnamespace := (SELECT oid FROM pg_namespace WHERE nspname = current_schema());
	key record;
BEGIN
	-- The other application must not wait for long: the migration is tried again.
	PERFORM set_config('lock_timeout', '4s', true);
	FOR key IN
		SELECT f.conname AS name, f.conrelid::regclass AS "table", declared.*
		FROM (VALUES
			('caller_keys', 'caller_id', 'callers', true),
			('flows', 'session_id', 'connect_sessions', true),
			('grants', 'connection_id', 'connections', false),
			('leases', 'connection_id', 'connections', false)
		) AS declared ("from", "column", "to", cascades)
		JOIN pg_constraint f ON f.conname = format('%s_%s_%s_id_fk', "from", "column", "to")
		JOIN pg_class source ON source.oid = f.conrelid AND source.relnamespace = own
		JOIN pg_class target ON target.oid = f.confrelid AND target.relnamespace <> own
	LOOP
		EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', key."table", key.name);
		IF key.cascades THEN
			EXECUTE format('DELETE FROM %s WHERE %I NOT IN (SELECT id FROM %s.%I)', key."table", key."column", own, key."to");
		END IF;
		EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I FOREIGN KEY (%I) REFERENCES %s.%I (id)%s',
			key."table", key.name, key."column", own, key."to", CASE WHEN key.cascades THEN ' ON DELETE CASCADE' ELSE '' END);
	END LOOP;
END $$;
