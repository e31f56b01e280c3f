// The ids, names and times that all examples share, so that they are consistent.

export const EXAMPLE = {
  connection: 'con_01k9d3m6x2f8v5t7q4w1z0y9ab',
  session: 'cs_01k9d3k8p5r0n2c4x6b7h9j1me',
  portal: 'ps_01k9d3k8q2w4e6r8t0y2u4i6op',
  caller: 'clr_01k9d2z4y7t9w1q3e5r8u0i2op',
  key: 'key_01k9d2z4y8a3s5d7f9g1h2j4kl',
  workload: 'wl_63fc91512c17fd50eead1274e7',
  event: 'evt_01k9d3q1v6b8n0m2z4x5c7v9as',
  message: 'msg_01k9d3q1v6d2f4g6h8j0k1l3mn',
  endpoint: 'whe_01k9d3s7w9e1r3t5y7u9i0o2pa',
  consoleSession: 'cse_01k9d3q1v6b8n0m2z4x5c7v9aw',
  delivery: 'dlv_01k9d3q1v7s4d6f8g0h2j4k6lz',
  request: '0d6c8f2e-6d0b-4a8e-9b57-3f1f3a1c2d4e',
  link: 'https://valetkey.acme.example/connect/pR4nZ7qXv2mLc9bTs6wKd1yHg8fJu5eA0oIiV3xBkNU',
  provider: 'slack',
  integration: 'slack',
  owner: 'user_42',
  account: { issuer: 'https://slack.com', id: 'T0123ABCD/U0456EFGH', name: 'Acme' },
  made: '2026-03-02T09:30:00.000Z',
  changed: '2026-03-02T10:25:07.000Z',
  ends: '2026-03-02T22:25:07.000Z',
} as const;
