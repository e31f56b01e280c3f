CREATE INDEX "received_webhooks_open" ON "received_webhooks" USING btree ("integration","next_at") WHERE next_at is not null;--> statement-breakpoint
DROP INDEX "received_webhooks_due";