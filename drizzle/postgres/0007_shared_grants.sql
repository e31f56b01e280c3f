ALTER TABLE "outbox_revocations" ADD COLUMN "owner" text;--> statement-breakpoint
ALTER TABLE "outbox_revocations" ADD COLUMN "account" json;--> statement-breakpoint
ALTER TABLE "outbox_revocations" ADD COLUMN "claimed_until" bigint;