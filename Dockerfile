# The broker on SQLite. Keep /data: it holds the database.
# Needs VALETKEY_KEYS and VALETKEY_PUBLIC_URL; see .env.example.

# A release names it by its digest: see deploy/build-image.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
RUN chown node:node /app
# By the Node that will run it, and for the command line the user: what V8 has made of the code is good for no others.
USER 1000:1000
COPY --chown=1000:1000 package.json package-lock.json .npmrc ./
# No install script is needed: better-sqlite3 and esbuild bring their binaries in their packages.
# Without what only tests need: esbuild, which builds the bundle, is an optional package.
RUN npm ci --omit=dev --ignore-scripts
COPY --chown=1000:1000 build.ts openapi.json ./
COPY --chown=1000:1000 drizzle ./drizzle
COPY --chown=1000:1000 src ./src
# What is in it, for scanners: /app/dist/sbom.cdx.json.
RUN node build.ts && npm sbom --omit=dev --omit=optional --package-lock-only --sbom-format=cyclonedx > dist/sbom.cdx.json && chmod -R a+rX dist

FROM ${NODE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production \
    VALETKEY_HOST=0.0.0.0 \
    VALETKEY_DATABASE_URL=file:/data/valetkey.db \
    VALETKEY_DATA_DIR=/data
COPY package.json LICENSE ./
COPY drizzle ./drizzle
COPY src/catalogue/*.json ./src/catalogue/
COPY src/http/pages/*.css src/http/pages/*.js ./src/http/pages/
COPY src/http/console/*.css src/http/console/*.js ./src/http/console/
# The one package that is not in the bundle: it is native.
COPY --from=build /app/node_modules/better-sqlite3/package.json /app/node_modules/better-sqlite3/LICENSE ./node_modules/better-sqlite3/
COPY --from=build /app/node_modules/better-sqlite3/prebuilds/linux-*.node ./node_modules/better-sqlite3/prebuilds/
COPY --from=build /app/dist ./dist
RUN mkdir /data && chown node:node /data && chmod 700 /data
VOLUME /data
# The user "node", by number, so that an orchestrator sees that it is not root.
USER 1000:1000
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.VALETKEY_PORT || process.env.PORT || 8080}/healthz`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
STOPSIGNAL SIGTERM
# No shell and no npm between the orchestrator's signal and the broker. Without --disable-sigusr1, SIGUSR1 opens a debugger, which
# reads every key. --v8-pool-size=1: beside the event loop, V8 has one thread of its own (docs/decisions/0062). With
# NODE_OPTIONS=--enable-source-maps, stacks name the sources, for some memory and a slower start.
CMD ["node", "--disable-sigusr1", "--v8-pool-size=1", "dist/main.js"]
