// rfc-editor.org/rfc/rfc6749, …/rfc7009, …/rfc7636
import type { CodeRow, Vendor } from '../emulator/vendor.ts';

const row = {
  flow: 'code',
  mode: 'oauth2_code',
  params: {
    authorization_url: 'https://id.example.com/oauth/authorize',
    token_url: 'https://id.example.com:8443/oauth/token',
  },
  scopes: ['read', 'write'],
  authorize: { url: 'https://id.example.com/oauth/authorize', pkce: 'required' },
  token: { url: 'https://id.example.com:8443/oauth/token', clientAuth: 'basic' },
  refresh: { rotation: 'single_use' },
  api: { url: 'https://api.example.com/orders', outsideApiBase: true },
} satisfies CodeRow;

export default {
  provider: 'generic-oauth2',
  rows: [
    {
      ...row,
      params: { ...row.params, revocation_url: 'https://id.example.com/oauth/revoke' },
      revoke: { url: 'https://id.example.com/oauth/revoke' },
    },
    { ...row, variant: 'without revocation', refresh: { rotation: 'omitted' } },
  ],
} satisfies Vendor;
