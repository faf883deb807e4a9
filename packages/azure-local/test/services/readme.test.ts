import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, it, onTestFinished } from "vitest";
import { makeApp } from "./functions-host/world.ts";

const PACKAGE = join(import.meta.dirname, "../..");
const APP = `
import * as df from "durable-functions";
df.app.activity("greet", { handler: (name) => "hello " + name });
df.app.orchestration("greeting", function* (context) { return yield context.df.callActivity("greet", "you"); });
app.http("start", { extraInputs: [df.input.durableClient()], handler: async (request, context) => {
  const client = df.getClient(context);
  return client.waitForCompletionOrCreateCheckStatusResponse(request, await client.startNew("greeting"));
} });
`;

it("starts any app with the lines of its README, stops on a signal, and starts again on what is there", async () => {
  const readme = await readFile(join(PACKAGE, "README.md"), "utf8");
  const example = /^```js\n([^]*?)^```/m.exec(readme)?.[1] ?? "";
  expect(example.trimEnd().split("\n").length).toBeLessThanOrEqual(12);
  await using app = await makeApp({ source: APP });
  await mkdir(join(app.folder, "node_modules/@leeward"));
  await symlink(PACKAGE, join(app.folder, "node_modules/@leeward/azure-local"));
  // The ports of the text may be taken here.
  await writeFile(join(app.folder, "start.mjs"), example.replaceAll(/\b(10000|10001|7071)\b/g, "0"));
  for (let start = 0; start < 2; start++) {
    const child = spawn(process.execPath, ["start.mjs"], { cwd: app.folder, stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void child.kill("SIGKILL"));
    const exited = once(child, "exit");
    const answer = await fetch(`${await addressOf(createInterface(child.stdout))}/api/start?code=function-key`);
    expect([answer.status, await answer.json()]).toEqual([200, "hello you"]);
    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
  }
});

/** The one line that is no line of the log. */
async function addressOf(lines: AsyncIterable<string>): Promise<string> {
  for await (const line of lines) if (line.startsWith("http://")) return line;
  throw new Error("the app did not start");
}
