CREATE TABLE "unreadable_responses" (
	"id" text PRIMARY KEY NOT NULL,
	"integration" text NOT NULL,
	"connection_id" text,
	"session_id" text,
	"status" integer NOT NULL,
	"content_type" text,
	"extent" text NOT NULL,
	"received_at" bigint NOT NULL,
	"body" text NOT NULL
);
--> statement-breakpoint
CREATE INDEX "unreadable_responses_of" ON "unreadable_responses" USING btree ("integration","id");--> statement-breakpoint
CREATE INDEX "unreadable_responses_of_connection" ON "unreadable_responses" USING btree ("connection_id");--> statement-breakpoint
CREATE INDEX "unreadable_responses_age" ON "unreadable_responses" USING btree ("received_at");