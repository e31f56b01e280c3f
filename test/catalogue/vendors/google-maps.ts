// developers.google.com/maps/documentation/geocoding/get-api-key, …/places/web-service/text-search,
// …/routes/oauth

import { reply, type Vendor } from '../emulator/vendor.ts';
import { minted, serviceAccount } from '../families/google.ts';

const KEY = 'AIzaSyExample-0123456789_ABCDEFGHIJKLMN';

export default {
  provider: 'google-maps',
  rows: [
    {
      flow: 'static',
      mode: 'api_key',
      credentials: { api_key: KEY },
      api: {
        url: 'https://maps.googleapis.com/maps/api/geocode/json',
        tokenType: 'query:key',
        answer: { results: [], status: 'OK' },
        unauthorized: reply(200, {
          error_message: 'The provided API key is invalid.',
          results: [],
          status: 'REQUEST_DENIED',
        }),
      },
    },
    {
      flow: 'static',
      mode: 'header_key',
      params: { service: 'places' },
      credentials: { api_key: KEY },
      api: {
        method: 'POST',
        url: 'https://places.googleapis.com/v1/places:searchText',
        tokenType: 'header:X-Goog-Api-Key',
        unauthorized: reply(400, { error: { code: 400, status: 'INVALID_ARGUMENT', message: 'API key not valid.' } }),
      },
    },
    {
      ...minted(serviceAccount('maps', 'acme-maps'), { scope: 'https://www.googleapis.com/auth/cloud-platform' }),
      params: { service: 'routes', quota_project: 'acme-maps' },
      api: {
        method: 'POST',
        url: 'https://routes.googleapis.com/directions/v2:computeRoutes',
        headers: { 'x-goog-user-project': 'acme-maps' },
      },
    },
  ],
  calls: {
    checks: [
      {
        modes: ['api_key'],
        url: 'https://maps.googleapis.com/maps/api/geocode/json',
        answer: { results: [{}], status: 'OK' },
        unauthorized: reply(200, {
          error_message: 'The provided API key is invalid.',
          results: [],
          status: 'REQUEST_DENIED',
        }),
      },
    ],
    limits: [{ answer: reply(200, { results: [], status: 'OVER_QUERY_LIMIT' }), wait: 1 }],
  },
} satisfies Vendor;
