import { globSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { API_VERSIONS } from "../../azure/arm/api-versions.ts";

const PACKAGES: Readonly<Record<string, string>> = {
  "microsoft.resources": "arm-resources",
  "microsoft.network": "arm-network",
  "microsoft.compute": "arm-compute",
  "microsoft.storage": "arm-storage",
};

/** The version in which Azure's own client asks for a path, as its source says. */
function versionsIn(text: string, path: string): readonly string[] {
  const calls = text.split("expandurltemplate(").slice(1);
  return calls
    .filter((call) => call.startsWith(`"${path}`))
    .flatMap((call) => /"api%2dversion": .*?"(\d{4}-\d\d-\d\d)"/.exec(call)?.[1] ?? []);
}

it("every type is spoken in the version that Azure's own client has", () => {
  for (const [type, { apiVersion }] of Object.entries(API_VERSIONS)) {
    const [namespace = "", ...names] = type.split("/");
    const texts = globSync(`node_modules/@azure/${PACKAGES[namespace]}/dist/esm/api/**/operations.js`).map((file) =>
      readFileSync(file, "utf8"),
    );
    const path = `/providers/${namespace}/${names.join("/")}`;
    // Without the names of resources, which stand between those of types.
    const spelled = texts.map((text) =>
      text
        .toLowerCase()
        .replaceAll(/\/\{\w+\}/g, "")
        .replaceAll("/subscriptions/resourcegroups/resources", "/providers/microsoft.resources/resources")
        .replaceAll(/\/subscriptions(\/resourcegroups)?\/providers/g, "/providers")
        .replaceAll("/subscriptions/resourcegroups", "/providers/microsoft.resources/resourcegroups"),
    );
    const versions = new Set(spelled.flatMap((text) => versionsIn(text, path)));
    expect([type, ...versions]).toEqual([type, apiVersion]);
  }
});
