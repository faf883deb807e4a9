import { cp, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { CONTRACT } from "../../../api/contract.ts";
import { addressOf, forkHost, KEYS } from "../../../packages/azure-local/test/services/functions-host/world.ts";

/** What a deployment sends: three things, and no packages. */
async function deployedFolder() {
  const folder = await mkdtemp(join(tmpdir(), "leeward-deployed-"));
  for (const path of ["package.json", "host.json", "dist/app"]) await cp(path, join(folder, path), { recursive: true });
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
}

const ACCOUNT =
  "DefaultEndpointsProtocol=http;AccountName=nobody;AccountKey=bm9ib2R5;BlobEndpoint=http://127.0.0.1:9/nobody;QueueEndpoint=http://127.0.0.1:9/nobody";
const SETTINGS = {
  AzureWebJobsStorage: ACCOUNT,
  CacheStorage: ACCOUNT,
  TargetStorage: ACCOUNT,
  LEEWARD_POINT_SCHEDULE: "0 0 0 1 1 *",
  LEEWARD_SWEEP_SCHEDULE: "0 0 0 1 1 *",
};

it("the bundled app needs nothing beside it: it registers every function of its source, and answers", async () => {
  await using app = await deployedFolder();
  await using running = forkHost(app, SETTINGS);
  const url = await addressOf(running);
  const listed = (await (await fetch(`${url}/admin/functions?code=${KEYS.masterKey}`)).json()) as readonly {
    readonly name: string;
  }[];
  const source = await readFile("functions/index.ts", "utf8");
  const others = [...source.matchAll(/^app\.\w+\("(\w+)"/gm)].map(([, name]) => name);
  const registered = [...others, ...Object.keys(CONTRACT)];
  expect(registered.length).toBeGreaterThan(20);
  expect(listed.map(({ name }) => name)).toEqual(expect.arrayContaining([...registered, "openJob"]));
  // It gets as far as its own check of the request, which needs no storage.
  const answer = await fetch(`${url}/api/replicationProtectedItems/item?code=${KEYS.functionKey}`, {
    method: "PUT",
    body: "{}",
  });
  expect([answer.status, await answer.json()]).toMatchObject([400, { error: { code: "invalid-request" } }]);
  const document = await fetch(`${url}/api/openapi.json?code=${KEYS.functionKey}`);
  expect(await document.json()).toEqual(JSON.parse(await readFile("docs/openapi.json", "utf8")));
});

it("traces of the bundled app name the sources", async () => {
  const map = JSON.parse(await readFile("dist/app/index.js.map", "utf8")) as { readonly sources: readonly string[] };
  expect(map.sources).toContain("../../functions/index.ts");
  expect(await readFile("dist/app/index.js", "utf8")).toMatch(/\/\/# sourceMappingURL=index\.js\.map\s*$/);
});
