import { existsSync, globSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

/** What a folder may import: other folders of the repository, and packages by prefix. `*` allows every package. */
interface Allowed {
  readonly folders: readonly string[];
  readonly packages: readonly string[];
}

const FOLDERS: Readonly<Record<string, Allowed>> = {
  replication: { folders: ["replication"], packages: ["node:zlib", "node:crypto"] },
  azure: { folders: ["azure", "replication"], packages: ["node:crypto", "node:stream", "@azure/"] },
  orchestrations: { folders: ["orchestrations", "replication"], packages: [] },
  api: { folders: ["api"], packages: ["zod", "zod-openapi", "node:util"] },
  functions: {
    folders: ["functions", "api", "orchestrations", "azure", "replication"],
    packages: ["node:crypto", "@azure/functions", "zod"],
  },
  mobility: { folders: ["mobility", "replication"], packages: ["node:"] },
  local: { folders: ["local", "api"], packages: ["*"] },
  // A package of its own: it knows nothing of the product, and of the product only local/ knows it.
  "packages/azure-local": {
    folders: ["packages/azure-local"],
    packages: ["node:", "@azure/storage-", "@azure/functions-core", "azurite", "croner", "zod"],
  },
  cli: { folders: ["cli", "api", "replication"], packages: ["node:", "zod"] },
};

const rows = (...names: readonly string[]): readonly string[] => names.flatMap((each) => each.split(" "));

/**
 * The floors of each wing: its folders and the files beside them, in the order in which they stand on each other. Each
 * may import what stands before it, and nothing else of its wing (docs/architecture.md, "Floors").
 */
const FLOORS: Readonly<Record<string, readonly string[]>> = {
  replication: rows(
    "errors.ts limits.ts position.ts canonical-json.ts names.ts concurrency.ts ports.ts",
    "states delta records planning points jobs service apply restore resources",
    "items sweep alerts events operations",
  ),
  mobility: rows("limits.ts system journal disks epochs nbd capture", "consistency upload control service main.ts"),
  orchestrations: rows(
    "activity-answer.ts activities steps.ts best-effort.ts ensure.ts remove.ts",
    "enable-protection.ts disable-protection.ts unplanned-failover.ts commit-failover.ts",
    "version-2 version-3 run-flow.ts durable.ts repair-item.ts",
  ),
  api: rows(
    "operation.ts refusal.ts shapes.ts check-answer.ts jobs.ts protected-items.ts recovery-points.ts restores.ts",
    "policies.ts network-mappings.ts alert-rules.ts alerts.ts mobility.ts document.ts contract.ts client.ts openapi.ts",
  ),
  functions: rows("limits.ts memory.ts settings.ts views serving wiring.ts routes queues timers index.ts"),
  azure: rows(
    "errors.ts credential.ts listing.ts arm connections.ts accounts.ts circuit.ts events.ts work-queue.ts signing.ts",
    "containers.ts records.ts quarantine.ts remove-item.ts target-disks.ts disk-snapshots.ts",
    "cache-access.ts restore-access.ts item-stores.ts",
  ),
  cli: rows(
    "limits.ts command.ts read-file.ts api.ts download.ts delta-dump.ts delta.ts",
    "mobility.ts points.ts restore.ts leeward.ts main.ts",
  ),
  local: rows("limits.ts lab supervisor start demo reset.ts start.ts demo.ts"),
  "packages/azure-local": rows("errors.ts limits.ts reachability.ts functions-host storage events resource-manager"),
};

/** Folders of which a folder may import types alone. */
const TYPES: Readonly<Record<string, readonly string[]>> = { api: ["replication"] };

/** Single files that a folder may import beside its folders: `local/` has the error class of the product too. */
const ALSO: Readonly<Record<string, readonly string[]>> = {
  api: ["replication/limits.ts"],
  local: ["replication/errors.ts", "replication/limits.ts"],
};

/** The one place that knows Durable Functions, and the one of the command line that speaks to a storage account. */
const ONE_FILE: Readonly<Record<string, readonly string[]>> = {
  "orchestrations/durable.ts": ["durable-functions", "@azure/functions"],
  "cli/download.ts": ["@azure/storage-blob"],
};

/**
 * The mobility service runs on a model of the medium and on virtual time. These files stand outside: they are the
 * system, sockets, or child processes.
 */
const OUTSIDE_THE_MEDIUM = [
  "mobility/system/node-files.ts",
  // The configuration is read before there is a service.
  "mobility/main.ts",
  // /proc and /sys.
  "mobility/control/machine.ts",
  "mobility/disks/block-device.ts",
  "mobility/epochs/seal-worker.ts",
  "mobility/system/process-start.ts",
  // Socket files, and the script of the operator.
  "mobility/consistency/script.ts",
  "mobility/nbd/server.ts",
  "mobility/service/status-socket.ts",
];
const OUTSIDE_TIME = [
  "mobility/system/clock.ts",
  "mobility/main.ts",
  "mobility/consistency/script.ts",
  "mobility/nbd/connection.ts",
  "mobility/service/status-socket.ts",
  "mobility/system/transport.ts",
];

/** Widths of fields on disk and on the wire, and what a system has: facts of a format, which its document explains. */
const FORMATS = [
  "mobility/disks/block-device.ts",
  "mobility/disks/dirty-map.ts",
  "mobility/journal/record.ts",
  "mobility/journal/segment.ts",
  "mobility/nbd/protocol.ts",
  "replication/delta/layout.ts",
  "replication/records/vhd-footer.ts",
];
/** The tables of limits of each program. The local cloud is a package of its own, and figures choose their loads. */
const BOUNDED = ["replication", "azure", "functions", "orchestrations", "mobility", "cli"];

const FILE_MAX_LINES = 500;
const LINE_MAX_COLUMNS = 120;
const sources = Object.keys(FOLDERS).flatMap((folder) =>
  globSync(`${folder}/**/*.ts`, { exclude: [`${folder}/{test,dist,node_modules}/**`] }),
);
const testsOfPackages = globSync("packages/*/test/**/*.ts");
const everything = [...sources, ...testsOfPackages, ...globSync("{test,bench}/**/*.ts"), ...globSync("*.ts")];

/** The folder at the top, or the package, that a file belongs to. */
const wingOf = (file: string): string =>
  Object.keys(FOLDERS).find((wing) => file.startsWith(`${wing}/`)) ?? file.split("/")[0] ?? "";

/** The lines of a file, those of fenced blocks in documents left out. */
function proseOf(file: string): readonly string[] {
  const text = readFileSync(file, "utf8");
  return (file.endsWith(".md") ? text.replace(/^ *```[^]*?^ *```/gm, "") : text).split("\n");
}

function typeImportsOf(file: string): ReadonlySet<string> {
  const matches = readFileSync(file, "utf8").matchAll(/^import type [^;]*? from "([^"]+)";$/gm);
  return new Set([...matches].map(([, specifier = ""]) => specifier));
}

