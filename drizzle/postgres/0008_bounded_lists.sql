DROP INDEX "connections_by_status";--> statement-breakpoint
DROP INDEX "connections_of_owner_at";--> statement-breakpoint
DROP INDEX "connections_of_owner";--> statement-breakpoint
CREATE INDEX "audit_of_action" ON "audit" USING btree ("action","id");--> statement-breakpoint
CREATE INDEX "audit_of_integration" ON "audit" USING btree ("integration","id");--> statement-breakpoint
CREATE INDEX "audit_not_ok" ON "audit" USING btree ("outcome","id") WHERE outcome <> 'ok';--> statement-breakpoint
CREATE INDEX "connections_of_integration" ON "connections" USING btree ("integration","status","id");--> statement-breakpoint
CREATE INDEX "connections_not_active" ON "connections" USING btree ("status","id") WHERE status <> 'active';--> statement-breakpoint
CREATE INDEX "connections_of_owner_at" ON "connections" USING btree ("integration","owner" text_pattern_ops,"id");--> statement-breakpoint
CREATE INDEX "connections_of_owner" ON "connections" USING btree ("owner" text_pattern_ops,"id");