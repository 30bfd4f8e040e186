# One image for every role: `docker run … smartcrm api`. Without a role it runs everything (`start`), with its data in /data.
FROM node:24.21.0-slim

ENV NODE_ENV=production
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# What npm runs after an install.
COPY src/link-bin.js src/
RUN npm ci --omit=dev && npm cache clean --force
COPY schema schema
COPY projections projections
COPY src src
# A new volume takes over the owner of the folder that it is mounted on.
RUN mkdir -p /data/blobs && chown -R node:node /data

USER node
# Reachable from outside the container, which is where everybody is.
ENV HOST=0.0.0.0 SMARTCRM_DATA=/data
EXPOSE 3000
# Node itself is process 1: it gets the signal that ends the container.
ENTRYPOINT ["node", "src/main.ts"]
CMD ["start"]
