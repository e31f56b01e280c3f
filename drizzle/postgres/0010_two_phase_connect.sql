CREATE TABLE "candidates" (
	"session_id" text PRIMARY KEY NOT NULL,
	"received_grant" text NOT NULL,
	"created_at" bigint NOT NULL
);
--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "finish" boolean;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "display_owner" text;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "code_challenge" text;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "finish_digest" text;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "wrong_attempts" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "created_with" text;--> statement-breakpoint
ALTER TABLE "integrations" ADD COLUMN "require_finish" boolean;--> statement-breakpoint
ALTER TABLE "candidates" ADD CONSTRAINT "candidates_session_id_connect_sessions_id_fk" FOREIGN KEY ("session_id") REFERENCES "connect_sessions"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "connect_sessions_of_owner" ON "connect_sessions" USING btree ("owner","id");--> statement-breakpoint
CREATE INDEX "connect_sessions_of_integration" ON "connect_sessions" USING btree ("integration","id");--> statement-breakpoint
CREATE INDEX "connect_sessions_open_of_owner" ON "connect_sessions" USING btree ("owner","integration") WHERE status in ('pending', 'awaiting_finish');--> statement-breakpoint
CREATE INDEX "connect_sessions_open_of_integration" ON "connect_sessions" USING btree ("integration") WHERE status in ('pending', 'awaiting_finish');--> statement-breakpoint
CREATE INDEX "connect_sessions_open_of_caller" ON "connect_sessions" USING btree ("created_by") WHERE status in ('pending', 'awaiting_finish');