// A process that makes one outbound request, for tests that freeze it meanwhile: `node frozen-client.ts <url> <timeoutMs>`.
// Prints `<status> <length of the body>`, or the code of the error.

import { createOutbound, OutboundError } from '../../src/adapters/outbound/outbound.ts';

const [, , url = '', timeoutMs] = process.argv;
const outbound = createOutbound({ allow: ['127.0.0.1', 'localhost'], timeoutMs: Number(timeoutMs) });
// Loads the HTTP client, so that the deadline of the request below covers the request alone. A busy machine may take longer.
const isWarm = () =>
  outbound(`${url}/warm-up`, { timeoutMs: 15_000 }).then(
    () => true,
    () => false,
  );
while (!(await isWarm()));
try {
  const response = await outbound(url);
  console.log(`${response.status} ${(await response.text()).length}`);
} catch (error) {
  console.log(error instanceof OutboundError ? error.code : error);
}
process.exit();
