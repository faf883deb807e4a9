import { defineConfig } from "vitest/config";

const major = Number(process.versions.node.split(".")[0]);
if (major < 22) {
  throw new Error(
    `Leeward needs Node 22.15 or newer, this is ${process.versions.node}. Run "npm ci" with install scripts allowed: it brings Node 24 along.`,
  );
}

/** Tests run the sources of the local cloud; programs that they start run the build. */
const SOURCES = "@leeward/source";

/** The longest files: `npm run test:long`, so that `npm test` stays below four minutes. CI runs both. */
const LONG = [
  "test/bench/figures.test.ts",
  "test/mobility/capture-model.test.ts",
  "test/orchestrations/{upgrade,upgrade-engine}.test.ts",
  "test/services/mobility/{identity,kill,ladder,upload}.test.ts",
  "packages/azure-local/test/services/functions-host/{durable-kill,process}.test.ts",
  "packages/azure-local/test/services/storage/{kill,restart}.test.ts",
  "test/services/demo/{cloud,start}.test.ts",
  "test/services/whole/{app-points,away-and-back,bad-requests,commit,events,failover,foreign-blobs}.test.ts",
  "test/services/whole/{identity,kill,region-gone,repair,second-life,secrets,uploads}.test.ts",
];

/** A failing run prints its seed; FC_SEED=<seed> replays it. */
export default defineConfig({
  ssr: { resolve: { conditions: [SOURCES, "module", "node"] } },
  test: {
    // Many tests wait for a claim, a timer or a child process: on two cores three files at a time take half as long as
    // one.
    maxWorkers: 3,
    projects: [
      {
        test: {
          name: "unit",
          setupFiles: ["test/setup.ts"],
          include: ["{test,packages/*/test}/**/*.test.ts"],
          exclude: ["**/test/services/**", "test/clients/**", "test/vm/**", ...LONG],
          testTimeout: 60_000,
        },
      },
      {
        test: {
          name: "services",
          setupFiles: ["test/setup.ts"],
          globalSetup: ["test/fresh-build.ts"],
          include: ["{test,packages/*/test}/services/**/*.test.ts"],
          exclude: LONG,
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "long",
          setupFiles: ["test/setup.ts"],
          globalSetup: ["test/fresh-build.ts"],
          include: LONG,
          testTimeout: 240_000,
          hookTimeout: 60_000,
        },
      },
      {
        test: {
          name: "clients",
          setupFiles: ["test/setup.ts"],
          globalSetup: ["test/fresh-build.ts"],
          include: ["test/clients/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 60_000,
        },
      },
      {
        // Not part of `npm test`: an emulated machine keeps a processor busy for minutes. `npm run test:vm` runs it.
        test: {
          name: "vm",
          setupFiles: ["test/setup.ts"],
          globalSetup: ["test/fresh-build.ts"],
          include: ["test/vm/**/*.test.ts"],
          testTimeout: 180_000,
          hookTimeout: 600_000,
        },
      },
    ],
  },
});
