import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished, expect, it } from "vitest";
import { BUILD_STAMP, sourcesDigest } from "../build-stamp.ts";
import config from "../vitest.config.ts";
import { staleness } from "./fresh-build.ts";

/** The folders and settings of a build, with one source. */
function repository(): string {
  const root = mkdtempSync(join(tmpdir(), "leeward-build-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const local = "packages/azure-local";
  const settings = [`${local}/package.json`, `${local}/tsconfig.build.json`, "package-lock.json", "tsconfig.json"];
  for (const file of [...settings, "tsconfig.build.json", "bundle.ts"]) cpSync(file, join(root, file));
  mkdirSync(join(root, local, "storage"));
  writeFileSync(join(root, local, "storage/storage.ts"), "export const storage = 1;\n");
  mkdirSync(join(root, "functions/deep"), { recursive: true });
  writeFileSync(join(root, "functions/deep/one.ts"), "export const one = 1;\n");
  return root;
}

function build(root: string): void {
  mkdirSync(join(root, "dist"), { recursive: true });
  writeFileSync(join(root, BUILD_STAMP), `${sourcesDigest(root)}\n`);
}

it("a build of these sources, or none, is let through", () => {
  const root = repository();
  expect(staleness(root)).toBeUndefined();
  build(root);
  expect(staleness(root)).toBeUndefined();
});

it.each([
  [
    "a source was changed",
    (root: string) => writeFileSync(join(root, "functions/deep/one.ts"), "export const one = 2;"),
  ],
  [
    "a source of the local cloud was changed",
    (root: string) => writeFileSync(join(root, "packages/azure-local/storage/storage.ts"), ""),
  ],
  ["a source was added", (root: string) => writeFileSync(join(root, "functions/two.ts"), "")],
  ["a source was removed", (root: string) => rmSync(join(root, "functions/deep/one.ts"))],
  ["other packages are installed", (root: string) => writeFileSync(join(root, "package-lock.json"), "{}")],
  ["the build broke, or is older than its stamp", (root: string) => rmSync(join(root, BUILD_STAMP))],
])("%s: the tests say which command to run", (_name, change) => {
  const root = repository();
  build(root);
  change(root);
  expect(staleness(root)).toContain("Run: npm run build");
});

it("every project that runs what was built asks first", () => {
  const { projects } = (config as { readonly test: { readonly projects: readonly { readonly test: Project }[] } }).test;
  const asking = projects.filter(({ test }) => test.globalSetup?.includes("test/fresh-build.ts"));
  expect(asking.map(({ test }) => test.name)).toEqual(["services", "long", "clients", "vm"]);
});

interface Project {
  readonly name: string;
  readonly globalSetup?: readonly string[];
}
