import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, it, onTestFinished } from "vitest";
import { GROUP, idOf, REGION, SUBSCRIPTION, TOKEN } from "./world.ts";

const SEED = Number(process.env["FC_SEED"] ?? 1);
const ROUNDS = 3;

interface Acknowledged {
  readonly path: string;
  readonly operation: string;
}

interface Child {
  readonly url: string;
  /** SIGKILL; settles when the process is gone. */
  kill(): Promise<void>;
}

async function startChild(parameters: readonly string[]): Promise<Child> {
  const child = fork(join(import.meta.dirname, "arm-child.ts"), parameters, { execArgv: [] });
  const exited = once(child, "exit");
  const kill = async (): Promise<void> => {
    child.kill("SIGKILL");
    await exited;
  };
  const [message] = (await Promise.race([once(child, "message"), exited])) as [unknown];
  if (typeof message === "object" && message !== null && "url" in message) return { url: String(message.url), kill };
  throw new Error("The Resource Manager did not start.");
}

/** Status and body; undefined when the connection broke and the outcome is unknown. */
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
  const lengths = fc.sample(fc.nat(9), { numRuns: ROUNDS, seed: SEED });
  let port = "0";
  const start = (): Promise<Child> => startChild([join(folder, "arm"), port, SUBSCRIPTION, TOKEN]);
  const accepted: Acknowledged[] = [];
  let number = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const child = await start();
    const url = child.url;
    port = new URL(url).port;
    await send(`${url}/subscriptions/${SUBSCRIPTION}/resourceGroups/${GROUP}?api-version=2025-04-01`, "PUT", {
      location: REGION,
    });
    // Killed in the middle of a request, after a few that were answered.
    const last = number + 5 + (lengths[round] ?? 0);
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
    expect((await send(`${child.url}${path}`, "GET"))?.body).toMatchObject({
      properties: { provisioningState: "Succeeded" },
    });
  }
});

const DISK = { location: REGION, properties: { creationData: { createOption: "Empty" }, diskSizeGB: 1 } };
const NETWORK = { location: REGION, properties: { addressSpace: { addressPrefixes: ["10.0.0.0/16"] } } };
const disk = (number: number): string => `${idOf("Microsoft.Compute/disks", `d${number}`)}?api-version=2026-03-02`;
const network = (number: number): string =>
  `${idOf("Microsoft.Network/virtualNetworks", `v${number}`)}?api-version=2026-01-01`;
