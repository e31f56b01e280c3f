CREATE TABLE "portal_sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"secret_digest" text NOT NULL,
	"owner" text NOT NULL,
	"browser_digest" text,
	"content" text NOT NULL,
	"created_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	CONSTRAINT "portal_sessions_secret" UNIQUE("secret_digest"),
	CONSTRAINT "portal_sessions_browser" UNIQUE("browser_digest")
);
--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "integrations" json;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "ui_locales" text;--> statement-breakpoint
ALTER TABLE "connect_sessions" ADD COLUMN "display" text;--> statement-breakpoint
ALTER TABLE "integrations" ADD COLUMN "theme" json;--> statement-breakpoint
CREATE INDEX "portal_sessions_expiry" ON "portal_sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "portal_sessions_of_owner" ON "portal_sessions" USING btree ("owner");