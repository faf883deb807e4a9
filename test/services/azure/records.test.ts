import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe } from "vitest";
import { type BlobAccount, connectBlobs } from "../../../azure/connections.ts";
import { openRecords } from "../../../azure/records.ts";
import { recordStoreContract } from "../../contracts/record-store.ts";
import { startPlainAzurite } from "./plain-azurite.ts";

describe("azure/records on Azurite", () => {
  let close: () => Promise<void>;
  let account: BlobAccount;
  beforeAll(async () => {
    const azurite = await startPlainAzurite();
    close = () => azurite.close();
    account = connectBlobs("TargetStorage", { kind: "connection-string", connectionString: azurite.connectionString });
  });
  afterAll(() => close());

  recordStoreContract(async () => openRecords(account, `leeward-item-${randomBytes(6).toString("hex")}`));
});
