import type { HttpFunctionOptions } from "@azure/functions";
import { applyHints } from "../../../functions/queues/apply-hints.ts";
import { restoreSlices } from "../../../functions/queues/restore-slices.ts";
import type { ServiceGate } from "../../../functions/serving/request-gate.ts";
import type { Application } from "../../../functions/wiring.ts";
import { LeewardError } from "../../../replication/errors.ts";
import { ensureManaged } from "../../../replication/jobs/managed-item.ts";
import { deltaName } from "../../../replication/names.ts";
import type { WorkMessage } from "../../../replication/operations/work-queue.ts";
import type { DiskDescription, Position } from "../../../replication/position.ts";
import { tokenHash } from "../../../replication/service/tokens.ts";
import { type Situation, UNPROTECTED } from "../../../replication/states/decide.ts";
import { memoryResourceManager } from "../../memory/memory-resource-manager.ts";
import { type Answer, type AppInMemory, appInMemory, call, deliver, deltaOf, ticketed } from "../app-under-test.ts";

export const VM = "/subscriptions/s1/resourceGroups/shop/providers/Microsoft.Compute/virtualMachines/web-1";
export const DISKS: readonly DiskDescription[] = [{ id: "os", sizeBytes: 1024 * 1024, sectorSizeBytes: 512 }];
export const ITEM_TOKEN = "ab".repeat(32);
/** The largest message that a storage queue takes: base64 text. */
const QUEUE_MESSAGE_MAX_BYTES = 64 * 1024;
const ARM_TOKEN = "resource-manager-token-3f1c";

/** Every registered HTTP function by its method and route. */
export type Routes = ReadonlyMap<string, HttpFunctionOptions>;

/** What the requests of the table name. */
export interface Names {
  readonly point: string;
  readonly restore: string;
  readonly job: string;
  readonly mapping: string;
  /** Of `new-1`, whose service has not registered yet. */
  readonly registrationToken: string;
  /** Where the target of `web-1` stands. */
  readonly applied: Position;
}

export interface FuzzWorld {
  readonly application: Application;
  readonly app: AppInMemory;
  readonly names: Names;
  /** What no answer may hold, but those that grant it. */
  readonly secrets: readonly string[];
}

/**
 * An app with something behind every route: `web-1` replicates, is managed and has a point, a restore and an alert
 * rule; `over-1` has failed over; `new-1` waits for its service; a policy and a mapping. `bind` is told the application
 * before the routes are called.
 */
export async function openFuzzWorld(routes: Routes, bind: (application: Application) => void): Promise<FuzzWorld> {
  const app = appInMemory();
  const application = fuzzApplication(app);
  bind(application);
  const ask = async (route: string, request: Parameters<typeof call>[1]): Promise<Answer> => {
    const options = routes.get(route);
    if (options === undefined) throw new Error(`${route} is not registered`);
    const answer = await call(options, request);
    if (answer.status >= 300)
      throw new Error(`${route} was answered with ${answer.status}: ${JSON.stringify(answer.body)}`);
    return answer;
  };
  const tokenOf = async (item: string): Promise<string> => {
    const { body } = await ask("PUT replicationProtectedItems/{item}", { params: { item }, body: { disks: DISKS } });
    return (body as { readonly registrationToken: string }).registrationToken;
  };
  const web = { item: "web-1" };
  const used = await tokenOf("web-1");
  const register = {
    registrationToken: used,
    itemToken: ITEM_TOKEN,
    machineId: "machine",
    bootId: "boot",
    disks: DISKS,
  };
  const { body } = await ask("POST mobility/{item}/register", { params: web, body: register });
  const applied = await replicate(application, app, (body as { readonly start: Position }).start);
  await ask("POST mobility/{item}/heartbeat", { params: web, headers: bearer, body: heartbeat(applied) });
  const nameOf = (answer: Answer): string => (answer.body as { readonly name: string }).name;
  const { value } = (await ask("GET replicationProtectedItems/{item}/recoveryPoints", { params: web })).body as {
    readonly value: readonly { readonly name: string }[];
  };
  const point = value[0]?.name ?? "";
  const restore = nameOf(
    await ask("POST replicationProtectedItems/{item}/recoveryPoints/{point}/restore", { params: { ...web, point } }),
  );
  // The copies are done by the second slice at the latest.
  for (let slice = 0; slice < 2; slice += 1) {
    await deliver(
      restoreSlices(() => application),
      { kind: "restore", itemId: "web-1", restoreId: restore },
    );
  }
  await manage(app, "web-1", { ...UNPROTECTED, state: "Protected" });
  await manage(app, "over-1", {
    ...UNPROTECTED,
    state: "FailoverCommitPending",
    activeLocation: "Recovery",
    failover: "Unplanned",
  });
  const job = nameOf(await ask("DELETE replicationProtectedItems/{item}", { params: { item: "over-1" } }));
  await manage(app, "over-2", {
    ...UNPROTECTED,
    state: "FailoverCommitPending",
    activeLocation: "Recovery",
    failover: "Unplanned",
  });
  await ask("PUT replicationProtectedItems/{item}/alertRule", {
    params: web,
    body: { mode: "failover", targetIds: [VM], severities: ["Sev0"] },
  });
  await ask("PUT replicationPolicies/{policy}", { params: { policy: "gold" }, body: {} });
  const mapping = nameOf(await ask("POST replicationNetworkMappings", { body: mappingOf("a", "b") }));
  const registrationToken = await tokenOf("new-1");
  const tokens = [ITEM_TOKEN, ...[registrationToken, used].map((token) => token.split(".")[1] ?? "")];
  const secrets = [...tokens, ...tokens.map(tokenHash), ARM_TOKEN, "sig=GRANT"];
  return { application, app, secrets, names: { point, restore, job, mapping, registrationToken, applied } };
}

