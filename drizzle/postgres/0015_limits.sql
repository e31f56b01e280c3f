ALTER TABLE "integrations" ADD COLUMN "rate" json;--> statement-breakpoint
ALTER TABLE "rate_buckets" ADD COLUMN "blocked_until" bigint;--> statement-breakpoint
CREATE INDEX "rate_buckets_blocked" ON "rate_buckets" USING btree ("blocked_until") WHERE blocked_until is not null;