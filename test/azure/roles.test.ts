import { globSync, readFileSync } from "node:fs";
import { BlobClient, BlobServiceClient, BlockBlobClient, ContainerClient, PageBlobClient } from "@azure/storage-blob";
import { QueueClient, QueueServiceClient } from "@azure/storage-queue";
import { expect, it } from "vitest";
import { ENDS } from "../../azure/arm/operation-text.ts";
import { parsePath } from "../../replication/resources/ids.ts";
import type { Change, ResourceManager } from "../../replication/resources/resource-manager.ts";
import { drive } from "../orchestrations/driver.ts";
import { FLOW_SCENARIOS, type FlowScenario } from "../orchestrations/flow-scenarios.ts";
import { SOURCE_VM, TARGET_VM, type FlowWorld, enable, flowWorld, protectedWorld } from "../orchestrations/world.ts";
import { SOURCE_GROUP } from "../planning/samples.ts";
import { vm } from "../resources/samples.ts";

/** A request that needs an action of a role: where, and which. */
type Needed = `${Scope} ${string}`;
type Scope = "subscription" | "source" | "target" | "control";

const DOCUMENT = "docs/roles.md";

/** The rows of the table below this heading, or behind this text, as cells. */
function rowsBehind(text: string): readonly (readonly string[])[] {
  const [, behind = ""] = readFileSync(DOCUMENT, "utf8").split(text);
  const table = /\n\|[^\n]*\n\|[-|]+\|\n((?:\|[^\n]*\n)+)/.exec(behind)?.[1] ?? "";
  return table.split("\n").flatMap((line) =>
    line === ""
      ? []
      : [
          line
            .slice(1, -1)
            .split("|")
            .map((cell) => cell.trim()),
        ],
  );
}

const quoted = (cell = ""): readonly string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, text = ""]) => text);

/** What a resource type is called in actions. */
function actionType(type: string): string {
  return type === "microsoft.resources/resourcegroups" ? "microsoft.resources/subscriptions/resourcegroups" : type;
}

function scopeOf(id: string): Scope {
  const group = parsePath(id)?.resourceGroup?.toLowerCase();
  if (group === undefined) return "subscription";
  if (SOURCE_GROUP.toLowerCase().endsWith(`/${group}`)) return "source";
  return group === "leeward" ? "control" : "target";
}

/** Types whose use in another resource Azure asks to be allowed to join. */
const JOINED = [
  "microsoft.network/virtualnetworks/subnets",
  "microsoft.network/networkinterfaces",
  "microsoft.network/publicipaddresses",
  "microsoft.network/networksecuritygroups",
];
const POLLED: Readonly<Record<string, readonly string[]>> = {
  "microsoft.compute": ["locations/operations/read", "locations/diskoperations/read"],
  "microsoft.network": ["locations/operations/read", "locations/operationresults/read"],
};

function neededFor(change: Change): readonly Needed[] {
  const scope = scopeOf(change.id);
  const type = actionType(parsePath(change.id)?.type ?? "");
  if (change.kind === "act") return [`${scope} ${type}/${change.action.toLowerCase()}/action`];
  if (change.kind === "remove") return [`${scope} ${type}/delete`];
  const joined = [...JSON.stringify(change.body).matchAll(/"id":"([^"]+)"/g)].flatMap(([, id = ""]): Needed[] => {
    const named = parsePath(id)?.type ?? "";
    return JOINED.includes(named) && id.toLowerCase() !== change.id.toLowerCase()
      ? [`${scopeOf(id)} ${named}/join/action`]
      : [];
  });
  return [`${scope} ${type}/write`, ...joined];
}

function recording(manager: ResourceManager, needed: Set<Needed>): ResourceManager {
  const reading = (id: string): void => void needed.add(`${scopeOf(id)} ${actionType(parsePath(id)?.type ?? "")}/read`);
  return {
    ...manager,
    read: (id) => (reading(id), manager.read(id)),
    list: (collection, filter) => (reading(collection), manager.list(collection, filter)),
    begin: (change) => {
      for (const each of neededFor(change)) needed.add(each);
      for (const each of POLLED[(parsePath(change.id)?.type ?? "").split("/")[0] ?? ""] ?? [])
        needed.add(`subscription ${(parsePath(change.id)?.type ?? "").split("/")[0]}/${each}`);
      return manager.begin(change);
    },
  };
}

const SET = `${SOURCE_GROUP}/providers/Microsoft.Compute/availabilitySets/web`;

