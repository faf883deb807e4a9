import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { makeScript } from "../../mobility/scripts.ts";
import { until } from "./until.ts";
import { type Answer, ITEM, type ItemView, SEED, proven, startWorld } from "./world.ts";

const PATH = `replicationProtectedItems/${ITEM}/recoveryPoints`;

describe(`app-consistent points on request (seed ${SEED})`, { timeout: 240_000 }, () => {
  it("a script that holds the guest still gives one, one that fails or hangs gives none, and the guest goes on in every case", async ({
    onTestFinished,
  }) => {
    const world = await startWorld(onTestFinished);
    const folder = join(world.folder, "scripts");
    mkdirSync(folder);
    const mode = (text: string): void => writeFileSync(join(folder, "mode"), text);
    const script = makeScript(
      folder,
      'case "$(cat "$D/mode")" in fail) echo no >&2; exit 7 ;; hang) sleep 600 ;; esac',
    );
    const source = await world.startSource({ service: { appConsistencyScript: script.path, freezeMaxMs: 1500 } });
    const request = (id: string, body: object = { recoveryPointType: "ApplicationConsistent" }): Promise<Answer> =>
      world.operator.call("POST", PATH, { headers: { "x-ms-client-request-id": id }, body });
    const outcome = (name: string): Promise<NonNullable<ItemView["appConsistentPoint"]>> =>
      until(`the request ${name} has an outcome`, async () => {
        const point = (await world.operator.item()).appConsistentPoint;
        return point?.name === name && ["Succeeded", "Failed"].includes(point.state) ? point : undefined;
      });
    const ask = async (id: string): Promise<NonNullable<ItemView["appConsistentPoint"]>> => {
      const answer = await request(id);
      expect([answer.status, answer.headers.get("location")]).toEqual([202, `/api/replicationProtectedItems/${ITEM}`]);
      return outcome((answer.body as { readonly name: string }).name);
    };
    mode("ok");
    await source.write(30);
    await world.operator.pointOf(await source.uploaded());
    // A write that no epoch has yet: the freeze is what closes it.
    await source.write(5);
    expect(await ask("one")).toMatchObject({ state: "Succeeded" });
    const marked = await until("the point is there", async () =>
      (await world.operator.points()).find(({ recoveryPointType }) => recoveryPointType === "ApplicationConsistent"),
    );
    expect(script.calls()).toEqual(["--pre", "--post"]);

    mode("fail");
    await source.write(5);
    expect(await ask("two")).toMatchObject({ state: "Failed", reason: "--pre ended with exit code 7: no" });
    expect((await world.operator.item()).healthErrors).toContainEqual(
      expect.objectContaining({ code: "app-consistent-point-failed" }),
    );
    mode("hang");
    const hanging = ask("three");
    await source.write(20);
    expect(await hanging).toMatchObject({ state: "Failed", reason: "--pre did not end within 1.5 s" });
    expect(script.calls()).toEqual(["--pre", "--post", "--pre", "--post", "--pre", "--post"]);
    // The same request again asks for nothing.
    expect((await request("one")).status).toBe(202);
    expect((await request("four", { recoveryPointType: "CrashConsistent" })).status).toBe(400);

    const last = await world.operator.pointOf(await source.uploaded());
    expect(last.recoveryPointType).toBe("CrashConsistent");
    expect(
      (await world.operator.points()).filter(({ recoveryPointType }) => recoveryPointType === "ApplicationConsistent"),
    ).toHaveLength(1);
    const [atFreeze, atEnd] = await proven(world.operator, source, [marked, last]);
    expect(atFreeze).toContain(35);
    expect(atEnd).toContain(source.log.length);
    expect(script.calls()).toHaveLength(6);
  });
});
