CREATE TABLE "consumed_flows" (
	"state_digest" text PRIMARY KEY NOT NULL,
	"session_id" text NOT NULL,
	"browser_digest" text NOT NULL,
	"consumed_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "page_error" text;--> statement-breakpoint
ALTER TABLE "flows" ADD COLUMN "account_prompt" text;--> statement-breakpoint
ALTER TABLE "consumed_flows" ADD CONSTRAINT "consumed_flows_session_id_connect_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "connect_sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "consumed_flows_of_session" ON "consumed_flows" USING btree ("session_id");