const SERVICE_TOKEN = await ticketed("web-1", ITEM_TOKEN);
export const bearer = { authorization: `Bearer ${SERVICE_TOKEN}` };

export const heartbeat = (uploaded: Position): object => ({
  machineId: "machine",
  bootId: "boot",
  sessionId: "session",
  sentMs: 1_700_000_000_000,
  uploaded,
  pendingBytes: 0,
});

export function mappingOf(from: string, to: string): object {
  const network = (name: string): string =>
    `/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/${name}`;
  return {
    primaryNetworkId: network(from),
    primaryRegion: "westeurope",
    recoveryNetworkId: network(to),
    recoveryRegion: "northeurope",
  };
}

const OPEN: ServiceGate = { run: (_itemId, _tokenHash, work) => work() };

/** With a Resource Manager, and a queue that is as narrow as Azure's. */
function fuzzApplication(app: AppInMemory): Application {
  const inner = app.source();
  const send = async (message: WorkMessage, delayMs: number): Promise<void> => {
    const lengthBytes = Buffer.from(JSON.stringify(message)).toString("base64").length;
    if (lengthBytes > QUEUE_MESSAGE_MAX_BYTES)
      throw new LeewardError("store-refused", "The message is too long.", { lengthBytes });
    await inner.queue.send(message, delayMs);
  };
  return {
    ...inner,
    // The clock stands still here, and each test sends hundreds of requests.
    gates: { register: OPEN, heartbeat: OPEN, settle: OPEN },
    queue: { send },
    management: {
      resourceManager: memoryResourceManager(),
      subscriptionId: "s1",
      resourceGroup: "leeward",
      apiUrl: `https://app.invalid/api?${ARM_TOKEN}`,
      installScriptUrl: "https://packages.invalid/install-mobility.sh",
    },
  };
}

/** One epoch, applied; a point comes of it. */
async function replicate(application: Application, app: AppInMemory, start: Position): Promise<Position> {
  const delta = deltaOf("web-1", start, DISKS, [{ disk: 0, page: 3, value: 7 }], application.clock.now());
  await app.stores.cache("web-1", 1).create(deltaName(delta.end.stream, delta.end.epoch), delta.bytes);
  await deliver(
    applyHints(() => application),
    { kind: "hint", itemId: "web-1" },
  );
  return delta.end;
}

async function manage(app: AppInMemory, itemId: string, situation: Situation): Promise<void> {
  await ensureManaged(app.stores, {
    version: 1,
    itemId,
    situation,
    running: undefined,
    sourceVmId: VM,
    options: { targetRegion: "northeurope" },
    policy: undefined,
    plan: undefined,
  });
}
