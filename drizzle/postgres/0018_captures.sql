CREATE TABLE "captured_calls" (
	"id" text PRIMARY KEY NOT NULL,
	"connection_id" text NOT NULL,
	"at" bigint NOT NULL,
	"content" text NOT NULL
);
--> statement-breakpoint
CREATE TABLE "captures" (
	"connection_id" text PRIMARY KEY NOT NULL,
	"started_at" bigint NOT NULL,
	"until" bigint NOT NULL
);
--> statement-breakpoint
CREATE INDEX "captured_calls_of" ON "captured_calls" USING btree ("connection_id","id");--> statement-breakpoint
CREATE INDEX "captured_calls_age" ON "captured_calls" USING btree ("at");