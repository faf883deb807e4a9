import type { RunningHost } from "./world.ts";

/** A small real app: `durable-functions` as its users write it, and HTTP functions that hand its client's calls on. */
export const DURABLE_SOURCE = `
import * as df from "durable-functions";

df.app.activity("hello", { handler: (name) => "hello " + name });
df.app.activity("boom", { handler: () => { throw new Error("no such luck"); } });

df.app.orchestration("greet", function* (context) {
  context.df.setCustomStatus({ step: 1 });
  const one = yield context.df.callActivity("hello", context.df.getInput() ?? "nobody");
  const two = yield context.df.callActivity("hello", one);
  return { two };
});
df.app.orchestration("waits", function* (context) {
  context.df.setCustomStatus("waiting");
  const event = yield context.df.waitForExternalEvent("Go");
  return { event };
});
df.app.orchestration("fails", function* (context) {
  yield context.df.callActivity("boom");
});
df.app.orchestration("echo", function* (context) {
  return { input: context.df.getInput() ?? null, type: typeof context.df.getInput() };
});
df.app.orchestration("spin", function* (context) {
  yield context.df.callActivity("hello", "again");
  context.df.continueAsNew((context.df.getInput() ?? 0) + 1);
});
df.app.client.timer("kick", {
  schedule: "0 0 0 1 1 *", runOnStartup: true, useMonitor: false,
  handler: async (_timer, client) => { await client.startNew("echo", { instanceId: "from-timer", input: "tick" }); },
});

const call = async (client, request) => {
  const { method, parameters } = await request.json();
  const revive = (value) => (value && value.$date ? new Date(value.$date) : value && typeof value === "object" && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).map(([k, v]) => [k, revive(v)])) : value);
  try {
    const result = await client[method](...parameters.map(revive));
    return { jsonBody: { result: result ?? null } };
  } catch (error) {
    return { jsonBody: { error: error.message } };
  }
};
df.app.client.http("client", { methods: ["POST"], authLevel: "anonymous", route: "client", handler: (request, client) => call(client, request) });
app.http("start", {
  methods: ["POST"], authLevel: "anonymous", route: "start/{name}", extraInputs: [df.input.durableClient()],
  handler: async (request, context) => {
    const client = df.getClient(context);
    const id = await client.startNew(request.params.name, { input: "you" });
    return request.query.get("wait") === null
      ? client.createCheckStatusResponse(request, id)
      : client.waitForCompletionOrCreateCheckStatusResponse(request, id, { timeoutInMilliseconds: Number(request.query.get("wait")), retryIntervalInMilliseconds: 20 });
  },
});
`;

/** Calls a method of the SDK's client inside the app. */
export async function callClient(
  running: RunningHost,
  method: string,
  ...parameters: readonly unknown[]
): Promise<unknown> {
  const answer = await fetch(`${running.host.url}/api/client`, {
    method: "POST",
    body: JSON.stringify({ method, parameters }),
  });
  const { result, error } = (await answer.json()) as { readonly result?: unknown; readonly error?: string };
  if (error !== undefined) throw new Error(error);
  return result;
}
