ALTER TABLE `callers` ADD `audiences` text;--> statement-breakpoint
ALTER TABLE `agent_sessions` ADD `audience` text;