/** A source in an availability set. */
function inSet(): FlowWorld {
  const world = flowWorld();
  const properties = { platformFaultDomainCount: 2, platformUpdateDomainCount: 5 };
  world.resourceManager.seed(SET, { location: "westeurope", sku: { name: "Aligned" }, properties });
  const model = vm["properties"] as object;
  world.resourceManager.seed(SOURCE_VM, { ...vm, zones: [], properties: { ...model, availabilitySet: { id: SET } } });
  return world;
}

async function inSetAndProtected(): Promise<FlowWorld> {
  const world = inSet();
  await world.operate(enable());
  return world;
}

/** What the scenarios of the flows leave out: availability sets, and a machine that does not run when it is made. */
const MORE: readonly (Pick<FlowScenario, "open" | "request"> & { readonly isStopped?: true })[] = [
  { open: async () => inSet(), request: enable() },
  { open: inSetAndProtected, request: { operation: "DisableProtection", itemId: "web-1", requestId: undefined } },
  { open: () => protectedWorld(), request: failoverOf(), isStopped: true },
];

function failoverOf(): FlowScenario["request"] {
  const found = FLOW_SCENARIOS.find(({ flow }) => flow === "unplanned-failover");
  if (found === undefined) throw new Error("there are failovers");
  return found.request;
}

async function neededByFlows(): Promise<ReadonlySet<Needed>> {
  const needed = new Set<Needed>();
  for (const { open, request, isStopped } of [
    ...FLOW_SCENARIOS.map((each) => ({ ...each, isStopped: undefined })),
    ...MORE,
  ]) {
    const world = await open();
    const { management } = world.context;
    if (management === undefined) throw new Error("the world manages");
    const context = {
      ...world.context,
      management: { ...management, resourceManager: recording(management.resourceManager, needed) },
    };
    let isMade = isStopped === undefined;
    const onWait = async (delayMs: number): Promise<void> => {
      await world.pass(delayMs);
      if (isMade || !world.resourceManager.resources.has(`${TARGET_VM}/instanceView`.toLowerCase())) return;
      isMade = true;
      world.resourceManager.seed(`${TARGET_VM}/instanceView`, { statuses: [{ code: "PowerState/stopped" }] });
    };
    const { run } = await world.ask(request);
    await drive(context, run, { onWait });
  }
  return needed;
}

it("the role of the app has the actions that its flows need on each scope, and no others", async () => {
  const documented = rowsBehind("## Resource Manager").map(
    ([action, scope]) => `${scope} ${quoted(action)[0]?.toLowerCase()}`,
  );
  // Who may on the whole subscription may in every group.
  const isCovered = (need: string): boolean =>
    documented.includes(need) || documented.includes(need.replace(/^\w+/, "subscription"));
  const needed = [...(await neededByFlows())];
  expect(needed.filter((need) => !isCovered(need))).toEqual([]);
  const isNeeded = (row: string): boolean =>
    needed.some((need) => need === row || (row.startsWith("subscription ") && need.endsWith(row.slice(12))));
  expect(documented.filter((row) => !isNeeded(row))).toEqual([]);
  expect(new Set(documented).size).toBe(documented.length);
});

it("every action that the adapter can send is granted, or listed as one that no flow sends", () => {
  const actions = Object.keys(ENDS).filter((change) => !["put", "patch", "remove"].includes(change));
  const listed = [...rowsBehind("## Resource Manager"), ...rowsBehind("No flow does")].flatMap(([action]) =>
    quoted(action).flatMap((text) => /\/(\w+)\/action$/.exec(text)?.[1] ?? []),
  );
  expect(listed.filter((action) => action !== "join").toSorted()).toEqual(actions.toSorted());
});

it("every call of storage in azure/ has its action, and every call that is listed is made", () => {
  const clients = [BlobServiceClient, ContainerClient, BlobClient, BlockBlobClient, PageBlobClient];
  const methods = [...clients, QueueServiceClient, QueueClient].flatMap((client) =>
    Object.getOwnPropertyNames(client.prototype),
  );
  // These send nothing.
  const isLocal = (name: string): boolean => /^get\w*Client$|^generate|^with|^constructor$/.test(name);
  const text = globSync("azure/*.ts")
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
  const called = new Set(methods.filter((name) => !isLocal(name) && text.includes(`.${name}(`)));
  const listed = new Set(rowsBehind("## Storage").flatMap(([, , calls]) => quoted(calls)));
  expect([...listed].toSorted()).toEqual([...called].toSorted());
});
