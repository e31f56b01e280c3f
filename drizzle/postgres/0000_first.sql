CREATE TABLE "audit" (
	"id" text PRIMARY KEY NOT NULL,
	"at" bigint NOT NULL,
	"action" text NOT NULL,
	"outcome" text NOT NULL,
	"actor" text NOT NULL,
	"key_id" text,
	"subject" text,
	"integration" text,
	"owner" text,
	"connection_id" text,
	"address" text,
	"request_id" text,
	"detail" text,
	"count" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "caller_keys" (
	"id" text PRIMARY KEY NOT NULL,
	"caller_id" text NOT NULL,
	"digest" text NOT NULL,
	"prefix" text NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint,
	"last_used_at" bigint,
	CONSTRAINT "caller_keys_digest" UNIQUE("digest")
);
--> statement-breakpoint
CREATE TABLE "callers" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"grants" json NOT NULL,
	"workloads" json NOT NULL,
	"rate_limit" json,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "changes" (
	"seq" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "changes_seq_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"at" bigint DEFAULT (extract(epoch from clock_timestamp()) * 1000)::bigint NOT NULL,
	"kind" text NOT NULL,
	"id" text,
	"generation" integer
);
--> statement-breakpoint
CREATE TABLE "connect_sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"secret_digest" text NOT NULL,
	"integration" text NOT NULL,
	"owner" text NOT NULL,
	"label" text NOT NULL,
	"scopes" json,
	"params" json NOT NULL,
	"metadata" json,
	"return_url" text,
	"connection_id" text,
	"status" text NOT NULL,
	"error" text,
	"browser_digest" text,
	"created_by" text NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	CONSTRAINT "connect_sessions_secret" UNIQUE("secret_digest")
);
--> statement-breakpoint
CREATE TABLE "connections" (
	"id" text PRIMARY KEY NOT NULL,
	"integration" text NOT NULL,
	"owner" text NOT NULL,
	"label" text NOT NULL,
	"status" text NOT NULL,
	"reason" text,
	"scopes" json NOT NULL,
	"metadata" json NOT NULL,
	"params" json NOT NULL,
	"captured" json NOT NULL,
	"identity" json,
	"token_type" text NOT NULL,
	"issued_at" bigint NOT NULL,
	"expires_at" bigint,
	"next_refresh_at" bigint,
	"reauth_due_at" bigint,
	"last_refreshed_at" bigint,
	"last_refresh_error" json,
	"failures" integer NOT NULL,
	"generation" integer NOT NULL,
	"upstream_revocation" text,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "flows" (
	"state_digest" text PRIMARY KEY NOT NULL,
	"session_id" text NOT NULL,
	"integration" text NOT NULL,
	"browser_digest" text NOT NULL,
	"verifier" text NOT NULL,
	"nonce" text NOT NULL,
	"issuer" text,
	"redirect_uri" text NOT NULL,
	"scopes" json NOT NULL,
	"params" json NOT NULL,
	"expires_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "grants" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"access_token" text,
	"refresh_token" text,
	"id_token" text,
	"credentials" text
);
--> statement-breakpoint
CREATE TABLE "integrations" (
	"id" text PRIMARY KEY NOT NULL,
	"provider" text NOT NULL,
	"client_id" text NOT NULL,
	"client_secret" text,
	"private_key" text,
	"key_id" text,
	"certificate" text,
	"scopes" json NOT NULL,
	"params" json NOT NULL,
	"overrides" json NOT NULL,
	"return_origins" json NOT NULL,
	"version" integer NOT NULL,
	"created_at" bigint NOT NULL,
	"updated_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "key_checks" (
	"kid" text PRIMARY KEY NOT NULL,
	"sealed" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "leases" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"fence" integer NOT NULL,
	"holder" text,
	"attempt" text,
	"started_at" bigint
);
--> statement-breakpoint
CREATE TABLE "paces" (
	"integration" text PRIMARY KEY NOT NULL,
	"allowance" double precision NOT NULL,
	"filled_at" bigint NOT NULL,
	"taken" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "outbox_revocations" (
	"id" text PRIMARY KEY NOT NULL,
	"connection_id" text NOT NULL,
	"integration" text NOT NULL,
	"params" json NOT NULL,
	"captured" json NOT NULL,
	"access_token" text,
	"refresh_token" text,
	"attempts" integer NOT NULL,
	"next_at" bigint NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "replicas" (
	"holder" text PRIMARY KEY NOT NULL,
	"seen_at" timestamp with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "caller_keys" ADD CONSTRAINT "caller_keys_caller_id_callers_id_fk" FOREIGN KEY ("caller_id") REFERENCES "callers"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "flows" ADD CONSTRAINT "flows_session_id_connect_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "connect_sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "grants" ADD CONSTRAINT "grants_connection_id_connections_id_fk" FOREIGN KEY ("connection_id") REFERENCES "connections"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "leases" ADD CONSTRAINT "leases_connection_id_connections_id_fk" FOREIGN KEY ("connection_id") REFERENCES "connections"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "audit_of_connection" ON "audit" USING btree ("connection_id","id");--> statement-breakpoint
CREATE INDEX "audit_of_owner" ON "audit" USING btree ("owner","id");--> statement-breakpoint
CREATE INDEX "audit_of_actor" ON "audit" USING btree ("actor","id");--> statement-breakpoint
CREATE INDEX "caller_keys_of_caller" ON "caller_keys" USING btree ("caller_id");--> statement-breakpoint
CREATE INDEX "changes_at" ON "changes" USING btree ("at");--> statement-breakpoint
CREATE INDEX "connect_sessions_expiry" ON "connect_sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "connections_due" ON "connections" USING btree ("integration","next_refresh_at","id") WHERE status = 'active' and next_refresh_at is not null;--> statement-breakpoint
CREATE UNIQUE INDEX "connections_live" ON "connections" USING btree ("integration","owner","label") WHERE status <> 'revoked';--> statement-breakpoint
CREATE INDEX "connections_of_owner_at" ON "connections" USING btree ("integration","owner","id");--> statement-breakpoint
CREATE INDEX "connections_of_owner" ON "connections" USING btree ("owner","id");--> statement-breakpoint
CREATE INDEX "connections_by_status" ON "connections" USING btree ("integration","status");--> statement-breakpoint
CREATE INDEX "flows_expiry" ON "flows" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "flows_of_session" ON "flows" USING btree ("session_id");--> statement-breakpoint
CREATE INDEX "leases_unresolved" ON "leases" USING btree ("started_at") WHERE attempt is not null;--> statement-breakpoint
CREATE INDEX "outbox_revocations_due" ON "outbox_revocations" USING btree ("next_at");--> statement-breakpoint
CREATE INDEX "outbox_revocations_of_connection" ON "outbox_revocations" USING btree ("connection_id");--> statement-breakpoint
CREATE INDEX "outbox_revocations_of_integration" ON "outbox_revocations" USING btree ("integration");