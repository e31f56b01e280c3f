ALTER TABLE "callers" ADD COLUMN "audiences" json;--> statement-breakpoint
ALTER TABLE "agent_sessions" ADD COLUMN "audience" text;