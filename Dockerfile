# The broker on SQLite. Keep /data: it holds the database.
# Needs VALETKEY_KEYS and VALETKEY_PUBLIC_URL; see .env.example.

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# No install script is needed: better-sqlite3 brings its binaries in the package. Node comes from the base image,
# not from the optional packages.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-bookworm-slim
WORKDIR /app
ENV NODE_ENV=production \
    VALETKEY_HOST=0.0.0.0 \
    VALETKEY_DATABASE_URL=file:/data/valetkey.db
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json LICENSE ./
COPY drizzle ./drizzle
COPY src ./src
RUN mkdir /data && chown node:node /data && chmod 700 /data
VOLUME /data
# The user "node", by number, so that an orchestrator sees that it is not root.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.VALETKEY_PORT || 8080}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
# No shell and no npm between the orchestrator's signal and the broker.
CMD ["node", "src/main.ts"]
