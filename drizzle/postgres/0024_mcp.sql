CREATE TABLE "client_registrations" (
	"id" text PRIMARY KEY NOT NULL,
	"integration" text NOT NULL,
	"issuer" text NOT NULL,
	"client" text,
	"version" integer NOT NULL,
	"claimed_by" text,
	"claimed_until" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "is_step_up" boolean;--> statement-breakpoint
ALTER TABLE "flows" ADD COLUMN "source" text;--> statement-breakpoint
ALTER TABLE "outbox_revocations" ADD COLUMN "credentials" text;--> statement-breakpoint
CREATE INDEX "client_registrations_of_integration" ON "client_registrations" USING btree ("integration");