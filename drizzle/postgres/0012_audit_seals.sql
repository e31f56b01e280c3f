CREATE TABLE "audit_seals" (
	"id" text PRIMARY KEY NOT NULL,
	"previous" text,
	"from_position" bigint NOT NULL,
	"to_position" bigint NOT NULL,
	"entries" integer NOT NULL,
	"last_id" text,
	"digest" text NOT NULL,
	"sealed_at" bigint NOT NULL,
	"hash" text NOT NULL,
	"sealed" text NOT NULL
);
--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "client_request_id" text;--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "trace_id" text;--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "changed" text;--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "position" bigint;--> statement-breakpoint
CREATE INDEX "audit_by_position" ON "audit" USING btree ("position");--> statement-breakpoint
CREATE SEQUENCE "audit_position";--> statement-breakpoint
-- Not with the column: that would rewrite the table, and give places to what is stored. The transaction gets its number before
-- the place, so that a place of a transaction that may still commit is never below all that is known to have ended.
ALTER TABLE "audit" ALTER COLUMN "position" SET DEFAULT case when pg_current_xact_id() is not null then nextval('audit_position') end;
