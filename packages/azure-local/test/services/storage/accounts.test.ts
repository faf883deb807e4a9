import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  BlobSASPermissions,
  BlobServiceClient,
  generateBlobSASQueryParameters,
  StorageSharedKeyCredential,
} from "@azure/storage-blob";
import { QueueServiceClient } from "@azure/storage-queue";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type AccountAccess, OPEN_ACCESS, type RoleQuestion } from "../../../storage/admission.ts";
import { APP_PRINCIPAL_ID } from "../../../storage/identity.ts";
import { startStorage, type LocalStorage } from "../../../storage/storage.ts";
import { accountKey, blobService, bearerPipelines, queueService, statusOf } from "./world.ts";

const KEYS = [accountKey("one"), accountKey("two")] as const;
const refusal = (statusCode: number, code: string) => ({ statusCode, code });

let folder: string;
let storage: LocalStorage;
const start = (): Promise<LocalStorage> =>
  startStorage({
    folder,
    persistence: "disk",
    accounts: [{ name: "first", region: "westeurope", blobPort: 0, queuePort: 0 }],
    key: accountKey,
    token: "secret-token",
  });
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "leeward-accounts-"));
  storage = await start();
});
afterEach(async () => {
  await storage.close();
  await rm(folder, { recursive: true });
});

/** Clients that send the bearer token, as the app does with its identity. */
function bearerClients(name: string, bearer = storage.bearer()) {
  const { blobUrl, queueUrl } = storage.account(name);
  const { blob, queue } = bearerPipelines(bearer);
  return { blob: new BlobServiceClient(blobUrl, blob), queue: new QueueServiceClient(queueUrl, queue) };
}

describe("an account made while the storage runs", () => {
  it("serves blobs and queues with both keys, tells its operations, and is there again with its bytes", async () => {
    const seen: string[] = [];
    storage.observe(({ account, operation }) => seen.push(`${account} ${operation}`));
    const made = await storage.addAccount({ name: "second", region: "northeurope", keys: KEYS });
    expect(storage.accounts.map(({ name }) => name)).toEqual(["first", "second"]);
    expect(storage.accountsIn("northeurope")).toEqual([made]);
    for (const [at, key] of KEYS.entries()) {
      const service = new BlobServiceClient(made.blobUrl, new StorageSharedKeyCredential("second", key));
      await service.getContainerClient(`key-${at}`).create();
      await service.getContainerClient(`key-${at}`).getBlockBlobClient("a").upload("kept", 4);
    }
    await queueService(storage, "second").createQueue("hints");
    expect(seen).toContain("second Container_Create");
    expect(storage.operationCounts("second").get("BlockBlob_Upload")).toBe(2);
    await storage.close();
    storage = await start();
    await storage.addAccount({ name: "second", region: "northeurope", keys: KEYS });
    const kept = blobService(storage, "second").getContainerClient("key-1").getBlockBlobClient("a");
    expect((await kept.downloadToBuffer()).toString()).toBe("kept");
  });

  it("takes other keys at once, and the old ones no longer", async () => {
    await storage.addAccount({ name: "second", region: "northeurope", keys: KEYS });
    const before = blobService(storage, "second");
    storage.setKeys("second", [accountKey("three"), KEYS[1]]);
    expect(await statusOf(before.getProperties())).toBe(403);
    await blobService(storage, "second").getProperties();
  });

  it("is removed with all that it held, at once, and its name is free again", async () => {
    await storage.addAccount({ name: "second", region: "northeurope", keys: KEYS });
    const service = blobService(storage, "second");
    await service.getContainerClient("gone").create();
    const removed = storage.removeAccount("second");
    await expect(service.getProperties()).rejects.toMatchObject({ statusCode: undefined });
    const again = storage.addAccount({ name: "second", region: "westeurope", keys: KEYS });
    await Promise.all([removed, again]);
    expect(await blobService(storage, "second").getContainerClient("gone").exists()).toBe(false);
    await storage.removeAccount("second");
    expect(await readdir(folder)).toEqual(["first"]);
    expect(() => storage.account("second")).toThrow("There is no storage account second here.");
  });

  it("loses its power with its region, also when it is made afterwards", async () => {
    await storage.addAccount({ name: "second", region: "northeurope", keys: KEYS });
    storage.setRegionReachable("northeurope", false);
    await storage.addAccount({ name: "third", region: "northeurope", keys: KEYS });
    for (const name of ["second", "third"])
      await expect(blobService(storage, name).getProperties()).rejects.toMatchObject({ statusCode: undefined });
    await blobService(storage, "first").getProperties();
    storage.setRegionReachable("northeurope", true);
    for (const name of ["second", "third"]) await blobService(storage, name).getProperties();
  });

  it("has ports of its own, those of the local tools' kind when they are asked for", async () => {
    await storage.close();
    storage = await startStorage({
      folder,
      persistence: "memory",
      accounts: [],
      key: accountKey,
      madeFromPort: 20_100,
    });
    const ports = async (name: string): Promise<readonly number[]> => {
      const { blobUrl, queueUrl } = await storage.addAccount({ name, region: "northeurope", keys: KEYS });
      return [blobUrl, queueUrl].map((url) => Number(new URL(url).port));
    };
    const [[one = 0, oneQueue = 0], [two = 0]] = [await ports("second"), await ports("third")];
    expect([one % 10, oneQueue - one, (two - one) % 10, two > one]).toEqual([0, 1, 0, true]);
  });
});

