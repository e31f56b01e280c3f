CREATE TABLE "captured_values" (
	"id" text PRIMARY KEY NOT NULL,
	"connection_id" text NOT NULL,
	"integration" text NOT NULL,
	"key" text NOT NULL,
	"value" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "deliveries" (
	"id" text PRIMARY KEY NOT NULL,
	"event_id" text NOT NULL,
	"endpoint_id" text NOT NULL,
	"connection_id" text,
	"position" bigint NOT NULL,
	"status" text NOT NULL,
	"attempts" integer NOT NULL,
	"next_at" bigint,
	"claimed_until" bigint,
	"last_attempt_at" bigint,
	"last_status" integer,
	"last_error" text,
	"last_response" text,
	"created_at" bigint NOT NULL,
	"delivered_at" bigint
);
--> statement-breakpoint
CREATE TABLE "event_sequences" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"sequence" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "events" (
	"id" text PRIMARY KEY NOT NULL,
	"position" bigint NOT NULL,
	"type" text NOT NULL,
	"at" bigint NOT NULL,
	"integration" text,
	"owner" text,
	"connection_id" text,
	"sequence" integer,
	"caller_id" text,
	"endpoint_id" text,
	"data" json NOT NULL,
	"body" text
);
--> statement-breakpoint
CREATE TABLE "integration_faults" (
	"integration" text PRIMARY KEY NOT NULL,
	"code" text NOT NULL,
	"since" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "reauth_notices" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"stage" integer NOT NULL,
	"due_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "received_event_ids" (
	"id" text PRIMARY KEY NOT NULL,
	"at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "received_webhooks" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"integration" text NOT NULL,
	"status" text NOT NULL,
	"reason" text,
	"received_at" bigint NOT NULL,
	"method" text NOT NULL,
	"content_type" text,
	"path" text NOT NULL,
	"headers" json NOT NULL,
	"digest" text NOT NULL,
	"size" integer NOT NULL,
	"body" text,
	"items" json NOT NULL,
	"attempts" integer NOT NULL,
	"next_at" bigint,
	"processed_at" bigint
);
--> statement-breakpoint
CREATE TABLE "receiver_settings" (
	"integration" text PRIMARY KEY NOT NULL,
	"webhook" text,
	"signals" text,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "signing_keys" (
	"id" text PRIMARY KEY NOT NULL,
	"purpose" text NOT NULL,
	"private_key" text NOT NULL,
	"public_key" json NOT NULL,
	"created_at" bigint NOT NULL,
	"retired_at" bigint
);
--> statement-breakpoint
CREATE TABLE "webhook_connections" (
	"id" text PRIMARY KEY NOT NULL,
	"webhook_id" text NOT NULL,
	"connection_id" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "webhook_endpoints" (
	"id" text PRIMARY KEY NOT NULL,
	"caller_id" text NOT NULL,
	"url" text NOT NULL,
	"types" json,
	"integrations" json,
	"owners" json,
	"ordered" boolean NOT NULL,
	"headers" text,
	"description" text,
	"enabled" boolean NOT NULL,
	"disabled_reason" text,
	"secret" text NOT NULL,
	"previous_secret" text,
	"previous_until" bigint,
	"failing_since" bigint,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "captured_values_by_value" ON "captured_values" USING btree ("integration","key","value");--> statement-breakpoint
CREATE INDEX "captured_values_of_connection" ON "captured_values" USING btree ("connection_id");--> statement-breakpoint
CREATE UNIQUE INDEX "deliveries_of_event" ON "deliveries" USING btree ("event_id","endpoint_id");--> statement-breakpoint
CREATE INDEX "deliveries_due" ON "deliveries" USING btree ("endpoint_id","next_at") WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX "deliveries_of_endpoint" ON "deliveries" USING btree ("endpoint_id","id");--> statement-breakpoint
CREATE INDEX "deliveries_by_status" ON "deliveries" USING btree ("status","id") WHERE status <> 'delivered';--> statement-breakpoint
CREATE INDEX "deliveries_open_of_connection" ON "deliveries" USING btree ("endpoint_id","connection_id","position") WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX "deliveries_age" ON "deliveries" USING btree ("created_at");--> statement-breakpoint
CREATE UNIQUE INDEX "events_by_position" ON "events" USING btree ("position");--> statement-breakpoint
CREATE INDEX "events_by_type" ON "events" USING btree ("type","position");--> statement-breakpoint
CREATE INDEX "events_at" ON "events" USING btree ("at");--> statement-breakpoint
CREATE INDEX "received_event_ids_age" ON "received_event_ids" USING btree ("at");--> statement-breakpoint
CREATE INDEX "received_webhooks_due" ON "received_webhooks" USING btree ("next_at") WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX "received_webhooks_of_integration" ON "received_webhooks" USING btree ("integration","id");--> statement-breakpoint
CREATE INDEX "received_webhooks_by_status" ON "received_webhooks" USING btree ("status","id") WHERE status <> 'located';--> statement-breakpoint
CREATE INDEX "received_webhooks_age" ON "received_webhooks" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "webhook_connections_of_webhook" ON "webhook_connections" USING btree ("webhook_id");--> statement-breakpoint
CREATE INDEX "webhook_connections_of_connection" ON "webhook_connections" USING btree ("connection_id","webhook_id");--> statement-breakpoint
CREATE INDEX "webhook_endpoints_of_caller" ON "webhook_endpoints" USING btree ("caller_id","id");--> statement-breakpoint
CREATE INDEX "connections_ending" ON "connections" USING btree ("reauth_due_at") WHERE status = 'active' and reauth_due_at is not null;--> statement-breakpoint
CREATE SEQUENCE "event_position";--> statement-breakpoint
-- The transaction gets its number before the place, as in the migration `audit_seals`.
ALTER TABLE "events" ALTER COLUMN "position" SET DEFAULT case when pg_current_xact_id() is not null then nextval('event_position') end;--> statement-breakpoint
-- The connections that are there are found by what was captured of them before.
INSERT INTO "captured_values" ("id", "connection_id", "integration", "key", "value")
SELECT c."id" || ':captured.' || v.key, c."id", c."integration", 'captured.' || v.key, v.value
FROM "connections" c, json_each_text(c."captured") v
WHERE c."status" <> 'revoked' AND v.value IS NOT NULL AND left(v.value, 1) NOT IN ('{', '[') AND length(v.value) BETWEEN 1 AND 256;--> statement-breakpoint
INSERT INTO "captured_values" ("id", "connection_id", "integration", "key", "value")
SELECT c."id" || ':params.' || v.key, c."id", c."integration", 'params.' || v.key, v.value
FROM "connections" c, json_each_text(c."params") v
WHERE c."status" <> 'revoked' AND v.value IS NOT NULL AND length(v.value) BETWEEN 1 AND 256;--> statement-breakpoint
INSERT INTO "captured_values" ("id", "connection_id", "integration", "key", "value")
SELECT c."id" || ':account.id', c."id", c."integration", 'account.id', c."account" ->> 'id'
FROM "connections" c
WHERE c."status" <> 'revoked' AND length(c."account" ->> 'id') BETWEEN 1 AND 256;--> statement-breakpoint
INSERT INTO "captured_values" ("id", "connection_id", "integration", "key", "value")
SELECT c."id" || ':identity.sub', c."id", c."integration", 'identity.sub', c."identity" ->> 'subject'
FROM "connections" c
WHERE c."status" <> 'revoked' AND length(c."identity" ->> 'subject') BETWEEN 1 AND 256;
