// Generates `drizzle/sqlite` from the schema: `npm exec -c 'drizzle-kit generate'`.
import { defineConfig } from 'drizzle-kit';

export default defineConfig({
  dialect: 'sqlite',
  schema: './src/stores/sqlite/schema.ts',
  out: './drizzle/sqlite',
});