describe("bearer tokens", () => {
  it("open blobs and queues of every account, and a wrong one opens nothing", async () => {
    const { blob, queue } = bearerClients("first");
    const container = blob.getContainerClient("by-token");
    await container.create();
    await container.getBlockBlobClient("a b/ü").upload("text", 4, { metadata: { who: "me" } });
    expect((await container.getBlockBlobClient("a b/ü").downloadToBuffer()).toString()).toBe("text");
    await queue.createQueue("hints");
    await queue.getQueueClient("hints").sendMessage("hello");
    expect((await queue.getQueueClient("hints").receiveMessages()).receivedMessageItems).toHaveLength(1);
    const wrong = bearerClients("first", "another-token").blob;
    await expect(wrong.getProperties()).rejects.toMatchObject(refusal(401, "InvalidAuthenticationInfo"));
  });

  it("give user delegation keys, whose signatures open what they name and nothing else", async () => {
    const { blob } = bearerClients("first");
    const container = blob.getContainerClient("delegated");
    await container.create();
    await container.getBlockBlobClient("a").upload("text", 4);
    const [startsOn, expiresOn] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
    const key = await blob.getUserDelegationKey(startsOn, expiresOn);
    expect(key.signedObjectId).toBe(APP_PRINCIPAL_ID);
    const permissions = BlobSASPermissions.parse("r");
    const query = generateBlobSASQueryParameters(
      { containerName: "delegated", blobName: "a", permissions, startsOn, expiresOn },
      key,
      "first",
    );
    const signed = new BlobServiceClient(`${storage.account("first").blobUrl}?${query.toString()}`);
    const blobOf = (name: string) => signed.getContainerClient("delegated").getBlockBlobClient(name);
    storage.setAccess("first", { ...OPEN_ACCESS, allowsSharedKey: false });
    expect((await blobOf("a").downloadToBuffer()).toString()).toBe("text");
    expect(await statusOf(blobOf("b").upload("x", 1))).toBe(403);
    storage.checkRoles(() => false);
    await expect(blobOf("a").download()).rejects.toMatchObject(refusal(403, "AuthorizationPermissionMismatch"));
  });

  it("need a role for what they do when roles count", async () => {
    const { blob, queue } = bearerClients("first");
    const service = bearerClients("first", storage.bearer({ kind: "service", principalId: "aa-11" }));
    const asked: RoleQuestion[] = [];
    storage.checkRoles((question) => {
      asked.push(question);
      return question.principalId === APP_PRINCIPAL_ID && question.right !== "queue-send";
    });
    const container = blob.getContainerClient("roles");
    await container.create();
    await container
      .getBlockBlobClient("a")
      .setTags({})
      .catch(() => undefined);
    await blob.getUserDelegationKey(new Date(), new Date(Date.now() + 60_000));
    const mismatch = refusal(403, "AuthorizationPermissionMismatch");
    await queue.createQueue("hints");
    await expect(queue.getQueueClient("hints").sendMessage("x")).rejects.toMatchObject(mismatch);
    await queue.getQueueClient("hints").peekMessages();
    await queue.getQueueClient("hints").receiveMessages();
    await expect(service.blob.getContainerClient("roles").getProperties()).rejects.toMatchObject(mismatch);
    expect(asked.map(({ containerOrQueue, right }) => `${containerOrQueue} ${right}`)).toEqual([
      "roles blob-write",
      "roles blob-tags",
      " blob-delegate",
      "hints queue-write",
      "hints queue-send",
      "hints queue-read",
      "hints queue-process",
      "roles blob-read",
    ]);
    storage.checkRoles(undefined);
    await service.blob.getContainerClient("roles").getProperties();
  });
});

