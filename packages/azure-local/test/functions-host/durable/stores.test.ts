import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, expect, it } from "vitest";
import { openMemoryStore } from "../../../functions-host/durable/stores/memory-store.ts";
import { openSqliteStore } from "../../../functions-host/durable/stores/sqlite-store.ts";
import { durableStoreContract, row } from "./durable-store.ts";

durableStoreContract("memory", async () => {
  const store = openMemoryStore();
  return { store, reopen: () => Promise.resolve(store), [Symbol.asyncDispose]: () => store.close() };
});

durableStoreContract("SQLite", async () => {
  await using folder = await temporaryFolder();
  const opened = folder.release();
  const file = join(opened, "hub", "state.sqlite");
  let store = openSqliteStore(file);
  return {
    store,
    reopen: async () => {
      await store.close();
      store = openSqliteStore(file);
      return store;
    },
    [Symbol.asyncDispose]: async () => {
      await store.close();
      await rm(opened, { recursive: true });
    },
  };
});

describe("the SQLite store", () => {
  it("is used by one host at a time", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "state.sqlite");
    const store = openSqliteStore(file);
    expect(() => openSqliteStore(file, 50)).toThrow(
      expect.objectContaining({
        code: "configuration-invalid",
        message: "Another process uses the state of Durable Functions.",
      }),
    );
    await store.close();
    await openSqliteStore(file, 50).close();
  });

  it("refuses a file of another program or of a later version, and says what to do", async () => {
    await using folder = await temporaryFolder();
    const [damaged, later] = [join(folder.path, "damaged.sqlite"), join(folder.path, "later.sqlite")];
    await writeFile(damaged, "This is not a database, and long enough to be looked at. ".repeat(20));
    const database = new DatabaseSync(later);
    database.exec("PRAGMA user_version = 99");
    database.close();
    for (const file of [damaged, later]) {
      expect(() => openSqliteStore(file)).toThrow(
        expect.objectContaining({ code: "state-damaged", hint: expect.stringContaining("forgets all orchestrations") }),
      );
    }
  });

  it("writes all batches of one turn or none, and rejects each of them", async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, "state.sqlite");
    const store = openSqliteStore(file);
    const good = store.commit({ instances: [row("good")] });
    const work = { id: 1, instanceId: "i", executionId: "e", taskId: 0, name: "a", input: null };
    const bad = store.commit({ instances: [row("bad")], work: [work, work] });
    const outcomes = await Promise.allSettled([good, bad]);
    expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await store.commit({ instances: [row("later")] });
    expect((await store.load()).instances).toEqual([row("later")]);
    await store.close();
    await expect(store.commit({})).rejects.toThrow("is closed");
  });
});

interface TemporaryFolder extends AsyncDisposable {
  readonly path: string;
  /** Returns the path; from then on the caller removes the folder. */
  release(): string;
}

async function temporaryFolder(): Promise<TemporaryFolder> {
  const path = await mkdtemp(join(tmpdir(), "leeward-durable-"));
  let isOwned = true;
  return {
    path,
    release() {
      isOwned = false;
      return path;
    },
    async [Symbol.asyncDispose]() {
      if (isOwned) await rm(path, { recursive: true });
    },
  };
}
