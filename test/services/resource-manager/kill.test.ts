import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it, onTestFinished } from "vitest";
import { seededRandom } from "../../../local/lab/random.ts";
import { startChild, type Child } from "../../../local/supervisor/child.ts";
import { GROUP, idOf, REGION, SUBSCRIPTION, TOKEN } from "./world.ts";

const SEED = Number(process.env["FC_SEED"] ?? 1);
const ROUNDS = 3;

interface Acknowledged {
  readonly path: string;
  readonly operation: string;
}

/** Status and body; undefined when the connection broke, so that nobody knows what happened. */
async function send(url: string, method: string, body?: object) {
  const headers = { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" };
  const answer = await fetch(url, {
    method,
    headers,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch(() => undefined);
  if (answer === undefined) return undefined;
  const text = await answer.text().catch(() => undefined);
  return text === undefined
    ? undefined
    : { status: answer.status, headers: answer.headers, body: text === "" ? undefined : (JSON.parse(text) as unknown) };
}

it(`rule 4: what was accepted is there after a kill at any moment, and every operation comes to its end (seed ${SEED})`, async () => {
  const folder = await mkdtemp(join(tmpdir(), "leeward-arm-kill-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const random = seededRandom(SEED);
  let port = "0";
  const start = async (): Promise<Child> => {
    const parameters = [join(folder, "arm"), port, SUBSCRIPTION, TOKEN];
    const script = fileURLToPath(new URL("arm-child.ts", import.meta.url));
    return startChild({
      name: "Resource Manager",
      script,
      parameters,
      environment: {},
      logFile: join(folder, "arm.log"),
    });
  };
  const accepted: Acknowledged[] = [];
  let number = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const child = await start();
    const url = String(child.ready["url"]);
    port = new URL(url).port;
    await send(`${url}/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}?api-version=2025-04-01`, "PUT", {
      location: REGION,
    });
    // Killed in the middle of a request, after a few that were answered.
    const last = number + 5 + Math.floor(random.next() * 10);
    while (number < last) {
      number += 1;
      const path = number % 2 === 0 ? disk(number) : network(number);
      const asked = send(`${url}${path}`, "PUT", number % 2 === 0 ? DISK : NETWORK);
      if (number === last) void child.kill();
      const answer = await asked;
      const operation = answer?.headers.get("azure-asyncoperation");
      if (operation !== undefined && operation !== null) accepted.push({ path, operation });
    }
    await child.kill();
  }
  const child = await start();
  onTestFinished(() => child.kill());
  expect(accepted.length).toBeGreaterThan(ROUNDS * 4);
  for (const { path, operation } of accepted) {
    let status: unknown;
    do status = ((await send(operation, "GET"))?.body as { readonly status?: string } | undefined)?.status;
    while (status === "InProgress");
    expect(status).toBe("Succeeded");
    expect((await send(`${String(child.ready["url"])}${path}`, "GET"))?.body).toMatchObject({
      properties: { provisioningState: "Succeeded" },
    });
  }
});

const DISK = { location: REGION, properties: { creationData: { createOption: "Empty" }, diskSizeGB: 1 } };
const NETWORK = { location: REGION, properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] } } };
const disk = (number: number): string => `${idOf("Microsoft.Compute/disks", `d${number}`)}?api-version=2026-03-02`;
const network = (number: number): string =>
  `${idOf("Microsoft.Network/virtualNetworks", `v${number}`)}?api-version=2026-01-01`;
