CREATE TABLE "audit_reads" (
	"week" integer NOT NULL,
	"owner" text NOT NULL,
	"entry" text NOT NULL,
	CONSTRAINT "audit_reads_week_owner_entry_pk" PRIMARY KEY("week","owner","entry")
);
