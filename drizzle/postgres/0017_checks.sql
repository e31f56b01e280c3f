ALTER TABLE "connections" ADD COLUMN "last_checked_at" bigint;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "last_check_error" text;