function importsOf(file: string): readonly string[] {
  const text = readFileSync(file, "utf8");
  return [
    ...text.matchAll(
      /(?:^|\n)\s*(?:import|export)\s[^;]*?from\s+"([^"]+)"|import\(\s*"([^"]+)"\s*\)|(?:^|\n)import\s+"([^"]+)"/g,
    ),
  ].flatMap((match) => {
    const specifier = match[1] ?? match[2] ?? match[3];
    return specifier === undefined ? [] : [specifier];
  });
}

function forbidden(file: string): readonly string[] {
  const folder = wingOf(file);
  const allowed = FOLDERS[folder];
  if (allowed === undefined) return [`${file}: the folder has no entry in the table of this test`];
  return importsOf(file).flatMap((specifier) => {
    if (!specifier.startsWith(".")) {
      const known = [...allowed.packages, ...(ONE_FILE[file] ?? [])].some(
        (prefix) => prefix === "*" || specifier.startsWith(prefix),
      );
      return known ? [] : [`${file} imports ${specifier}`];
    }
    const target = new URL(specifier, `file:///${file}`).pathname.slice(1);
    const targetFolder = wingOf(target);
    const known =
      allowed.folders.includes(targetFolder) ||
      (ALSO[folder] ?? []).includes(target) ||
      ((TYPES[folder] ?? []).includes(targetFolder) && typeImportsOf(file).has(specifier));
    return known ? [] : [`${file} imports ${target}`];
  });
}

/** The file or folder of its wing that a file belongs to: `replication/points/pins.ts` to `points`. */
const floorOf = (file: string): string => file.slice(wingOf(file).length + 1).split("/")[0] ?? "";

/** What a file imports of this repository. */
function targetsOf(file: string): readonly string[] {
  return importsOf(file).flatMap((specifier) =>
    specifier.startsWith(".") ? [new URL(specifier, `file:///${file}`).pathname.slice(1)] : [],
  );
}

