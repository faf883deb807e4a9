import { describe, expect, it } from "vitest";
import { openCacheAccount, type CacheAccount } from "../../mobility/control/cache-account.ts";
import { createMemoryMedium } from "../memory/memory-files.ts";
import { createRandom } from "../memory/random.ts";

const OWN = "https://own.blob.core.windows.net";
const container = (account: string): string => `${account}/leeward-cache-vm1-0000000001?sp=c&sig=x`;

/** Opens the state folder once more: what was kept is found, also after a power failure. */
interface Folder {
  readonly open: () => CacheAccount;
  readonly cutPower: () => void;
  readonly text: () => string | undefined;
}

function folder(): Folder {
  const medium = createMemoryMedium({ random: createRandom(1), schedule: (work) => work() });
  medium.process().files.makeFolder("/state", 0o700);
  medium.settle();
  return {
    open: () => openCacheAccount(medium.process().files, "/state/cache-account"),
    cutPower: () => medium.cutPower(),
    text: () => medium.get("/state/cache-account")?.toString("utf8"),
  };
}

describe("the account that deltas go to", () => {
  it("is the one that the registration named, after any restart", () => {
    const { open, cutPower } = folder();
    open().keep(OWN);
    cutPower();
    const account = open();
    expect(account.obstacle(container(OWN))).toBeUndefined();
    for (const other of [
      "https://other.blob.core.windows.net",
      "https://own.blob.core.windows.net.evil.example",
      "https://own.blob.core.windows.net:8443",
      `${OWN}/deeper`,
      "http://127.0.0.1:10000/own",
    ]) {
      expect(account.obstacle(container(other))).toMatchObject({ code: "store-refused" });
    }
    expect(account.obstacle(container("https://own.blob.core.windows.net@evil.example"))).toMatchObject({
      code: "store-refused",
    });
  });

  it("may be named by its path, as where one host has several", () => {
    const account = folder().open();
    account.keep("http://127.0.0.1:10000/own");
    expect(account.obstacle(container("http://127.0.0.1:10000/own"))).toBeUndefined();
    expect(account.obstacle(container("http://127.0.0.1:10000/other"))).toMatchObject({ code: "store-refused" });
    expect(account.obstacle(container("http://127.0.0.1:10000/own2"))).toMatchObject({ code: "store-refused" });
  });

  it("is another one when a new registration names another one", () => {
    const account = folder().open();
    account.keep(OWN);
    account.keep("https://next.blob.core.windows.net");
    expect(account.obstacle(container(OWN))).toMatchObject({ code: "store-refused" });
    expect(account.obstacle(container("https://next.blob.core.windows.net"))).toBeUndefined();
  });

  it("is the first that a grant names in a state folder that knows none", () => {
    const { open } = folder();
    expect(open().obstacle(container(OWN))).toBeUndefined();
    expect(open().obstacle(container("https://other.blob.core.windows.net"))).toMatchObject({ code: "store-refused" });
    expect(open().obstacle(container(OWN))).toBeUndefined();
  });

  it("is reached by https, or does not leave this machine", () => {
    const account = folder().open();
    expect(account.obstacle(container("http://evil.example"))).toMatchObject({
      code: "store-refused",
      facts: { host: "evil.example" },
    });
    expect(() => account.keep("http://own.blob.core.windows.net")).toThrowError(
      expect.objectContaining({ code: "store-refused" }),
    );
    // Neither was taken for the item's own.
    expect(account.obstacle(container(OWN))).toBeUndefined();
  });

  it("rule 8: keeps nothing of the credential, and shows nothing of it", () => {
    const { open, text } = folder();
    const account = open();
    account.obstacle(container(OWN));
    expect(text()).toBe(OWN);
    expect(JSON.stringify(account.obstacle(container("https://other.example")))).not.toContain("sig");
  });
});
