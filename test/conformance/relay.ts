// What the suite starts as the client of each scenario: hands the scenario to the process with the broker, and ends as that
// says. A broker for each scenario would take longer than the scenarios.
const [control = '', serverUrl] = process.argv.slice(2);
const { MCP_CONFORMANCE_SCENARIO, MCP_CONFORMANCE_PROTOCOL_VERSION, MCP_CONFORMANCE_CONTEXT } = process.env;
const response = await fetch(control, {
  method: 'POST',
  body: JSON.stringify({
    name: MCP_CONFORMANCE_SCENARIO,
    serverUrl,
    revision: MCP_CONFORMANCE_PROTOCOL_VERSION,
    context: MCP_CONFORMANCE_CONTEXT && JSON.parse(MCP_CONFORMANCE_CONTEXT),
  }),
});
const text = await response.text();
if (!response.ok) console.error(text);
process.exitCode = response.ok ? 0 : 1;
