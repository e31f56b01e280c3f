CREATE TABLE "jobs" (
	"id" text PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"input" json NOT NULL,
	"actor" json NOT NULL,
	"caller_id" text NOT NULL,
	"status" text NOT NULL,
	"total" integer,
	"done" integer NOT NULL,
	"counts" json NOT NULL,
	"position" text,
	"attempts" integer NOT NULL,
	"last_error" text,
	"next_at" bigint,
	"fence" integer NOT NULL,
	"created_at" bigint NOT NULL,
	"started_at" bigint,
	"finished_at" bigint,
	"mac" text
);
--> statement-breakpoint
CREATE INDEX "jobs_due" ON "jobs" USING btree ("next_at") WHERE next_at is not null;--> statement-breakpoint
CREATE INDEX "jobs_of_caller" ON "jobs" USING btree ("caller_id","id");--> statement-breakpoint
CREATE INDEX "jobs_finished" ON "jobs" USING btree ("finished_at") WHERE finished_at is not null;