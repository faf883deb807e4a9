import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { parseSettings } from "../../functions/settings.ts";

/** Said by Azure itself. */
const GIVEN = new Set(["WEBSITE_HOSTNAME", "AzureWebJobsStorage"]);

/** Every name that the app asks its environment for. */
function settingsRead(): ReadonlySet<string> {
  const names = new Set<string>();
  const environment = new Proxy<Record<string, string | undefined>>(
    {},
    {
      get: (_target, name) => {
        names.add(String(name));
        return undefined;
      },
    },
  );
  expect(() => parseSettings(environment)).toThrow(/app settings/);
  return names;
}

it("docs/events.md has a section for each type of event, and no other", () => {
  const types = [...readFileSync("replication/events/event.ts", "utf8").matchAll(/^ {2}\| "(Leeward\.\w+)"/gm)];
  const sections = [...readFileSync("docs/events.md", "utf8").matchAll(/^### (Leeward\.\w+)$/gm)];
  expect(types.length).toBeGreaterThan(3);
  expect(sections.map(([, type]) => type)).toEqual(types.map(([, type]) => type));
});

it("docs/architecture.md lists the settings that the app reads, and no others", () => {
  const text = readFileSync("docs/architecture.md", "utf8");
  const section = text.slice(text.indexOf("## Settings of the function app"), text.indexOf("## Making resources"));
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  const documented = rows.flatMap((row) =>
    [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)].map(([, name = ""]) => name),
  );
  const isOurs = (name: string): boolean => !GIVEN.has(name);
  expect(documented.filter(isOurs).toSorted()).toEqual([...settingsRead()].filter(isOurs).toSorted());
});