function climbing(file: string): readonly string[] {
  const wing = wingOf(file);
  const floors = FLOORS[wing];
  if (floors === undefined) return [];
  if (!floors.includes(floorOf(file))) return [`${file}: its floor is not in the table of this test`];
  return targetsOf(file)
    .filter(
      (target) => target.startsWith(`${wing}/`) && floors.indexOf(floorOf(target)) > floors.indexOf(floorOf(file)),
    )
    .map((target) => `${file} imports ${target}, which stands above it`);
}

/** Files that import each other, in a circle of any length; each circle once. */
function circles(files: readonly string[]): readonly string[] {
  const imports = new Map(files.map((file) => [file, targetsOf(file)]));
  const left = new Set(files);
  // What imports nothing that is left stands in no circle; nor does what nothing that is left imports.
  for (let before = -1; before !== left.size;) {
    before = left.size;
    const used = new Set([...left].flatMap((file) => (imports.get(file) ?? []).filter((target) => target !== file)));
    for (const file of left) {
      const isUsing = (imports.get(file) ?? []).some((target) => left.has(target));
      if (!isUsing || !used.has(file)) left.delete(file);
    }
  }
  return [...left].toSorted();
}

describe("tidy", () => {
  it("finds the sources that it judges", () => {
    expect(sources.length).toBeGreaterThan(5);
  });

  it("imports go one way: the domain knows nobody, and what runs on Azure does not know the local cloud", () => {
    expect(sources.flatMap(forbidden)).toEqual([]);
  });

  it("tests of a package import nothing of the product either, which could then not be taken out", () => {
    const strange = testsOfPackages.flatMap((file) =>
      targetsOf(file)
        .filter((target) => wingOf(target) !== wingOf(file))
        .map((target) => `${file} imports ${target}`),
    );
    expect(testsOfPackages.length).toBeGreaterThan(5);
    expect(strange).toEqual([]);
  });

  it("each wing has floors: a folder imports only what stands before it", () => {
    expect(sources.flatMap(climbing)).toEqual([]);
    const unused = Object.entries(FLOORS).flatMap(([wing, floors]) =>
      floors.filter((floor) => !sources.some((file) => file.startsWith(`${wing}/`) && floorOf(file) === floor)),
    );
    expect(unused).toEqual([]);
  });

  it("no two files import each other, types included", () => {
    expect(circles(sources)).toEqual([]);
  });

  it(`no file has more than ${FILE_MAX_LINES} lines, tables of limits aside`, () => {
    const long = everything
      .filter((file) => !file.endsWith("/limits.ts"))
      .filter((file) => readFileSync(file, "utf8").split("\n").length > FILE_MAX_LINES + 1);
    expect(long).toEqual([]);
  });

  it(`no line has more than ${LINE_MAX_COLUMNS} columns, tables and what stands in quotes aside`, () => {
    const documents = globSync("{*.md,docs/**/*.md,packages/*/*.md,packages/*/docs/*.md}").filter(
      (file) => !file.startsWith("docs/states"),
    );
    const isFree = (line: string, file: string): boolean =>
      file.endsWith(".md")
        ? /^\s*\||https?:|^ *[^ ]+ +[─-]/.test(line)
        : /["'`/]/.test(line.replace(/^\s*(?:\/\/|\/?\*).*/, ""));
    const wide = [...everything, ...documents].flatMap((file) =>
      proseOf(file)
        .filter((line) => line.length > LINE_MAX_COLUMNS && !isFree(line, file))
        .map((line) => `${file}: ${line}`),
    );
    expect(wide).toEqual([]);
  });

  it("comments cite documents that are in the repository", () => {
    const strange = everything
      .filter((file) => file !== "test/tidy.test.ts")
      .filter((file) => /\bDESIGN \d|\breference site-recovery\b/.test(readFileSync(file, "utf8")));
    expect(strange).toEqual([]);
    // A package cites its own documents.
    const cited = everything.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/\bdocs\/[a-z0-9/-]+\.md\b/g)].map(([document]) =>
        file.startsWith("packages/") ? `${wingOf(file)}/${document}` : document,
      ),
    );
    expect([...new Set(cited)].filter((document) => !existsSync(document))).toEqual([]);
  });

  it("rule 9: a bound stands in a table of limits, with its reason", () => {
    const bound =
      /^(?:export )?const (?!(?:SECOND|MINUTE|HOUR|DAY)_MS)[A-Z]\w*_(?:MS|BYTES|MAX|MIN|COUNT|TRIES) = \d.*/gm;
    const bounded = sources.filter((file) => BOUNDED.includes(file.split("/")[0] ?? ""));
    const tables = bounded.filter((file) => file.endsWith("/limits.ts"));
    const elsewhere = bounded
      .filter((file) => !tables.includes(file) && !FORMATS.includes(file))
      .flatMap((file) => (readFileSync(file, "utf8").match(bound) ?? []).map((line) => `${file}: ${line}`));
    expect(elsewhere).toEqual([]);
    // Of several that one comment explains only the first has it above itself.
    const bare = tables.flatMap((file) =>
      [...readFileSync(file, "utf8").matchAll(/(.*)\nexport const (\w+)/g)].flatMap(([, before = "", name]) =>
        before.endsWith("*/") || before.endsWith(";") ? [] : [`${file}: ${name}`],
      ),
    );
    expect(bare).toEqual([]);
  });

  it("the domain takes time, randomness and I/O as arguments", () => {
    const impure = sources
      .filter((file) => file.startsWith("replication/"))
      .filter((file) =>
        /Math\.random|Date\.now|new Date\(\)|randomBytes|randomUUID|\bprocess\.\w|setTimeout/.test(
          readFileSync(file, "utf8"),
        ),
      );
    expect(impure).toEqual([]);
  });

  it("the mobility service reaches disks, time and chance through its ports only", () => {
    const reaching = (what: RegExp): readonly string[] =>
      sources.filter((file) => file.startsWith("mobility/") && what.test(readFileSync(file, "utf8"))).toSorted();
    expect(reaching(/"(node:)?fs(\/promises)?"|getBuiltinModule/)).toEqual(OUTSIDE_THE_MEDIUM.toSorted());
    const time =
      /setTimeout\(|setInterval\(|setImmediate|Date\.now|new Date\(\)|performance\.|hrtime|AbortSignal\.timeout/;
    expect(reaching(time)).toEqual(OUTSIDE_TIME.toSorted());
    expect(reaching(/Math\.random|random(Bytes|UUID|Int|FillSync)\(/)).toEqual([
      "mobility/control/machine.ts",
      "mobility/service/ports.ts",
    ]);
  });

  it("only index.ts registers functions, and only settings files read the environment of the app", () => {
    const registering = sources.filter(
      (file) =>
        file.startsWith("functions/") && /\bapp\.(http|timer|storageQueue|setup)\(/.test(readFileSync(file, "utf8")),
    );
    expect(registering.filter((file) => file !== "functions/index.ts")).toEqual([]);
    const reading = sources.filter(
      (file) => /^(functions|azure)\//.test(file) && readFileSync(file, "utf8").includes("process.env"),
    );
    expect(reading.filter((file) => file !== "functions/settings.ts")).toEqual([]);
  });

  it("a cold start of the app does not load what costs more than the rest of it: identities, events and Azure's management clients", () => {
    const heavy = /^import (?!type )[^;]*?from "@azure\/(identity|eventgrid|arm-\w+)"/m;
    expect(
      sources.filter((file) => !/^(local|packages)\//.test(file) && heavy.test(readFileSync(file, "utf8"))),
    ).toEqual([]);
  });

  it("uses exact versions, so that every machine installs the same", () => {
    const versions = ["package.json", ...globSync("packages/*/package.json")].flatMap((file) => {
      const manifest: unknown = JSON.parse(readFileSync(file, "utf8"));
      const { dependencies, devDependencies } = manifest as Readonly<Record<string, Readonly<Record<string, string>>>>;
      return Object.entries({ ...dependencies, ...devDependencies });
    });
    const loose = versions.filter(([, version]) => !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version));
    // And one version of each, whoever asks for it.
    expect(new Set(versions.map(([name]) => name)).size).toBe(new Set(versions.map((each) => each.join("@"))).size);
    expect(loose).toEqual([]);
    expect(readFileSync("package-lock.json", "utf8")).not.toMatch(/"resolved": "http/);
    // npm ci refuses a link without its folder, and takes every package without its address.
    const { packages } = JSON.parse(readFileSync("package-lock.json", "utf8")) as {
      readonly packages: Readonly<Record<string, { readonly resolved?: string; readonly link?: boolean }>>;
    };
    expect(
      Object.entries(packages).filter(([, { resolved, link }]) => resolved !== undefined && link !== true),
    ).toEqual([]);
  });
});
