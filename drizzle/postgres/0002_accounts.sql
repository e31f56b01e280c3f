ALTER TABLE "connect_sessions" ADD COLUMN "account" json;--> statement-breakpoint
ALTER TABLE "connections" ADD COLUMN "account" json;--> statement-breakpoint
CREATE INDEX "connections_of_account" ON "connections" USING btree ((account ->> 'id')) WHERE status <> 'revoked';