import { readFile, readdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { killInsideBatch } from "../../../local/demo/faults.ts";
import { CACHE_ACCOUNT, TARGET_ACCOUNT } from "../../../local/supervisor/cloud.ts";
import { startApiProxy } from "./api-proxy.ts";
import { ITEM, type World, blobsOf, proven, startWorld } from "./world.ts";

const PATIENCE_MS = 60_000;

/** Every file below a folder, by its path. */
async function filesBelow(folder: string): Promise<ReadonlyMap<string, Buffer>> {
  const files = new Map<string, Buffer>();
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    files.set(path, await readFile(path));
  }
  return files;
}

/** Every blob of an account: its bytes, and its metadata and properties as text. */
async function blobsIn(world: World, account: string): Promise<ReadonlyMap<string, Buffer>> {
  const blobs = new Map<string, Buffer>();
  const service = blobsOf(world.cloud, account);
  for await (const { name: container } of service.listContainers()) {
    for await (const { name, metadata, properties } of service
      .getContainerClient(container)
      .listBlobsFlat({ includeMetadata: true, includeCopy: true })) {
      // The journal is trimmed meanwhile.
      const content = await service
        .getContainerClient(container)
        .getBlobClient(name)
        .downloadToBuffer()
        .catch((error: unknown) => {
          if ((error as { readonly statusCode?: unknown }).statusCode === 404) return Buffer.alloc(0);
          throw error;
        });
      blobs.set(
        `${account}/${container}/${name}`,
        Buffer.concat([content, Buffer.from(JSON.stringify({ metadata, properties }))]),
      );
    }
  }
  return blobs;
}

/** A secret as it may appear: as it is, encoded for an address, decoded from one, and as base64 of its text. */
function shapesOf(secret: string): readonly string[] {
  const shapes = [
    secret,
    encodeURIComponent(secret),
    decodeURIComponent(secret.replaceAll("%", "%25")),
    JSON.stringify(secret).slice(1, -1),
  ];
  return [
    ...new Set([
      ...shapes,
      decodeURIComponent(secret),
      Buffer.from(secret).toString("base64").replace(/=+$/, "").slice(0, -2),
    ]),
  ];
}

describe("rule 8: secrets stay where they belong", () => {
  it("after points, restores, errors, a kill and a refused grant none is in a log, a state file, an answer, an event or a blob", async ({
    onTestFinished,
  }) => {
    const world = await startWorld(onTestFinished);
    const { cloud, operator, folder } = world;
    const forged = `${"F".repeat(43)}%3D`;
    // The second grant is refused, so that the service has to speak of it.
    const proxy = await startApiProxy(onTestFinished, cloud.app.url, (url, number) =>
      number === 0 ? url.replace(/sig=[^&]+/, `sig=${forged}`) : url,
    );
    const source = await world.startSource({ apiUrl: proxy.apiUrl });
    const { registrationToken = "" } = JSON.parse(await readFile(join(folder, "vm", "mobility.json"), "utf8")) as {
      readonly registrationToken?: string;
    };
    const itemToken = (await readFile(join(folder, "vm", "state", "item-token"), "utf8")).trim();
    await source.write(20);
    const point = await operator.pointOf(await source.uploaded());
    await proven(operator, source, [point]);
    await blobsOf(cloud, CACHE_ACCOUNT)
      .getContainerClient(`leeward-cache-${ITEM}-0000000001`)
      .getBlockBlobClient("foreign")
      .upload("x", 1);
    const killed = killInsideBatch(cloud, ITEM, 1, PATIENCE_MS);
    await source.write(20);
    await killed;
    cloud.storage.setReachable(CACHE_ACCOUNT, false);
    await cloud.app.restart();

    const answers: string[] = [];
    const { functionKey, masterKey, accountKeys } = cloud.secrets;
    const bearer = { authorization: `Bearer ${itemToken}` };
    const secretBody = JSON.stringify({ registrationToken, itemToken, key: functionKey });
    for (const [method, path, options] of [
      ["PUT", `replicationProtectedItems/${ITEM}`, { raw: `${secretBody}}` }],
      ["PUT", `replicationProtectedItems/${ITEM}`, { raw: secretBody }],
      ["POST", `mobility/${ITEM}/register`, { raw: secretBody }],
      ["POST", `mobility/${ITEM}/heartbeat`, { raw: secretBody, headers: bearer }],
      ["POST", `mobility/${ITEM}/settle`, { raw: `${secretBody}{`, headers: bearer }],
      ["POST", `mobility/nobody/heartbeat`, { raw: secretBody, headers: bearer }],
      ["GET", `replicationProtectedItems/${ITEM}?code=${functionKey}`, { key: "" }],
      ["GET", `replicationProtectedItems/nobody?code=${functionKey}`, { key: "" }],
      ["GET", `replicationProtectedItems/${ITEM}/recoveryPoints`, {}],
      ["GET", `/admin/host/status?code=${masterKey}`, { key: "" }],
      ["GET", `nothing?code=${functionKey}`, {}],
    ] as const) {
      answers.push((await operator.call(method, path, options)).text);
    }
    cloud.storage.setReachable(CACHE_ACCOUNT, true);
    await source.stop();
    const blobs = new Map([...(await blobsIn(world, TARGET_ACCOUNT)), ...(await blobsIn(world, CACHE_ACCOUNT))]);
    await cloud.stop();

    const places = new Map<string, Buffer>([
      ...(await filesBelow(cloud.logFolder)),
      ...(await filesBelow(join(folder, "cloud", "events"))),
      ...(await filesBelow(join(folder, "cloud", "topic"))),
      ...(await filesBelow(join(folder, "cloud", "durable"))),
      ...(await filesBelow(join(folder, "cloud", "resource-manager"))),
      ...(await filesBelow(join(folder, "vm", "state"))),
      ...blobs,
      ["answers of the API", Buffer.from(answers.join("\n"))],
    ]);
    places.delete(join(folder, "vm", "state", "item-token"));
    const signatures = proxy.granted.map((url) => /sig=([^&]+)/.exec(url)?.[1] ?? "");
    const secrets: Readonly<Record<string, string>> = {
      functionKey,
      masterKey,
      registrationToken,
      itemToken,
      forged,
      topicKey: cloud.topic.key,
      managementToken: cloud.resourceManager.token,
      ...accountKeys,
      ...Object.fromEntries(signatures.entries()),
    };
    const found = Object.entries(secrets).flatMap(([name, secret]) =>
      [...places].flatMap(([place, bytes]) =>
        shapesOf(secret).some((shape) => bytes.includes(shape)) ? [`${name} in ${place}`] : [],
      ),
    );
    expect(found).toEqual([]);
    // Signatures that nobody here has seen, such as those of the downloads.
    expect(
      [...places].flatMap(([place, bytes]) => (/[?&]sig=[\w%+/]{8}/.test(bytes.toString("latin1")) ? [place] : [])),
    ).toEqual([]);
    // The search itself looks at everything: each kind of place is there, and it finds what is known to be in them.
    expect(
      [...places.keys()].filter((place) =>
        /app\.jsonl|mobility-.*\.jsonl|status\.json|item\.json|progress\.json|manifest\.json|journal\//.test(place),
      ).length,
    ).toBeGreaterThan(6);
    expect([...places.values()].some((bytes) => bytes.includes(ITEM))).toBe(true);
    for (const secret of Object.values(secrets)) expect(secret.length).toBeGreaterThan(20);
  });
});