describe("what an account lets in", () => {
  const close = (access: Partial<AccountAccess>): void => storage.setAccess("first", { ...OPEN_ACCESS, ...access });

  it("are no keys, in a header or in a signature, when its resource says so", async () => {
    const withKey = blobService(storage, "first");
    const permissions = BlobSASPermissions.parse("r");
    const expiresOn = new Date(Date.now() + 3_600_000);
    const signed = await withKey.getContainerClient("c").getBlockBlobClient("a").generateSasUrl({
      permissions,
      expiresOn,
    });
    close({ allowsSharedKey: false });
    const refused = refusal(403, "KeyBasedAuthenticationNotPermitted");
    await expect(withKey.getProperties()).rejects.toMatchObject(refused);
    await expect(queueService(storage, "first").getProperties()).rejects.toMatchObject(refused);
    const answer = await fetch(signed);
    expect([answer.status, answer.headers.get("x-ms-error-code")]).toEqual([403, "KeyBasedAuthenticationNotPermitted"]);
    await bearerClients("first").blob.getProperties();
    expect(storage.operationCounts("first").get("Refused")).toBe(3);
  });

  it("is nobody through a closed firewall but services of Azure, where they are trusted", async () => {
    const service = bearerClients("first", storage.bearer({ kind: "service", principalId: "aa-11" })).blob;
    const refused = refusal(403, "AuthorizationFailure");
    close({ network: "services" });
    await expect(blobService(storage, "first").getProperties()).rejects.toMatchObject(refused);
    await expect(bearerClients("first").blob.getProperties()).rejects.toMatchObject(refused);
    await service.getProperties();
    close({ network: "none" });
    await expect(service.getProperties()).rejects.toMatchObject(refused);
    await bearerClients("first", storage.bearer({ kind: "platform" })).blob.getProperties();
  });

  it("is nobody without credentials where public access is forbidden", async () => {
    const container = blobService(storage, "first").getContainerClient("public");
    await container.create({ access: "container" });
    await container.getBlockBlobClient("a").upload("text", 4);
    expect((await fetch(container.getBlobClient("a").url)).status).toBe(200);
    close({ allowsPublicBlobs: false });
    const answer = await fetch(container.getBlobClient("a").url);
    expect([answer.status, answer.headers.get("x-ms-error-code")]).toEqual([409, "PublicAccessNotPermitted"]);
    const other = blobService(storage, "first").getContainerClient("other");
    await expect(other.create({ access: "blob" })).rejects.toMatchObject(refusal(409, "PublicAccessNotPermitted"));
    await other.create();
  });
});
