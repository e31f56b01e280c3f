ALTER TABLE "caller_keys" ADD COLUMN "mac" text;--> statement-breakpoint
ALTER TABLE "callers" ADD COLUMN "mac" text;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "mac" text;--> statement-breakpoint
ALTER TABLE "integrations" ADD COLUMN "mac" text;--> statement-breakpoint
ALTER TABLE "outbox_revocations" ADD COLUMN "label" text;