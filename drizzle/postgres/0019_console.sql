CREATE TABLE "console_sessions" (
	"id" text PRIMARY KEY NOT NULL,
	"digest" text NOT NULL,
	"issuer" text NOT NULL,
	"subject" text NOT NULL,
	"name" text,
	"role" text NOT NULL,
	"provider_session" text,
	"address" text,
	"created_at" bigint NOT NULL,
	"opened_at" bigint,
	"last_seen_at" bigint NOT NULL,
	"expires_at" bigint NOT NULL,
	"mac" text,
	CONSTRAINT "console_sessions_digest" UNIQUE("digest")
);
--> statement-breakpoint
CREATE INDEX "console_sessions_expiry" ON "console_sessions" USING btree ("expires_at");--> statement-breakpoint
CREATE INDEX "console_sessions_of" ON "console_sessions" USING btree ("issuer","subject");