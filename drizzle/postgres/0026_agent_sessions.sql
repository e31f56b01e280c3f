CREATE TABLE "agent_sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"digest" text NOT NULL,
	"caller_id" text NOT NULL,
	"created_with" text NOT NULL,
	"parent_id" text,
	"ancestors" json NOT NULL,
	"owner" text NOT NULL,
	"integrations" json NOT NULL,
	"actions" json NOT NULL,
	"scopes" json,
	"methods" json,
	"paths" json,
	"tools" json,
	"purpose" text NOT NULL,
	"agent" json,
	"max_uses" integer,
	"counted" json NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	"uses" integer DEFAULT 0 NOT NULL,
	"last_used_at" bigint,
	"ended_at" bigint,
	"end_reason" text,
	"mac" text,
	CONSTRAINT "agent_sessions_digest" UNIQUE("digest")
);
--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "session" text;--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "agent_id" text;--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "agent_name" text;--> statement-breakpoint
ALTER TABLE "audit" ADD COLUMN "purpose" text;--> statement-breakpoint
ALTER TABLE "callers" ADD COLUMN "max_session_ttl" integer;--> statement-breakpoint
CREATE INDEX "agent_sessions_expiry" ON "agent_sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "agent_sessions_of_owner" ON "agent_sessions" USING btree ("owner","id");--> statement-breakpoint
CREATE INDEX "agent_sessions_of_caller" ON "agent_sessions" USING btree ("caller_id","id");--> statement-breakpoint
CREATE INDEX "agent_sessions_live_of_caller" ON "agent_sessions" USING btree ("caller_id","expires_at");--> statement-breakpoint
CREATE INDEX "agent_sessions_of_parent" ON "agent_sessions" USING btree ("parent_id") WHERE parent_id is not null;--> statement-breakpoint
CREATE INDEX "audit_of_session" ON "audit" USING btree ("session","id") WHERE session is not null;