ALTER TABLE "replicas" ADD COLUMN "applied_seq" bigint;--> statement-breakpoint
CREATE INDEX "outbox_revocations_due_by_integration" ON "outbox_revocations" USING btree ("integration","next_at");