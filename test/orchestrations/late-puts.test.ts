import { describe, expect, it } from "vitest";
import { readManaged } from "../../replication/jobs/managed-item.ts";
import { LEFT_RETRY_MS } from "../../replication/limits.ts";
import { retryLeftover } from "../../replication/operations/leftovers.ts";
import { changeLedger, readLedger } from "../../replication/resources/ledger-record.ts";
import { emptyLedger, intend } from "../../replication/resources/ledger.ts";
import type { ResourceJson } from "../../replication/resources/resource-manager.ts";
import { type FlowWorld, SOURCE_VM, enable, flowWorld, plainOperation } from "./world.ts";

const EXTENSION = `${SOURCE_VM}/extensions/leeward-mobility`;

interface Late {
  readonly world: FlowWorld;
  readonly id: string;
  /** The PUT that nobody answered takes effect. */
  readonly land: (changes?: ResourceJson) => void;
}

/** A machine whose network, or extension, was made by the second PUT, and which is not protected any more. */
async function disabledWorld(part: "virtualNetworks" | "extensions"): Promise<Late> {
  const world = flowWorld();
  world.resourceManager.fail({ on: "begin", change: "put", id: part, times: 1, with: { kind: "unavailable" } });
  expect((await world.operate(enable())).errors).toEqual([]);
  const { plan } = await readManaged(world.stores, "web-1");
  const id = part === "extensions" ? EXTENSION : (plan?.network.id ?? "");
  const body = world.resourceManager.resources.get(id.toLowerCase());
  if (body === undefined) throw new Error("the resource stands");
  const job = await world.operate(plainOperation("DisableProtection"));
  expect([job.state, job.errors]).toEqual(["Succeeded", []]);
  expect(world.resourceManager.resources.has(id.toLowerCase())).toBe(false);
  return { world, id, land: (changes = {}) => world.resourceManager.seed(id, { ...body, ...changes }) };
}

const stands = ({ world, id }: Late): boolean => world.resourceManager.resources.has(id.toLowerCase());
const entriesOf = async ({ world }: Late) => (await readLedger(world.stores, "web-1")).entries;
const tried = ({ world }: Late) => retryLeftover(world.context, "web-1");

/** Tries as often as the sweep would in some hours. */
async function sweepAll(late: Late): Promise<void> {
  for (let hours = 0; hours < 3; hours += 1) {
    await late.world.pass(LEFT_RETRY_MS);
    await tried(late);
  }
}

describe("a PUT that was never answered and takes effect after the disabling", () => {
  it.each(["virtualNetworks", "extensions"] as const)("of %s: the sweep removes what it brought", async (part) => {
    const late = await disabledWorld(part);
    expect(await entriesOf(late)).toMatchObject([{ id: late.id, state: "left" }]);
    late.land();
    expect(await tried(late)).toBeUndefined();
    expect(stands(late)).toBe(true);
    await sweepAll(late);
    expect([stands(late), await entriesOf(late)]).toEqual([false, []]);
  });

  it("is looked for once: when it never comes the ledger is empty", async () => {
    const late = await disabledWorld("virtualNetworks");
    await late.world.pass(LEFT_RETRY_MS);
    expect(await tried(late)).toMatchObject({ id: late.id, state: "removed" });
    expect(await entriesOf(late)).toEqual([]);
  });

  it("costs nobody else anything: what others made, use, or have put something into stays", async () => {
    const foreign = await disabledWorld("virtualNetworks");
    foreign.land({ tags: { "leeward-item": "web-2" } });
    await sweepAll(foreign);
    expect([stands(foreign), await entriesOf(foreign)]).toEqual([true, []]);

    const used = await disabledWorld("virtualNetworks");
    used.land();
    const network = { id: used.id, kind: "virtual-network", role: "shared" } as const;
    await changeLedger(used.world.stores, "web-2", () => intend(emptyLedger("web-2"), [network], "job", 0));
    await sweepAll(used);
    expect([stands(used), await entriesOf(used)]).toEqual([true, []]);

    const doubtful = await disabledWorld("virtualNetworks");
    doubtful.land();
    await doubtful.world.stores.management("web-3").put("ledger.json", new Uint8Array([1]));
    await sweepAll(doubtful);
    expect(stands(doubtful)).toBe(true);

    const widened = await disabledWorld("virtualNetworks");
    widened.land({ properties: { subnets: [{ name: "of-others" }] } });
    await sweepAll(widened);
    expect([stands(widened), await entriesOf(widened)]).toEqual([true, []]);
  });

  it("does not disturb the next life, whose disabling leaves the network to the sweep once more", async () => {
    const late = await disabledWorld("virtualNetworks");
    expect((await late.world.operate(enable())).errors).toEqual([]);
    await sweepAll(late);
    expect(stands(late)).toBe(true);
    expect((await late.world.operate(plainOperation("DisableProtection"))).errors).toEqual([]);
    expect(await entriesOf(late)).toMatchObject([{ id: late.id, state: "left" }]);
  });
});
