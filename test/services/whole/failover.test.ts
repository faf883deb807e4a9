import { expect, it, onTestFinished } from "vitest";
import { TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { GROUP, clientsTo, contentOf, fillDisks, flowsOf, makeMachines, openGuest, targetOf } from "./machines.ts";
import { until } from "./until.ts";
import { blobsOf, startWorld } from "./world.ts";

it(
  "a machine is protected by its id, and fails over to a point though the app dies meanwhile; another is disabled and leaves an empty ledger",
  { timeout: 400_000 },
  async () => {
    const world = await startWorld((undo) => onTestFinished(undo));
    const { cloud, operator } = world;
    const clients = clientsTo(world);
    const [first = "", second = ""] = await makeMachines(clients, ["web-1", "web-2"]);
    await fillDisks(world, first);
    const { ask, ended, succeeds, inState, enable } = flowsOf(operator);

    await enable("web-1", first);
    await enable("web-2", second);

    // The guest writes one block after the other until a point holds the tenth, and then some more.
    const guest = await openGuest(world, first, "web-1");
    for (let count = 0; count < 10; count += 1) await guest.write();
    const point = await guest.pointOfNow();
    const before = guest.log.length;
    await guest.write();
    guest.close();
    expect(await inState("web-1", "Protected")).toContain("UnplannedFailover");

    const asked = await ask("POST", "web-1/unplannedFailover", {
      recoveryPointId: point.name,
      sourceSiteOperations: "Required",
    });
    // The app dies in the middle, and the flow goes on from its history.
    await until("the flow has begun", async () => {
      const { tasks } = (await operator.call("GET", `replicationJobs/${asked.name}`)).body as {
        tasks: readonly { state: string }[];
      };
      return tasks.some(({ state }) => state === "Succeeded") ? true : undefined;
    });
    await cloud.app.kill();
    await cloud.app.restart();
    const failedOver = await ended(asked);
    expect([failedOver.state, failedOver.errors]).toEqual(["Succeeded", []]);
    const prefixes = guest.log.prefixesOf(await contentOf(world, targetOf(world, "web-1")));
    expect(prefixes.length).toBeGreaterThan(0);
    expect(Math.max(...prefixes)).toBeGreaterThanOrEqual(10);
    expect(Math.min(...prefixes)).toBeLessThanOrEqual(before);
    const again = await operator.call("POST", "replicationProtectedItems/web-1/unplannedFailover", { body: {} });
    expect([again.status, again.body]).toMatchObject([409, { error: { code: "operation-not-allowed" } }]);

    await succeeds("DELETE", "web-2");
    expect(await inState("web-2", "UnprotectedStatesBegin")).toEqual(["EnableProtection"]);
    const container = blobsOf(cloud, TARGET_ACCOUNT).getContainerClient("leeward-management-web-2");
    const ledger = await container.getBlobClient("ledger.json").downloadToBuffer();
    expect(JSON.parse(ledger.toString("utf8"))).toMatchObject({ body: { entries: [] } });
    await expect(
      clients.compute.virtualMachineExtensions.get(GROUP, "web-2", "leeward-mobility"),
    ).rejects.toMatchObject({
      statusCode: 404,
    });
  },
);
